"""Plugins, and how they are found."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.pids.cmip6 import PLUGIN
from estinel_assets.pids.plugins import (
    GROUP,
    HandleRules,
    LookedUp,
    Plugin,
    load_plugin,
    plugin_names,
)
from tests.support.cmip6_messages import PREFIX, announced, item

OBSERVATIONS = """
from dataclasses import dataclass

from estinel_assets.errors import BadInputError
from estinel_assets.pids.plugins import RecordSet
from estinel_assets.pids.records import make_record


@dataclass(frozen=True)
class Stations:
    rules: object
    label: str

    def version_query(self, item, collection_id):
        return None

    def records(self, announcement, found):
        fields = {"URL": f"https://stations/{announcement.item.id}", "LABEL": self.label}
        handle = f"{self.rules.prefix}/{announcement.item.id}"
        return RecordSet((make_record(handle, ("URL", "LABEL"), fields),))


class StationsPlugin:
    name = "stations"
    description = "Weather stations"

    def configure(self, rules, options):
        if set(options) - {"label"}:
            raise BadInputError("plugins.stations has one option, label")
        return Stations(rules, options.get("label", ""))


PLUGIN = StationsPlugin()
NOT_ONE = object()
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs packages with entry points, as pip would lay them out."""

    def install_package(package: str, body: str, **points: str) -> None:
        site = tmp_path / package
        folder = site / f"{package}-1.0.dist-info"
        folder.mkdir(parents=True)
        (site / f"{package}.py").write_text(body)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "\n".join(f"{name} = {value}" for name, value in points.items())
        (folder / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}\n")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, package, raising=False)

    return install_package


def test_ours_is_found() -> None:
    assert "cmip6" in plugin_names()
    assert load_plugin("cmip6") is PLUGIN


def test_another_package_s_is_found_and_makes_records(install: Install) -> None:
    install("station_pids", OBSERVATIONS, stations="station_pids:PLUGIN")

    plugin = load_plugin("stations")

    assert plugin_names() == ("cmip6", "stations")
    assert isinstance(plugin, Plugin)
    records = plugin.configure(HandleRules(PREFIX), {"label": "north"})
    (record,) = records.records(announced(item(item_id="s1")), LookedUp()).records
    assert record.handle == f"{PREFIX}/s1"
    assert [(v.index, v.type, v.data) for v in record.values] == [
        (1, "URL", "https://stations/s1"),
        (2, "LABEL", "north"),
    ]


def test_an_unknown_one(install: Install) -> None:
    install("station_pids", OBSERVATIONS, stations="station_pids:PLUGIN")

    with pytest.raises(BadInputError, match="'cmip7'; choose one of: cmip6, stations"):
        load_plugin("cmip7")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("station_pids:MISSING", "cannot be loaded"),
        ("no_such_package:PLUGIN", "cannot be loaded"),
        ("station_pids:NOT_ONE", "is no plugin"),
        ("station_pids:StationsPlugin", "is no plugin"),
    ],
)
def test_one_that_cannot_be_used(install: Install, value: str, problem: str) -> None:
    install("station_pids", OBSERVATIONS, broken=value)

    with pytest.raises(BadInputError, match=problem):
        load_plugin("broken")


def test_two_of_one_name(install: Install) -> None:
    install("station_pids", OBSERVATIONS, stations="station_pids:PLUGIN")
    install("other_pids", OBSERVATIONS, stations="other_pids:PLUGIN")

    with pytest.raises(BadInputError, match="other_pids:PLUGIN, station_pids:PLUGIN"):
        load_plugin("stations")
