"""What every Handle service promises: the client of the REST interface, and the fake."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError, PermanentError
from estinel_assets.pids.handle_values import Change, compare
from estinel_assets.pids.ports import (
    ADMIN_TYPE,
    STAMP_INDEX,
    STAMP_TYPE,
    HandleService,
    HandleValue,
    Registered,
)
from estinel_assets.pids.stamps import Stamp
from tests.support.asgi import serve_asgi
from tests.support.handles import (
    LATER,
    STAMP,
    handle_app,
    handle_client,
    own_values,
    put_foreign,
    register,
    stamp_text,
    texts_of,
    values_of,
)
from tests.support.memory_handles import MemoryHandles

RACERS = 20


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_asgi(handle_app()) as root:
        yield root


@pytest.fixture(scope="module", params=["client", "client that reads first", "memory"])
def service(request: pytest.FixtureRequest, url: str) -> Iterator[HandleService]:
    made: HandleService
    if request.param == "memory":
        made = MemoryHandles()
    else:
        made = handle_client(url, read_first=request.param != "client")
    yield made
    made.close()


@pytest.fixture
def handle() -> str:
    return f"21.TEST/{uuid4()}"


Foreign = Callable[[str, list[HandleValue]], None]
"""Lets other values stand under a handle, as another writer left them."""


@pytest.fixture
def foreign(service: HandleService, url: str) -> Foreign:
    def write(handle: str, values: list[HandleValue]) -> None:
        admin = HandleValue(100, ADMIN_TYPE, "{}")
        if isinstance(service, MemoryHandles):
            service.put(handle, [*values, admin])
        else:
            put_foreign(url, handle, values)

    return write


def test_there_is_no_such_handle(service: HandleService, handle: str) -> None:
    assert service.read(handle) is None


def test_create_update_and_leave(service: HandleService, handle: str) -> None:
    first = values_of(URL="https://h/1", FILE_NAME="a.nc", FILE_SIZE="12")
    assert register(service, handle, first) is Registered.CREATED
    record = service.read(handle)
    assert record is not None
    assert record.handle == handle
    assert own_values(record) == first
    assert HandleValue(STAMP_INDEX, STAMP_TYPE, STAMP.text()) in record.values
    admins = [value for value in record.values if value.type == ADMIN_TYPE]
    assert [value.index for value in admins] == [100]

    assert register(service, handle, list(reversed(first))) is Registered.UNCHANGED
    second = values_of(URL="https://h/2", FILE_NAME="a.nc", FILE_SIZE="12", CHECKSUM="ab")
    assert register(service, handle, second) is Registered.UPDATED
    assert register(service, handle, second) is Registered.UNCHANGED
    after = service.read(handle)
    assert texts_of(after) == {value.type: value.data for value in second}
    assert after is not None
    assert [value for value in after.values if value.type == ADMIN_TYPE] == admins


def test_values_of_others_stay(service: HandleService, handle: str) -> None:
    register(service, handle, values_of(URL="https://h/1", CHECKSUM="ab", DATASET_ID="d"))
    # Another type has the index 2 here, and the known one stands elsewhere.
    ours = [HandleValue(1, "URL", "https://h/1"), HandleValue(2, "HAS_PARTS", "[]")]
    ours.append(HandleValue(5, "DATASET_ID", "e"))
    assert register(service, handle, ours) is Registered.UPDATED
    assert {value.index: value.data for value in own_values(service.read(handle))} == {
        1: "https://h/1",
        2: "ab",
        3: "e",
        4: "[]",
    }
    assert register(service, handle, ours) is Registered.UNCHANGED


def test_upper_and_lower_case_are_one_handle(service: HandleService, handle: str) -> None:
    upper = handle.upper()
    assert register(service, handle, values_of(URL="a")) is Registered.CREATED
    assert register(service, upper, values_of(URL="a")) is Registered.UNCHANGED
    record = service.read(upper)
    assert record is not None
    assert record.handle == upper


@pytest.mark.parametrize("suffix", ["a b", "x/y/z", "ä+%2F?&#日本", "a:b@c;d=e,f'(g)"])
def test_suffixes_and_texts_of_all_kinds(service: HandleService, handle: str, suffix: str) -> None:
    name = handle + suffix.replace(" ", "_")
    text = '{"host":"é 日本 👩‍🔬","list":["hdl:1/2"]}\n\t\\ &=#%'
    assert register(service, name, values_of(URL=text, EMPTY="")) is Registered.CREATED
    assert texts_of(service.read(name)) == {"URL": text, "EMPTY": ""}
    assert register(service, name, values_of(URL=text, EMPTY="")) is Registered.UNCHANGED
    assert service.read(handle) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "a/",
        "/a",
        "a/ b",
        "a/b\n",
        "hdl:a/b",
        "a/../b",
        "a/.",
        "a/\ud800",
        f"a/{'b' * 1023}",
    ],
)
def test_what_is_no_handle(service: HandleService, name: str) -> None:
    with pytest.raises(BadInputError, match="is no handle"):
        service.read(name)
    with pytest.raises(PermanentError, match="is no handle") as caught:
        register(service, name, values_of(URL="a"))
    assert caught.value.reason == "invalid_item"


def test_what_is_no_record(service: HandleService, handle: str) -> None:
    with pytest.raises(PermanentError, match="it has no values"):
        register(service, handle, [])
    bad = [
        HandleValue(0, "URL", "a"),
        HandleValue(2, "X", "a"),
        HandleValue(2, "Y", "a"),
        HandleValue(3, "", "a"),
        HandleValue(4, "Z", "\ud800"),
        HandleValue(100, ADMIN_TYPE, "a"),
    ]
    with pytest.raises(PermanentError) as caught:
        register(service, handle, bad, owned=[STAMP_TYPE])
    assert caught.value.reason == "invalid_item"
    for problem in (
        "'URL': 0 is no index",
        "'Y': another value has the index 2",
        "index 3 has no type",
        "index 4 is no Unicode text",
        "HS_ADMIN is not for callers",
        "ANNOUNCED_AT is not for callers",
    ):
        assert problem in str(caught.value)
    assert service.read(handle) is None


def test_many_threads_register_one_handle(service: HandleService, handle: str) -> None:
    start = threading.Barrier(RACERS)

    def run(_: int) -> Registered:
        start.wait(30)
        return register(service, handle, values_of(URL="https://h", FILE_NAME="a.nc"))

    with ThreadPoolExecutor(RACERS) as pool:
        done = list(pool.map(run, range(RACERS)))
    assert sorted(done) == [Registered.CREATED] + [Registered.UNCHANGED] * (RACERS - 1)
    assert texts_of(service.read(handle)) == {"URL": "https://h", "FILE_NAME": "a.nc"}


def test_writers_of_different_texts_leave_no_mixture(service: HandleService, handle: str) -> None:
    register(service, handle, values_of(URL="0", A="x", B="y"))
    start = threading.Barrier(8)

    def run(number: int) -> None:
        text = str(number % 2)
        start.wait(30)
        register(service, handle, values_of(URL=text, A=text, B=text))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    assert len(set(texts_of(service.read(handle)).values())) == 1


def test_a_probe_changes_nothing(service: HandleService) -> None:
    service.probe()
    assert service.read("21.TEST/estinel-assets-probe") is None


# The newest announcement wins.


def test_what_was_announced_before_leaves_what_stands_alone(
    service: HandleService, handle: str
) -> None:
    new = values_of(URL="new", SIZE="2")
    assert register(service, handle, new, stamp=LATER) is Registered.CREATED
    before = service.read(handle)
    old = values_of(URL="old", SIZE="1", NOTE="n")
    assert register(service, handle, old, owned=["SIZE"]) is Registered.SUPERSEDED
    assert register(service, handle, new) is Registered.SUPERSEDED
    assert service.read(handle) == before
    assert register(service, handle, new, stamp=LATER) is Registered.UNCHANGED


def test_what_is_announced_again_later_has_the_later_stamp(
    service: HandleService, handle: str
) -> None:
    values = values_of(URL="a", SIZE="1")
    register(service, handle, values)
    assert register(service, handle, values, stamp=LATER) is Registered.UPDATED
    assert stamp_text(service.read(handle)) == LATER.text()
    assert own_values(service.read(handle)) == values


@pytest.mark.parametrize("stamp", [STAMP, Stamp()])
@pytest.mark.parametrize("text", [None, "", "yesterday", "9999-12-31 CMIP6/3/41"])
def test_a_stamp_that_is_not_ours_is_older_than_all(
    service: HandleService, foreign: Foreign, handle: str, text: str | None, stamp: Stamp
) -> None:
    foreign(handle, values_of(URL="a", **({} if text is None else {STAMP_TYPE: text})))
    assert register(service, handle, values_of(URL="b"), stamp=stamp) is Registered.UPDATED
    assert stamp_text(service.read(handle)) == stamp.text()
    assert texts_of(service.read(handle)) == {"URL": "b"}


def test_of_several_stamps_the_newest_counts_and_one_stays(
    service: HandleService, foreign: Foreign, handle: str
) -> None:
    both = [HandleValue(2, STAMP_TYPE, LATER.text()), HandleValue(3, STAMP_TYPE, Stamp().text())]
    foreign(handle, [HandleValue(1, "URL", "a"), *both])
    assert register(service, handle, values_of(URL="b")) is Registered.SUPERSEDED
    assert register(service, handle, values_of(URL="b"), stamp=LATER) is Registered.UPDATED
    assert stamp_text(service.read(handle)) == LATER.text()


# What a record owns.


def test_values_that_are_gone_are_deleted_and_those_of_others_stay(
    service: HandleService, foreign: Foreign, handle: str
) -> None:
    owned = ["URL", "SIZE", "NOTE", "COPIES"]
    foreign(handle, [HandleValue(7, "NOTE", "second"), HandleValue(8, "THEIRS", "t")])
    full = values_of(URL="u", SIZE="1", NOTE="first", COPIES="c")
    assert register(service, handle, full, owned=owned) is Registered.UPDATED
    assert texts_of(service.read(handle)) == {
        "URL": "u",
        "SIZE": "1",
        "NOTE": "first",
        "COPIES": "c",
        "THEIRS": "t",
    }
    less = values_of(URL="u", SIZE="2")
    assert register(service, handle, less, owned=owned, stamp=LATER) is Registered.UPDATED
    assert own_values(service.read(handle)) == [*less, HandleValue(8, "THEIRS", "t")]
    record = service.read(handle)
    assert record is not None
    assert [one.index for one in record.values if one.type == ADMIN_TYPE] == [100]
    assert stamp_text(record) == LATER.text()
    assert register(service, handle, less, owned=owned, stamp=LATER) is Registered.UNCHANGED


def test_the_same_announcement_finishes_what_is_left_to_delete(
    service: HandleService, handle: str
) -> None:
    # As it stands between the writing and the deleting of an update.
    register(service, handle, values_of(URL="u", SIZE="2", NOTE="n"), stamp=LATER)
    less = values_of(URL="u", SIZE="2")
    assert register(service, handle, less, owned=["NOTE"]) is Registered.SUPERSEDED
    assert register(service, handle, less, owned=["NOTE"], stamp=LATER) is Registered.UPDATED
    assert texts_of(service.read(handle)) == {"URL": "u", "SIZE": "2"}


def test_threads_in_any_order_end_in_the_newest(service: HandleService, handle: str) -> None:
    stamps = [Stamp(STAMP.at, ("CMIP6", "3", str(number))) for number in range(RACERS)]
    start = threading.Barrier(RACERS)

    def run(number: int) -> Registered:
        start.wait(30)
        kind = "EVEN" if number % 2 == 0 else "ODD"
        values = values_of(**{"URL": str(number), kind: "x"})
        return register(service, handle, values, owned=["URL", "EVEN", "ODD"], stamp=stamps[number])

    with ThreadPoolExecutor(RACERS) as pool:
        done = list(pool.map(run, range(RACERS)))
    assert done.count(Registered.CREATED) == 1
    assert Registered.UNCHANGED not in done
    assert texts_of(service.read(handle)) == {"URL": str(RACERS - 1), "ODD": "x"}
    assert stamp_text(service.read(handle)) == stamps[-1].text()


INDEXES = st.integers(1, 110)
VALUES = st.builds(HandleValue, INDEXES, st.sampled_from("ABCD"), st.sampled_from("xy"))
RECORDS = st.lists(VALUES, unique_by=lambda value: value.index, max_size=8)


@given(RECORDS, RECORDS, st.frozensets(st.sampled_from("ABCD")))
def test_what_differs_is_written_once_and_touches_no_other_type(
    standing: list[HandleValue], wanted: list[HandleValue], owned: frozenset[str]
) -> None:
    before = {value.index: value for value in standing}
    change = compare(standing, wanted, owned)
    assert len({value.index for value in change.written}) == len(change.written)
    assert {value.index for value in change.written}.isdisjoint(change.deleted)
    for value in change.written:
        assert value.index not in before or before[value.index].type == value.type
    assert all(before[index].type in owned for index in change.deleted)
    after = before | {value.index: value for value in change.written}
    # What is left over does not hinder what is written, should the deleting have to follow later.
    assert compare(tuple(after.values()), wanted, owned) == Change(deleted=change.deleted)
    for index in change.deleted:
        del after[index]
    assert not compare(tuple(after.values()), wanted, owned)
    # Every wanted value has a place of its own, and nothing else of the owned types stands.
    places = list(after.values())
    for value in wanted:
        found = [one for one in places if (one.type, one.data) == (value.type, value.data)]
        places.remove(found[0])
    assert owned.isdisjoint(one.type for one in places)
