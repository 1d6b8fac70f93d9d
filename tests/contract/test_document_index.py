"""What the dataset index promises, tried on SQLite and on PostgreSQL."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, make_url, text

from estinel_assets.errors import BadInputError, PermanentError, RetryableError
from estinel_assets.publishing.index import DocumentsChangedError
from estinel_assets.publishing.ports import (
    Change,
    DocumentIndex,
    DocumentQuery,
    IndexedDocument,
)
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.transport.policy import RetryPolicy
from tests.support.document_index import (
    LOST,
    PATIENCE_S,
    WON,
    DeleteOrWrite,
    Write,
    absent,
    apply,
    document,
    kill,
    new_database,
    opened,
    postgres_url,
    processes,
    race,
    race_threads,
    rectangle,
    standing,
    wire,
    write_and_hang,
)
from tests.support.examples import examples
from tests.support.postgres import PASSWORD, USER, Postgres, postgres_server, why_no_postgres

RACERS = 20
ONCE = RetryPolicy(attempts=1, backoff_s=0, backoff_max_s=0, deadline_s=1)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    if missing := why_no_postgres():
        pytest.skip(missing)
    with postgres_server() as running:
        yield running


def _new_url(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{folder}/below/{uuid4().hex}.sqlite"
    return new_database(request.getfixturevalue("server"), uuid4().hex)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DocumentIndex]:
    """One database for all tests that can do with it."""
    index = opened(_new_url(request, tmp_path_factory.mktemp("index")))
    yield index
    index.close()


@pytest.fixture
def index(shared: DocumentIndex) -> DocumentIndex:
    """Emptied."""
    left = list(shared.search(DocumentQuery()))
    apply(shared, [], [each.id for each in left], expected=standing(left))
    return shared


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database without any table."""
    return _new_url(request, tmp_path)


def _found(index: DocumentIndex, **query: Any) -> list[str]:
    return [each.id for each in index.search(DocumentQuery(**query))]


def _add(index: DocumentIndex, *documents: IndexedDocument) -> None:
    apply(index, documents, expected=absent(documents))


def test_documents_come_back_as_they_were_written(index: DocumentIndex) -> None:
    exotic = document(
        "größe/1 'quoted\" %s :name",
        "läufe",
        whole=10**20,
        floating=1e16,
        tiny=5e-324,
        minus=-0.0,
        one=1.0,
        yes=True,
        nothing=None,
        text="NUL \0, half a pair \ud800, 🛰, \\u0000, ' \" ; --",
        **{"": {"deep": [[], {}, [1, [2.5, {"a": "b"}]]]}},
    )
    _add(index, exotic, document("plain"))

    (found,) = index.get([exotic.id, "absent", "nul\0", ""]).values()
    assert found == exotic
    assert [repr(found.document[name]) for name in ("whole", "floating", "minus", "one")] == [
        "100000000000000000000",
        "1e+16",
        "-0.0",
        "1.0",
    ]
    assert found.document["yes"] is True
    assert index.get([]) == {}
    assert [each.id for each in index.search(DocumentQuery())] == [exotic.id, "plain"]


def test_writes_and_deletes_are_one(index: DocumentIndex) -> None:
    before = [document(name, location=rectangle(0, 0, 1, 1)) for name in ("a", "b", "c")]
    _add(index, *before)
    after = [document("a", label="new"), document("d")]
    expected = standing(before[:2]) | {"d": None, "never": None}
    apply(index, after, ["b", "never"], expected=expected)

    assert list(index.search(DocumentQuery())) == [after[0], before[2], after[1]]
    assert _found(index, bbox=(0, 0, 1, 1)) == ["c"], "the old box of a or b is left"
    assert _found(index, text="b") == [], "the old words of b are left"
    apply(index, [], expected={})


@pytest.mark.parametrize(
    ("writes", "deletes", "expected", "changed"),
    [
        ([document("new")], ["a"], {"new": None, "a": "another digest"}, ["a"]),
        ([document("new"), document("a")], [], {"new": None, "a": None}, ["a"]),
        ([document("new")], ["gone"], {"new": "a digest", "gone": "a digest"}, ["gone", "new"]),
    ],
)
def test_where_something_else_stands_nothing_is_changed(
    index: DocumentIndex,
    writes: list[IndexedDocument],
    deletes: list[str],
    expected: dict[str, str | None],
    changed: list[str],
) -> None:
    kept = document("a", label="kept")
    _add(index, kept)
    with pytest.raises(DocumentsChangedError, match="publish again") as caught:
        apply(index, writes, deletes, expected=expected)
    assert list(caught.value.ids) == changed
    assert caught.value.reason == PublishingReason.ALREADY_PUBLISHED
    assert list(index.search(DocumentQuery())) == [kept]


def test_what_is_no_document_is_refused_and_all_of_it_named(index: DocumentIndex) -> None:
    faulty = [
        document("no-place", location={"type": "Blob", "coordinates": []}),
        document("no-time", starttime="yesterday"),
        document("no-json", value=float("nan")),
        document("nul\0"),
    ]
    with pytest.raises(PermanentError) as caught:
        apply(index, [document("good"), *faulty], expected=absent([document("good"), *faulty]))
    assert caught.value.reason == PublishingReason.INVALID_DATASET
    for name in ("no-place", "no-time", "no-json", "nul\\x00"):
        assert name in str(caught.value)
    assert "good" not in str(caught.value)
    assert _found(index) == []


def test_ids_are_touched_once_and_in_their_order(index: DocumentIndex) -> None:
    with pytest.raises(ValueError, match="'a' is touched twice"):
        apply(index, [document("a"), document("a")], expected={"a": None})
    with pytest.raises(ValueError, match="'a' is touched twice"):
        apply(index, [document("a")], ["a"], expected={"a": None})
    with pytest.raises(ValueError, match="'a' is touched out of order"):
        index.apply([Change(name, None, document(name)) for name in ("b", "a")])
    assert _found(index) == []


def test_many_documents_are_one_transaction_and_are_found_page_by_page(
    index: DocumentIndex,
) -> None:
    many = [document(f"{number:04}", label=f"number {number}") for number in range(1201)]
    _add(index, *reversed(many))
    assert list(index.search(DocumentQuery())) == many
    assert list(index.search(DocumentQuery(), limit=501)) == many[:501]
    assert list(index.search(DocumentQuery(), limit=0)) == []
    names = [each.id for each in many]
    assert list(index.search(DocumentQuery(ids=(*names[::-1], "absent", "1\0")))) == many
    assert list(index.get(names).values()) == many
    apply(index, [], names, expected=standing(many))
    assert _found(index) == []


def test_ids_are_ordered_by_code_point(index: DocumentIndex) -> None:
    names = ["a", "B", "_", "-", "é", "z", "Z", "🛰", "\uffff", "a b", "ab"]
    _add(index, *map(document, names))
    assert _found(index) == sorted(names)
    assert _found(index, ids=("b", "é")) == ["é"]


HOSTILE = [
    "landsat AND",
    "landsat OR",
    "NOT landsat",
    "landsat NEAR/2 scene",
    '"landsat scene"',
    "label:landsat",
    "land*",
    "^landsat",
    "landsat | scene",
    "landsat & !scene",
    "landsat <-> scene",
    "landsat:* 'scene'",
    "'; DROP TABLE estinel_documents; --",
    "%landsat%",
    "(landsat",
    "landsat\0scene",
    "\\landsat\\",
    "{landsat}",
    "\ud800 landsat",
]


def test_a_text_is_only_words(index: DocumentIndex) -> None:
    _add(
        index,
        document("LANDSAT_scene-1", label="Ünïcode Straße", metadata={"a": ["x", {"b": "Tiefe"}]}),
        document("2", dataset="landsat", metadata={"key": "drop; table (estinel) documents"}),
        *(document(f"hostile-{number}", label=words) for number, words in enumerate(HOSTILE)),
    )
    assert _found(index, text="scene LANDSAT 1") == ["LANDSAT_scene-1"]
    assert _found(index, text="u\u0308ni\u0308code") == ["LANDSAT_scene-1"]
    assert _found(index, text="STRASSE x tiefe") == ["LANDSAT_scene-1"]
    assert _found(index, text="Straß") == []
    assert _found(index, text="key") == [], "names of metadata are no text"
    assert _found(index, text="area of interest x") == ["LANDSAT_scene-1"]
    everything = _found(index)
    for words in ("", " ", "*", '"', "'--;", "\0"):
        assert _found(index, text=words) == everything
    for number, words in enumerate(HOSTILE):
        assert f"hostile-{number}" in _found(index, text=words), words
    assert _found(index, text="landsat NEAR") == ["hostile-3"]
    assert _found(index, text="land*") == ["hostile-6"], "no prefix"
    assert _found(index, text=" ".join(f"landsat w{number}" for number in range(1000))) == []


def test_a_document_may_have_more_words_than_a_database_takes(index: DocumentIndex) -> None:
    words = " ".join(f"word{number:07}" for number in range(150_000))
    _add(index, document("long", metadata={"text": words, "more": "x" * 5_000}))
    assert _found(index, text="word0000000 word0040000") == ["long"]


@pytest.mark.parametrize(
    ("location", "found_in", "not_in"),
    [
        (rectangle(170, -5, -170, 5), [(-180, 0, -179, 1), (165, 5, 171, 9)], [(-169, 0, 169, 1)]),
        (rectangle(-170, -5, 170, 5), [(0, 0, 1, 1), (-171, 0, -169, 1)], [(171, 0, -171, 1)]),
        (rectangle(-180, -90, 180, 90), [(0, 0, 0, 0), (179, 0, -179, 1)], []),
        ({"type": "Point", "coordinates": [180, 0]}, [(-180, 0, -170, 1), (1, 0, 180, 1)],
         [(-179, 0, 179, 1)]),
        ({"type": "MultiPoint", "coordinates": [[175, 0, 9], [-175, 1, 9]]},
         [(180, 0, 180, 1), (170, 1, -178, 2)], [(-170, 0, 170, 1)]),
    ],
)  # fmt: skip
def test_longitudes_go_round(
    index: DocumentIndex,
    location: dict[str, Any],
    found_in: list[tuple[float, ...]],
    not_in: list[tuple[float, ...]],
) -> None:
    _add(index, document("a", location=location), document("nowhere"))
    for bbox in found_in:
        assert _found(index, bbox=bbox) == ["a"], bbox
    for bbox in not_in:
        assert _found(index, bbox=bbox) == [], bbox


def test_boxes_are_compared_in_double_precision(index: DocumentIndex) -> None:
    _add(index, document("a", location={"type": "Point", "coordinates": [10.123456789, 47.0]}))
    assert _found(index, bbox=(10.123456789, 47, 11, 48)) == ["a"]
    assert _found(index, bbox=(10.12345679, 47, 11, 48)) == []
    assert _found(index, bbox=(9, 46.9, 10.123456788, 47.1)) == []


def test_times_overlap(index: DocumentIndex) -> None:
    _add(
        index,
        document("long", starttime="2024-01-01", endtime="2024-12-31T23:59:59.999999Z"),
        document("moment", starttime="2024-06-01T12:00:00"),
        document("shifted", starttime="2024-06-02T01:00:00+02:00", endtime=None),
        document("ended", endtime="2024-06-03T00:00:00Z"),
        document("ancient", starttime="0001-01-01T00:00:00"),
        document("timeless"),
    )
    noon = datetime(2024, 6, 1, 12, tzinfo=UTC)
    hour = timedelta(hours=1)
    assert _found(index, starts=noon, ends=noon) == ["long", "moment"]
    assert _found(index, starts=noon + hour) == ["ended", "long", "shifted"]
    assert _found(index, starts=noon + 11 * hour, ends=noon + 11 * hour) == ["long", "shifted"]
    assert _found(index, ends=noon.replace(tzinfo=None) - hour) == ["ancient", "long"]
    assert _found(index, starts=datetime(2025, 1, 1, tzinfo=UTC)) == []


def test_queries_that_make_no_sense_are_refused_at_once(index: DocumentIndex) -> None:
    for bbox in ((0, 1, 1, 0), (0, 0, 1, 91), (0, 0, float("nan"), 1), (-500, 0, 0, 1)):
        with pytest.raises(BadInputError, match="bbox"):
            index.search(DocumentQuery(bbox=bbox))
    assert _found(index, publication="nul\0") == []


@dataclass(frozen=True)
class Described:
    """A document, and what of it is searched in plain Python."""

    document: IndexedDocument
    longitudes: frozenset[int] = field(default=frozenset(), repr=False)
    """Whole degrees that it touches, 0 to 359."""
    latitudes: tuple[int, int] = (0, 0)
    times: tuple[int, int] | None = None
    """First and last hour."""
    words: frozenset[str] = field(default_factory=frozenset)


START = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = ("alpha", "beta", "and", "or", "not", "near", "ünder", "42")
_words = st.sets(st.sampled_from(WORDS), max_size=4)
_hours = st.integers(0, 20)


def _around(west: int, east: int) -> frozenset[int]:
    last = east if east >= west else east + 360
    return frozenset(degree % 360 for degree in range(west, last + 1))


@st.composite
def _boxes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    west, east = draw(st.integers(-180, 180)), draw(st.integers(-180, 180))
    south = draw(st.integers(-90, 90))
    return west, south, east, draw(st.integers(south, 90))


def _location(draw: st.DrawFn, west: int, south: int, east: int, north: int) -> dict[str, Any]:
    """One of the ways to say where it is."""
    first, last = (west, east) if west <= east else (west - 360, east)
    if first < -360:
        first, last = first + 360, last + 360
    forms: list[dict[str, Any]] = [
        {"type": "envelope", "coordinates": [[west, north], [east, south]]},
        rectangle(first, south, last, north),
    ]
    if west > east:
        halves = rectangle(west, south, 180, north), rectangle(-180, south, east, north)
        forms.append(
            {"type": "MultiPolygon", "coordinates": [half["coordinates"] for half in halves]}
        )
        forms.append(rectangle(-180, south, 180, north) | {"bbox": [west, south, east, north]})
        if west - east > 180 and south < north:
            forms.append(rectangle(west, south, east, north))
    return draw(st.sampled_from(forms))


@st.composite
def _described(draw: st.DrawFn) -> list[Described]:
    made = []
    for number in range(draw(st.integers(0, 8))):
        words = draw(_words)
        fields: dict[str, Any] = {"dataset_type": draw(st.sampled_from(["one", "two"]))}
        between = draw(st.sampled_from([" ", "_", "-", '" "', "*", ") OR ("]))
        text = between.join(word.upper() if draw(st.booleans()) else word for word in words)
        fields |= draw(st.sampled_from([{"label": text}, {"metadata": {"x": [1, {"y": text}]}}]))
        longitudes, latitudes, times = frozenset[int](), (0, 0), None
        if draw(st.booleans()):
            west, south, east, north = draw(_boxes())
            fields["location"] = _location(draw, west, south, east, north)
            longitudes, latitudes = _around(west, east), (south, north)
        if draw(st.booleans()):
            first = draw(_hours)
            fields["starttime"] = (START + timedelta(hours=first)).isoformat()
            times = (first, first)
            if draw(st.booleans()):
                last = draw(st.integers(first, 20))
                fields["endtime"] = (START + timedelta(hours=last)).isoformat()
                times = (first, last)
        publication = draw(st.sampled_from(["run-1", "run-2"]))
        each = document(f"id{number}", publication, **fields)
        if between == ") OR (" and len(words) > 1:
            words = words | {"or"}
        found = {f"id{number}", fields["dataset_type"]} | words
        made.append(Described(each, longitudes, latitudes, times, frozenset(found)))
    return made


_queries = st.builds(
    DocumentQuery,
    ids=st.lists(st.sampled_from(["id0", "id1", "id2", "id9"]), max_size=3).map(tuple),
    publication=st.sampled_from([None, "run-1"]),
    bbox=st.none() | _boxes(),
    starts=st.none() | _hours.map(lambda hour: START + timedelta(hours=hour)),
    ends=st.none() | _hours.map(lambda hour: START + timedelta(hours=hour)),
    dataset_type=st.sampled_from([None, "one"]),
    text=st.none() | _words.map(" ".join),
)


def _matches(each: Described, query: DocumentQuery) -> bool:
    if query.bbox is not None:
        west, south, east, north = map(int, query.bbox)
        if not each.longitudes & _around(west, east):
            return False
        if each.latitudes[0] > north or each.latitudes[1] < south:
            return False
    if (query.starts or query.ends) and each.times is None:
        return False
    if query.starts and START + timedelta(hours=each.times[1]) < query.starts:
        return False
    if query.ends and START + timedelta(hours=each.times[0]) > query.ends:
        return False
    return (
        (not query.ids or each.document.id in query.ids)
        and query.publication in (None, each.document.publication)
        and query.dataset_type in (None, each.document.document["dataset_type"])
        and set((query.text or "").split()) <= each.words
    )


@examples(25)
@given(documents=_described(), queries=st.lists(_queries, min_size=1, max_size=4))
def test_a_search_finds_what_a_plain_filter_does(
    shared: DocumentIndex, documents: list[Described], queries: list[DocumentQuery]
) -> None:
    left = list(shared.search(DocumentQuery()))
    writes = [each.document for each in documents]
    apply(
        shared,
        writes,
        [old.id for old in left if old.id not in {new.id for new in writes}],
        expected=absent(writes) | standing(left),
    )
    for query in queries:
        wanted = [each.document for each in documents if _matches(each, query)]
        assert list(shared.search(query)) == wanted


def test_of_processes_that_add_the_same_one_succeeds(url: str) -> None:
    """The tables are made meanwhile."""
    names = tuple(f"{number:02}" for number in range(10))
    said = race(url, Write(names, dict.fromkeys(names)), RACERS)
    assert sorted(said) == [LOST] * (RACERS - 1) + [WON]

    index = opened(url)
    found = list(index.search(DocumentQuery()))
    assert [each.id for each in found] == list(names)
    assert {each.publication for each in found} == {f"run-{said.index(WON)}"}
    index.close()


def test_of_writers_that_expect_the_same_one_succeeds(url: str) -> None:
    names = tuple(f"{number:02}" for number in range(10))
    first = [document(name) for name in names]
    index = opened(url)
    _add(index, *first)
    # Some stand and some do not, so that rows are locked and rows are added.
    more = (*names[3:], "new", "newer")
    expected = {**standing(first[3:]), "new": None, "newer": None}
    said = race_threads(url, Write(more, expected), RACERS)
    assert sorted(said) == [LOST] * (RACERS - 1) + [WON]
    found = list(index.search(DocumentQuery()))
    assert found[:3] == first[:3]
    assert [each.id for each in found[3:]] == list(more)
    assert {each.publication for each in found[3:]} == {f"run-{said.index(WON)}"}
    index.close()


def test_of_writers_and_deleters_that_expect_the_same_one_succeeds(url: str) -> None:
    names = tuple(f"{number:02}" for number in range(10))
    index = opened(url)
    for _ in range(3):
        first = [document(name) for name in names]
        _add(index, *first)
        said = race_threads(url, DeleteOrWrite(names, standing(first)), RACERS)
        assert sorted(said) == [LOST] * (RACERS - 1) + [WON]
        found = list(index.search(DocumentQuery()))
        winner = said.index(WON)
        publications = {f"run-{winner}"} if winner % 2 else set()
        assert {each.publication for each in found} == publications
        apply(index, [], [each.id for each in found], expected=standing(found))
    index.close()


def test_threads_share_an_index(index: DocumentIndex) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            mine = [document(f"{number}-{turn}", label=f"by worker{number}") for turn in range(5)]
            for each in mine:
                _add(index, each)
            assert [each.id for each in mine] == _found(index, text=f"WORKER{number} by")
            index.probe()
        except BaseException as error:  # noqa: BLE001 - the test fails with it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(RACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert failures == []
    assert len(_found(index)) == 5 * RACERS


def test_a_writer_killed_before_its_commit_leaves_nothing(url: str) -> None:
    kept = document("kept", location=rectangle(0, 0, 1, 1))
    index = opened(url)
    _add(index, kept)
    writes = [document("kept", label="new"), *(document(f"{number}") for number in range(50))]
    context = processes()
    at_the_end = context.Event()
    writer = context.Process(target=write_and_hang, args=(url, writes, at_the_end), daemon=True)
    writer.start()
    assert at_the_end.wait(PATIENCE_S)
    kill(writer)

    assert list(index.search(DocumentQuery())) == [kept]
    assert _found(index, bbox=(0, 0, 1, 1), text="kept") == ["kept"]
    apply(index, writes, expected={**absent(writes), **standing([kept])})
    assert len(_found(index)) == 51
    index.close()


def test_a_probe_leaves_nothing(url: str) -> None:
    index = opened(url)
    index.probe()
    index.probe()
    assert _found(index) == []
    index.close()


def test_tables_of_a_newer_release_are_refused(url: str) -> None:
    index = opened(url)
    index.probe()
    index.close()
    engine = create_engine(make_url(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE estinel_index SET version = 7"))
    engine.dispose()

    index = opened(url)
    with pytest.raises(PermanentError, match=r"version 7.*knows version 1") as caught:
        index.get(["a"])
    assert caught.value.reason == PublishingReason.INDEX_FAILED
    assert PASSWORD not in str(caught.value)
    index.close()


def test_a_database_that_others_lock_is_waited_for(url: str) -> None:
    index = opened(url)
    before, after = document("a", label="before"), document("a", label="after")
    _add(index, before)
    engine = create_engine(make_url(url))
    with engine.connect() as holder:
        if holder.dialect.name == "sqlite":
            holder.execute(text("BEGIN IMMEDIATE"))
        holder.execute(text("UPDATE estinel_documents SET digest = digest"))
        impatient = opened(url, ONCE)
        with pytest.raises(RetryableError) as caught:
            apply(impatient, [after], expected=standing([before]))
        assert caught.value.reason == PublishingReason.INDEX_FAILED
        assert list(impatient.search(DocumentQuery())) == [before], "reading waits as well"
        impatient.close()
        release = threading.Timer(0.3, holder.rollback)
        release.start()
        apply(index, [after], expected=standing([before]))
        release.join()
    engine.dispose()
    assert list(index.search(DocumentQuery())) == [after]
    index.close()


def test_sqlite_is_in_wal_mode_and_refuses_what_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    index = opened(f"sqlite:///{path}")
    index.probe()
    index.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    path.write_bytes(b"no database at all" * 100)
    index = opened(f"sqlite:///{path}")
    with pytest.raises(PermanentError, match=f"{path}.*not a database"):
        index.get(["a"])
    index.close()
    index = opened(f"sqlite:///{path}/below/index.sqlite")
    with pytest.raises(PermanentError, match="folder"):
        index.probe()
    index.close()


@pytest.mark.parametrize("fate", ["before", "after"])
def test_a_commit_without_an_answer_is_looked_up(server: Postgres, fate: str) -> None:
    url = new_database(server, uuid4().hex)
    with wire(server) as line:
        index = opened(postgres_url(server, make_url(url).database or "", port=line.port))
        old = document("old")
        _add(index, old)
        line.commits, line.breaks = 0, [fate]
        writes = [document("old", label="new"), document("a")]
        apply(index, writes, expected={**standing([old]), "a": None})
        assert line.commits == (2 if fate == "before" else 1), "repeated blindly"
        assert list(index.search(DocumentQuery())) == [writes[1], writes[0]]

        line.breaks = ["before"] * 100
        with pytest.raises(RetryableError, match="may stand, or not") as caught:
            apply(index, [], ["a"], expected=standing([writes[1]]))
        assert PASSWORD not in str(caught.value)
        line.breaks = []
        assert _found(index) == ["a", "old"]
        index.close()


def test_a_commit_without_an_answer_and_other_documents_then_is_no_success(
    server: Postgres,
) -> None:
    url = new_database(server, uuid4().hex)
    direct = opened(url)
    ours, theirs = document("a", label="ours"), document("a", label="theirs")
    meanwhile = RetryPolicy(
        attempts=5, backoff_s=0, backoff_max_s=0, deadline_s=20,
        sleep=lambda _: apply(direct, [theirs], expected=standing([ours])),
    )  # fmt: skip
    with wire(server) as line:
        index = opened(
            postgres_url(server, make_url(url).database or "", port=line.port), meanwhile
        )
        index.probe()
        line.breaks = ["after"]
        with pytest.raises(RetryableError, match="other documents stood") as caught:
            _add(index, ours)
        assert caught.value.reason == PublishingReason.INDEX_FAILED
        index.close()
    assert list(direct.search(DocumentQuery())) == [theirs]
    direct.close()


def test_a_server_that_is_away_is_a_retryable_failure(server: Postgres) -> None:
    with wire(server) as line:
        port = line.port
    index = opened(postgres_url(server, "index", port=port), ONCE)
    with pytest.raises(RetryableError) as caught:
        index.probe()
    assert caught.value.reason == PublishingReason.INDEX_FAILED
    message = str(caught.value)
    assert f"postgresql://127.0.0.1:{port}/index" in message
    assert PASSWORD not in message
    index.close()


def test_a_new_password_needs_no_restart(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make_url(new_database(server, uuid4().hex)).database
    passwords = tmp_path / "pgpass"

    def hand_out(password: str) -> None:
        passwords.write_text(f"*:*:*:*:{password}\n", encoding="utf-8")
        passwords.chmod(0o600)

    def command(statement: str) -> None:
        with closing(
            psycopg2.connect(
                host=server.host, port=server.port, user=USER, password=PASSWORD, dbname="postgres"
            )
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)

    command("CREATE ROLE publisher LOGIN PASSWORD 'first'")
    command(f'ALTER DATABASE "{database}" OWNER TO publisher')
    hand_out("first")
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    monkeypatch.setenv("PGUSER", "publisher")
    index = opened(f"postgresql://{server.host}:{server.port}/{database}")
    index.probe()
    command("ALTER ROLE publisher PASSWORD 'second'")
    hand_out("second")
    command("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'publisher'")
    _add(index, document("a"))
    assert _found(index) == ["a"]
    index.close()
