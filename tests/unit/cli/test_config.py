"""`estinel config show`."""

from pathlib import Path

import pytest

from estinel_assets.settings import Settings
from tests.support.cli import estinel

SECRET = "hunter2hunter2"


def shown(*options: object, **variables: str) -> dict[str, dict[str, object]]:
    result = estinel(*options, "config", "show", "--json", **variables)
    assert result.code == 0, result.stderr
    assert result.stderr == ""
    return {row["name"]: row for row in result.document["settings"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "estinel.toml"
    path.write_text('[store]\nurl = "memory://"\n[compute]\nworkers = 9\n')
    return path


def test_every_setting_is_shown_with_its_variable() -> None:
    rows = shown()
    expected = {
        f"{group}.{name}"
        for group, field in Settings.model_fields.items()
        for name in field.annotation.model_fields  # type: ignore[union-attr]
    }
    assert set(rows) == expected
    assert {row["source"] for row in rows.values()} == {"default"}
    assert rows["imagery.start"]["value"] == "2015-01-01"
    assert rows["store.url"]["variable"] == "ESTINEL_STORE_URL"


def test_the_variables_shown_are_those_that_work() -> None:
    rows = shown(**{str(shown()["compute.workers"]["variable"]): "7"})
    assert rows["compute.workers"]["value"] == 7


def test_sources(file: Path) -> None:
    rows = shown(
        "--config",
        file,
        ESTINEL_COMPUTE_WORKERS="3",
        ESTINEL_STAC='{"collection": "mine"}',
        estinel_log_level="debug",
    )
    found = {name: (row["value"], row["source"]) for name, row in rows.items()}
    assert found["store.url"] == ("memory://", "file")
    assert found["compute.workers"] == (3, "environment")
    assert found["stac.collection"] == ("mine", "environment")
    assert found["log.level"] == ("debug", "environment")
    assert found["stac.page_size"] == (100, "default")


def test_the_file_may_be_named_by_a_variable(file: Path) -> None:
    result = estinel("config", "show", "--json", ESTINEL_CONFIG=str(file))
    assert result.document["config_file"] == str(file)
    text = estinel("config", "show", ESTINEL_CONFIG=str(file)).stdout
    assert [line.split() for line in text.splitlines() if "compute.workers" in line] == [
        ["compute.workers", "9", "file", "ESTINEL_COMPUTE_WORKERS"]
    ]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_secrets_stay_hidden_with_their_length(options: list[str]) -> None:
    texts = [
        estinel("config", "show", *options, ESTINEL_STAC_API_KEY=secret).stdout
        for secret in (SECRET, "x" * 90)
    ]
    assert texts[0] == texts[1]
    assert SECRET not in texts[0]
    assert "***" in texts[0]


def test_addresses_lose_credentials() -> None:
    rows = shown(
        ESTINEL_STORE_PUBLIC_URL=f"https://me:{SECRET}@host/x?sig={SECRET}",
        ESTINEL_STAC_URL=f"https://host/v1?token={SECRET}",
    )
    assert rows["store.public_url"]["value"] == "https://host/x"
    assert rows["stac.url"]["value"] == "https://host/v1"


def test_unusable_settings_are_bad_input(tmp_path: Path) -> None:
    assert estinel("config", "show", ESTINEL_COMPUTE_WORKERS="many").code == 3
    result = estinel("--config", tmp_path / "absent.toml", "config", "show", "--json")
    assert result.code == 3
    assert "absent.toml" in result.document["error"]["message"]
