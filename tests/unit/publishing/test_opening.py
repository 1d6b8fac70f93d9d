"""What publishing opens: addresses for readers."""

from pathlib import Path

import pytest

from estinel_assets.publishing.opening import own_address
from estinel_assets.settings import StoreSettings
from estinel_assets.storage.opening import open_store


@pytest.mark.parametrize("public", ["https://images.test/root", "https://images.test/root/"])
def test_a_public_address_is_percent_encoded(tmp_path: Path, public: str) -> None:
    store = open_store(f"file://{tmp_path}")
    settings = StoreSettings(public_url=public)
    address = own_address(store, settings, "a/50%25 of #1.tif")
    assert address == "https://images.test/root/a/50%2525%20of%20%231.tif"


def test_without_a_public_address_it_is_the_stores_own(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    assert own_address(store, StoreSettings(), "a/b") == store.uri("a/b")
