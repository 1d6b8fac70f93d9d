"""The same checks on every engine."""

import pytest

from estinel_assets.compatibility.opening_checks import open_check_engine
from estinel_assets.compute import Threads
from estinel_assets.settings import CompatibilitySettings, Settings


@pytest.mark.parametrize("name", ["processes", "threads", "dask", "lithops"])
def test_the_settings_name_the_engine(name):
    settings = Settings(compatibility=CompatibilitySettings(engine=name, workers=1))
    engine = open_check_engine(settings)
    assert type(engine).__name__.lower().startswith(name)
    engine.close()


def test_threads_have_no_limits_of_their_own():
    settings = Settings(compatibility=CompatibilitySettings(engine="threads", workers=3))
    assert isinstance(open_check_engine(settings), Threads)
