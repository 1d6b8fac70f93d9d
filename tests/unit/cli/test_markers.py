"""`estinel markers`: a site that was searched, an archive of another system, and a new site."""

import json
import os
import pty
import shutil
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from estinel_assets.imagery.markers import (
    Marker,
    adoption_path,
    marker_path,
    read_adoption,
    write_adoption,
)
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.site_id import site_id
from estinel_assets.settings import Settings, StacSettings, StoreSettings
from estinel_assets.stac.search import StacApiSource
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.cli import Outcome, command_line, estinel, process_environment
from tests.support.outcomes import outcome
from tests.support.stac_api import running_stac_api, stac_collection, stac_item

HOBART, CASEY, PALMER = (site_id(name) for name in ("Hobart", "Casey", "Palmer"))
TABLE = """location,lon,lat
Hobart,147.3257,-42.8826
Casey,110.5,-66.28
Palmer,-64.05,-64.77
"""
COLLECTION = "sentinel-2-c1-l2a"
NOW = datetime(2024, 12, 20, tzinfo=UTC)


def marker(name: str, last: str, total: int | None) -> Marker:
    return Marker(site_id(name), name, date.fromisoformat(last), NOW, 2, total)


def put_marker(store: ObjectStore, one: Marker) -> None:
    document = one.document()
    if one.n_images_total is None:  # as the R pipeline writes it
        del document["n_images_total"]
    store.put(marker_path(one.site_id), json.dumps(document).encode())


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hobart: scenes on four days; two images, one day given up, one not made yet."""
    folder = tmp_path_factory.mktemp("markers")
    items = [
        stac_item(
            f"S2B_T55GEN_202412{day:02}T000009_L2A",
            collection=COLLECTION,
            bbox=(147.0, -43.5, 148.0, -42.5),
            datetime=f"2024-12-{day:02}T00:00:09Z",
            **{"proj:epsg": 32755},
        )
        for day in (1, 2, 3, 12)
    ]
    with running_stac_api(folder, [stac_collection(COLLECTION)], items) as url:
        settings = Settings(
            store=StoreSettings(url=(folder / "store").as_uri()),
            stac=StacSettings(url=url, collection=COLLECTION),
        )
        store = open_store(settings.store.url)
        imagery = open_site(Site("Hobart", 147.3257, -42.8826), settings, store, "test")
        source = StacApiSource.from_settings(settings.stac, settings.transport)
        imagery.search(source, date(2024, 12, 1))
        with imagery.book.open(imagery.partition) as held:
            for day, reason, attempts in ((1, "none", 1), (2, "source_timeout", 3), (3, "none", 1)):
                known = imagery.solar_days()[date(2024, 12, day)]
                record = outcome(
                    HOBART,
                    known.day.isoformat(),
                    product="imagery",
                    reason=reason,
                    attempts=attempts,
                    inputs=known.fingerprint,
                )
                held.put(record)
    put_marker(store, marker("Hobart", "2024-12-03", 2))
    put_marker(store, marker("Palmer", "2024-11-30", None))
    return folder / "store"


@pytest.fixture
def store(searched: Path, tmp_path: Path) -> ObjectStore:
    (tmp_path / "sites.csv").write_text(TABLE, encoding="utf-8")
    shutil.copytree(searched, tmp_path / "store")
    return open_store((tmp_path / "store").as_uri())


def variables(store: ObjectStore) -> dict[str, str]:
    table = Path(store.url.removeprefix("file://")).with_name("sites.csv")
    return {"ESTINEL_STORE_URL": store.url, "ESTINEL_IMAGERY_SITES": str(table)}


def markers(store: ObjectStore, *arguments: object) -> Outcome:
    return estinel("markers", *arguments, **variables(store))


# --- status and show ---------------------------------------------------------------------------


def test_status(store):
    result = markers(store, "status", "--json")

    assert result.code == 0, result.stderr
    by_name = {row.pop("location"): row for row in result.document}
    assert by_name == {
        "Hobart": {
            "SITE_ID": HOBART,
            "last_solarday": "2024-12-03",
            "newest_solarday": "2024-12-12",
            "marker_age_days": 9,
            "status": "very stale",
            "images": 2,
            "given_up": ["2024-12-02"],
            "problem": None,
        },
        "Casey": {
            "SITE_ID": CASEY,
            "last_solarday": None,
            "newest_solarday": None,
            "marker_age_days": None,
            "status": "missing",
            "images": 0,
            "given_up": [],
            "problem": None,
        },
        "Palmer": {
            "SITE_ID": PALMER,
            "last_solarday": "2024-11-30",
            "newest_solarday": None,
            "marker_age_days": None,
            "status": "current",
            "images": 0,
            "given_up": [],
            "problem": None,
        },
    }


def test_status_for_people(store):
    header, *lines = markers(store, "status").stdout.splitlines()

    assert header.split() == [
        "location", "SITE_ID", "last_solarday", "newest_solarday", "marker_age_days", "status",
        "images", "given", "up",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines] == ["Casey", "Hobart", "Palmer"]
    assert lines[1].split() == [
        "Hobart", HOBART, "2024-12-03", "2024-12-12", "9", "very", "stale", "2", "1",
    ]  # fmt: skip


@pytest.mark.parametrize(("last", "status"), [("2024-12-11", "current"), ("2024-12-05", "stale")])
def test_status_of_one_site(store, last, status):
    put_marker(store, marker("Hobart", last, 2))

    (row,) = markers(store, "status", "--site", "Hobart", "--json").document

    assert (row["SITE_ID"], row["status"]) == (HOBART, status)


def test_status_of_a_corrupt_marker(store):
    store.put(marker_path(HOBART), b"{")

    (row,) = markers(store, "status", "--site", HOBART, "--json").document

    assert row["status"] == "corrupt"
    assert "is no marker" in row["problem"]


def test_status_names_a_site_that_cannot_be_read(store):
    store.put(adoption_path(HOBART), b"{")

    result = markers(store, "status", "--json")

    assert result.code == 1
    assert [row["status"] for row in result.document] == ["missing", "unreadable", "current"]
    assert result.stderr.startswith("estinel: Hobart: ")


@pytest.mark.parametrize("name", ["Palmer", PALMER])
def test_show(store, name):
    result = markers(store, "show", name, "--json")

    assert result.code == 0, result.stderr
    assert result.document == {
        "SITE_ID": PALMER,
        "location": "Palmer",
        "last_solarday": "2024-11-30",
        "last_updated": "2024-12-20T00:00:00Z",
        "n_images": 2,
    }


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["show", "Hobard"], "the table has: Casey, Hobart, Palmer"),
        (["show", "Casey"], "has no marker yet"),
        (["status", "--site", "Mawson"], "the table has: Casey, Hobart, Palmer"),
        (["reset", "--site", "Mawson", "--yes"], "the table has: Casey, Hobart, Palmer"),
        (["adopt"], "either --site or --all"),
        (["adopt", "--all", "--site", "Palmer"], "either --site or --all"),
        (["adopt", "--site", "Palmer", "--until", "yesterday"], "is no day"),
        (["adopt", "--site", "Palmer", "--until", "2999-01-01"], "is still to come at Palmer"),
        (["adopt", "--site", "Hobart"], "is not of another system"),
        (["adopt", "--site", "Casey"], "has no marker; say with --until"),
        (["reset", "--site", "Hobart"], "give --yes to delete without asking"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done(store, command, message):
    before = sorted(meta.path for meta in store.list())

    result = markers(store, *command)

    assert result.code == 3
    assert message in result.stderr
    assert sorted(meta.path for meta in store.list()) == before


# --- reset -------------------------------------------------------------------------------------


def test_reset_deletes_marker_and_adoption(store):
    write_adoption(store, marker("Palmer", "2024-11-30", None), date(2024, 11, 29), NOW)

    result = markers(store, "reset", "--site", "Palmer", "--yes", "--json")

    assert result.code == 0, result.stderr
    assert result.document == {
        "SITE_ID": PALMER,
        "location": "Palmer",
        "deleted": [store.uri(marker_path(PALMER)), store.uri(adoption_path(PALMER))],
    }
    assert [meta.path for meta in store.list("markers")] == [marker_path(HOBART)]
    assert list(store.list("adopted")) == []
    assert markers(store, "reset", "--site", "Palmer", "--yes").code == 6


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 5), (b"y\n", 0)])
def test_reset_asks_on_a_terminal(store, tmp_path, answer, code):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command_line(["markers", "reset", "--site", "Hobart"]),
        cwd=tmp_path,
        env=process_environment(variables(store)),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    os.write(ours, answer)
    stdout, stderr = process.communicate(timeout=60)
    os.close(ours)

    assert process.returncode == code, stderr
    assert b"Delete this of Hobart?" in stderr
    assert b"Delete" not in stdout
    standing = [meta.path for meta in store.list("markers")]
    assert (marker_path(HOBART) in standing) is (code == 5)


# --- adopt -------------------------------------------------------------------------------------


def test_adopt_every_archive(store):
    result = markers(store, "adopt", "--all", "--json")

    assert result.code == 0, result.stderr
    # West of Greenwich the archive's days run a day ahead of ours.
    assert result.document == [
        {"location": "Palmer", "SITE_ID": PALMER, "adopted_until": "2024-11-29"}
    ]
    assert read_adoption(store, PALMER) == date(2024, 11, 29)
    assert read_adoption(store, HOBART) is None


def test_adopt_up_to_a_day_without_a_marker(store):
    result = markers(store, "adopt", "--site", "Casey", "--until", "2024-06-30", "--json")

    assert result.code == 0, result.stderr
    assert read_adoption(store, CASEY) == date(2024, 6, 30)
    assert [row["adopted_until"] for row in result.document] == ["2024-06-30"]


def test_adopt_all_or_none(store):
    result = markers(store, "adopt", "--site", "Palmer", "--site", "Hobart")

    assert result.code == 3
    assert list(store.list("adopted")) == []


def test_adopt_where_there_is_no_archive(store):
    store.delete(marker_path(PALMER))

    assert markers(store, "adopt", "--all").code == 6
