"""Markers: read whatever stands there, written only when they say something else, adopted once."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import StoreError
from estinel_assets.imagery.markers import (
    Marker,
    StoredMarker,
    adoption_day,
    adoption_path,
    marker_path,
    read_adoption,
    read_marker,
    write_adoption,
    write_marker,
)
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.site_finish import (
    finish,
    first_day_to_ask,
    marker_age_days,
    open_marker,
)
from estinel_assets.storage.opening import open_store
from tests.support.increment import (
    HOBART,
    PALMER,
    Clock,
    MadeScene,
    MadeWorld,
    corrupt,
    made_settings,
)
from tests.support.watched_store import WatchedStore

SITE_ID = HOBART.site_id
MARKER = Marker(
    site_id=SITE_ID,
    location="Hobart",
    last_solarday=date(2024, 12, 4),
    last_updated=datetime(2024, 12, 5, 12, 30, tzinfo=UTC),
    n_images=3,
    n_images_total=142,
)
ORIGINAL = {
    "SITE_ID": SITE_ID,
    "location": "Hobart",
    "last_solarday": "2024-12-04",
    "last_updated": "2024-12-05T12:30:00Z",
    "n_images": 142,
}
"""As the R pipeline writes it."""


@pytest.fixture
def store():
    return open_store("memory://")


def put(store, body, site_id=SITE_ID):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    store.put(marker_path(site_id), body)


def body_of(store):
    return store.get(marker_path(SITE_ID)).data


def test_a_missing_marker(store):
    assert read_marker(store, SITE_ID) == StoredMarker(None, None, None)


def test_a_marker_is_a_document_for_people_with_the_fields_of_the_original(store):
    assert write_marker(store, MARKER, read_marker(store, SITE_ID))

    document = json.loads(body_of(store))
    assert document == {**ORIGINAL, "n_images": 3, "n_images_total": 142}
    assert list(document)[: len(ORIGINAL)] == [
        "SITE_ID",
        "location",
        "last_solarday",
        "last_updated",
        "n_images",
    ]
    assert body_of(store).count(b"\n") == len(document) + 2  # a field a line
    assert read_marker(store, SITE_ID).marker == MARKER


def test_the_original_s_markers_are_read(store):
    put(store, ORIGINAL)
    found = read_marker(store, SITE_ID)
    assert found.marker == replace(MARKER, n_images=142, n_images_total=None)
    assert found.problem is None


@pytest.mark.parametrize("text", ["2024-12-05 12:30:00", "2024-12-05T23:30:00+11:00"])
def test_times_are_taken_as_utc_or_as_they_say(store, text):
    put(store, {**ORIGINAL, "last_updated": text})
    assert read_marker(store, SITE_ID).marker.last_updated == MARKER.last_updated


def without(field):
    return {name: value for name, value in ORIGINAL.items() if name != field}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b'"2024-12-04"',
        b"17",
        b"[" * 100_000,
        b'{"n_images": NaN}',
        *(without(field) for field in ORIGINAL),
        {**ORIGINAL, "SITE_ID": "site_00000000"},
        {**ORIGINAL, "SITE_ID": None},
        {**ORIGINAL, "location": None},
        {**ORIGINAL, "location": "\ud800"},
        {**ORIGINAL, "last_solarday": None},
        {**ORIGINAL, "last_solarday": "NA"},
        {**ORIGINAL, "last_solarday": 20061},
        {**ORIGINAL, "last_solarday": "2024-02-30"},
        {**ORIGINAL, "last_solarday": "0001-01-01"},
        {**ORIGINAL, "last_solarday": "9999-12-31"},
        {**ORIGINAL, "last_solarday": ["2024-12-04"]},
        {**ORIGINAL, "last_updated": "yesterday"},
        {**ORIGINAL, "last_updated": 0},
        {**ORIGINAL, "last_updated": "0001-01-01T00:00:00+14:00"},
        {**ORIGINAL, "n_images": None},
        {**ORIGINAL, "n_images": "many"},
        json.dumps(ORIGINAL).replace("142", "1e999").encode(),
        {**ORIGINAL, "n_images_total": {}},
    ],
    ids=lambda body: repr(body)[:60],
)
def test_a_corrupt_marker_counts_as_missing_and_says_what_is_wrong(store, body):
    put(store, body)
    found = read_marker(store, SITE_ID)

    assert found.marker is None
    assert f"{marker_path(SITE_ID)} is no marker" in found.problem
    assert write_marker(store, MARKER, found)  # and a valid one takes its place
    assert read_marker(store, SITE_ID).marker == MARKER


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.dates().map(str),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*ORIGINAL, "n_images_total"]), inner)
        ),
    )
)
def test_whatever_stands_there_is_read_or_is_corrupt(document):
    store = open_store("memory://")
    if isinstance(document, dict):
        document = {**ORIGINAL, **document}
    put(store, json.dumps(document).encode("utf-8", "surrogatepass"))
    found = read_marker(store, SITE_ID)
    assert (found.marker is None) == (found.problem is not None)
    if found.marker is not None:
        put(store, found.marker.document())
        again = read_marker(store, SITE_ID).marker
        assert again == replace(found.marker, last_updated=again.last_updated)


def test_a_store_that_refuses_is_no_corrupt_marker(store):
    def refuse():
        raise StoreError("no")

    with pytest.raises(StoreError, match="no"):
        read_marker(WatchedStore(store, reading=refuse), SITE_ID)


def test_a_marker_is_written_only_when_it_says_something_else(store):
    watched = WatchedStore(store)
    write_marker(watched, MARKER, read_marker(watched, SITE_ID))
    later = replace(MARKER, last_updated=MARKER.last_updated + timedelta(days=1), n_images=0)

    assert not write_marker(watched, later, read_marker(watched, SITE_ID))
    assert len(watched.writes) == 1
    for changed in (
        replace(later, last_solarday=date(2024, 12, 5)),
        replace(later, n_images_total=143),
        replace(later, location="Hobart Town"),
    ):
        assert write_marker(watched, changed, read_marker(watched, SITE_ID))
    assert len(watched.writes) == 4


def test_an_equal_marker_of_the_original_is_completed(store):
    put(store, ORIGINAL)
    assert write_marker(store, MARKER, read_marker(store, SITE_ID))
    assert read_marker(store, SITE_ID).marker.n_images_total == 142


@pytest.mark.parametrize(
    ("stood", "meanwhile"), [(None, "written"), (ORIGINAL, "written"), (ORIGINAL, "deleted")]
)
def test_a_compare_and_swap_that_loses_writes_nothing(store, stood, meanwhile):
    if stood:
        put(store, stood)
    former = read_marker(store, SITE_ID)
    if meanwhile == "written":
        put(store, {**ORIGINAL, "last_solarday": "2025-01-01"})
    else:
        store.delete(marker_path(SITE_ID))

    with pytest.raises(StoreError, match="somebody else meanwhile; the next run writes it"):
        write_marker(store, MARKER, former)

    left = read_marker(store, SITE_ID).marker
    assert left is None if meanwhile == "deleted" else left.last_solarday == date(2025, 1, 1)


@pytest.mark.parametrize(
    ("site", "same_rule", "expected"),
    [
        (HOBART, False, date(2024, 12, 4)),
        (HOBART, True, date(2024, 12, 4)),
        (PALMER, False, date(2024, 12, 3)),
        (PALMER, True, date(2024, 12, 4)),
        (replace(HOBART, lon=0.0), False, date(2024, 12, 4)),
    ],
)
def test_up_to_which_day_an_archive_is_complete(site, same_rule, expected):
    assert adoption_day(MARKER, site, same_rule=same_rule) == expected


def test_an_adoption_is_read_back(store):
    assert read_adoption(store, SITE_ID) is None
    east = timezone(timedelta(hours=11))
    write_adoption(store, MARKER, date(2024, 12, 3), datetime(2025, 1, 1, 11, tzinfo=east))

    assert read_adoption(store, SITE_ID) == date(2024, 12, 3)
    document = json.loads(store.get(adoption_path(SITE_ID)).data)
    assert document["adopted_at"] == "2025-01-01T00:00:00Z"
    assert document["marker"] == MARKER.document()


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"null", b'{"adopted_until": 3}', b'{"adopted_until": "x"}', b"{"]
)
def test_an_unusable_adoption_is_an_error_because_days_hang_on_it(store, body):
    store.put(adoption_path(SITE_ID), body)
    with pytest.raises(StoreError):
        read_adoption(store, SITE_ID)


def test_a_marker_is_late_against_the_newest_scene_not_against_today():
    assert marker_age_days(MARKER, date(2024, 12, 9)) == 5
    assert marker_age_days(MARKER, date(2024, 12, 4)) == 0
    assert marker_age_days(MARKER, date(2024, 6, 1)) == 0
    assert marker_age_days(MARKER, None) is None
    assert marker_age_days(None, date(2024, 12, 4)) is None


def opened(site, store, **imagery):
    settings = made_settings(imagery=imagery)
    return open_site(site, settings, store, "run", Clock(datetime(2024, 12, 9, 12, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("site", "rule", "until"),
    [
        (HOBART, "estinel", date(2024, 12, 4)),
        (PALMER, "estinel", date(2024, 12, 3)),
        (PALMER, "estinel-r", date(2024, 12, 4)),
    ],
)
def test_an_archive_is_adopted_at_first_sight(store, site, rule, until):
    put(store, {**ORIGINAL, "SITE_ID": site.site_id}, site.site_id)
    imagery = opened(site, store, solarday_rule=rule)

    for _ in range(2):
        assert open_marker(imagery).marker.last_solarday == date(2024, 12, 4)
        assert read_adoption(store, site.site_id) == until


def test_an_archive_is_adopted_once(store):
    put(store, ORIGINAL)
    open_marker(opened(HOBART, store))
    put(store, {**ORIGINAL, "last_solarday": "2024-12-08"})
    open_marker(opened(HOBART, store))
    assert read_adoption(store, SITE_ID) == date(2024, 12, 4)


def test_a_marker_of_ours_is_never_adopted(store):
    put(store, MARKER.document())
    open_marker(opened(HOBART, store))
    assert read_adoption(store, SITE_ID) is None


def test_a_corrupt_marker_is_never_adopted(store):
    put(store, b"{")
    assert open_marker(opened(HOBART, store)).problem is not None
    assert read_adoption(store, SITE_ID) is None


def test_a_site_with_outcomes_is_never_adopted():
    world = MadeWorld()
    world.source.add(MadeScene(HOBART, date(2024, 12, 2)))
    world.reader.broken = corrupt(MadeScene(HOBART, date(2024, 12, 2)))
    world.update()
    put(world.store, ORIGINAL)

    ran = world.update()
    assert read_adoption(world.store, SITE_ID) is None
    assert ran.finished.marker.last_solarday == date(2024, 12, 4)


def test_a_search_alone_is_no_outcome_of_a_day():
    world = MadeWorld()
    world.update()
    put(world.store, ORIGINAL)
    world.update()
    assert read_adoption(world.store, SITE_ID) == date(2024, 12, 4)


@pytest.mark.parametrize(
    ("imagery", "last", "since", "expected"),
    [
        ({"rescan_days": 30}, date(2024, 12, 4), None, date(2024, 11, 5)),
        ({"rescan_days": 1}, date(2024, 12, 4), None, date(2024, 12, 4)),
        ({"rescan_days": 0}, date(2024, 12, 4), None, date(2024, 12, 5)),
        ({"start": date(2024, 11, 20)}, date(2024, 12, 4), None, date(2024, 11, 20)),
        ({"start": date(2015, 1, 1)}, None, None, date(2015, 1, 1)),
        ({}, date(2024, 12, 4), date(2016, 1, 1), date(2016, 1, 1)),
        ({}, None, date(2016, 1, 1), date(2016, 1, 1)),
    ],
)
def test_where_the_search_begins(store, imagery, last, since, expected):
    marker = replace(MARKER, last_solarday=last) if last else None
    assert first_day_to_ask(opened(HOBART, store, **imagery), marker, since) == expected


def test_west_of_greenwich_the_original_s_day_is_ours_of_the_day_before(store):
    """So that the day which the original calls done, and we do not, is asked for."""
    foreign = replace(MARKER, site_id=PALMER.site_id, n_images_total=None)
    imagery = opened(PALMER, store, rescan_days=0)
    assert first_day_to_ask(imagery, foreign, None) == date(2024, 12, 4)
    world = MadeWorld(site=PALMER, settings=imagery.settings)
    put(world.store, foreign.document(), PALMER.site_id)
    assert world.update().finished.marker.last_solarday == date(2024, 12, 3)

    world.source.add(MadeScene(PALMER, date(2024, 12, 4)))
    assert world.update().days == [date(2024, 12, 4)]
    assert read_marker(world.store, PALMER.site_id).marker.last_solarday == date(2024, 12, 4)


def test_nothing_known_makes_no_marker():
    world = MadeWorld()
    finished = world.update().finished
    assert (finished.marker, finished.written, finished.problem) == (None, False, None)
    assert read_marker(world.store, SITE_ID) == StoredMarker(None, None, None)


def test_a_marker_that_cannot_be_written_is_a_problem_and_no_error(store):
    world = MadeWorld(store=store)
    world.source.add(MadeScene(HOBART, date(2024, 12, 2)))
    world.update()
    store.delete(marker_path(SITE_ID))

    def refuse(write):
        if write.path.startswith("markers/"):
            raise StoreError("the disk is full")

    imagery = opened(HOBART, WatchedStore(store, before=refuse))
    finished = finish(imagery, 0)
    assert (finished.written, finished.problem) == (False, "the disk is full")
    counts = finished.counts()
    assert (counts["marker_written"], counts["marker_write_success"]) == (False, 0)
