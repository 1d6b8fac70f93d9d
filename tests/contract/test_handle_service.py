"""What every Handle service promises: the client of the REST interface, and the fake."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.pids.handle_values import differing
from estinel_assets.pids.ports import ADMIN_TYPE, HandleService, HandleValue, Registered
from tests.support.asgi import serve_asgi
from tests.support.handles import handle_app, handle_client, texts_of, values_of
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


def test_there_is_no_such_handle(service: HandleService, handle: str) -> None:
    assert service.read(handle) is None


def test_create_update_and_leave(service: HandleService, handle: str) -> None:
    first = values_of(URL="https://h/1", FILE_NAME="a.nc", FILE_SIZE="12")
    assert service.register(handle, first) is Registered.CREATED
    record = service.read(handle)
    assert record is not None
    assert record.handle == handle
    assert [value for value in record.values if value.type != ADMIN_TYPE] == first
    admins = [value for value in record.values if value.type == ADMIN_TYPE]
    assert [value.index for value in admins] == [100]

    assert service.register(handle, list(reversed(first))) is Registered.UNCHANGED
    second = values_of(URL="https://h/2", FILE_NAME="a.nc", FILE_SIZE="12", CHECKSUM="ab")
    assert service.register(handle, second) is Registered.UPDATED
    assert service.register(handle, second) is Registered.UNCHANGED
    after = service.read(handle)
    assert texts_of(after) == {value.type: value.data for value in second}
    assert after is not None
    assert [value for value in after.values if value.type == ADMIN_TYPE] == admins


def test_values_of_others_stay(service: HandleService, handle: str) -> None:
    service.register(handle, values_of(URL="https://h/1", CHECKSUM="ab", DATASET_ID="d"))
    # Another type has the index 2 here, and the known one stands elsewhere.
    ours = [HandleValue(1, "URL", "https://h/1"), HandleValue(2, "HAS_PARTS", "[]")]
    ours.append(HandleValue(5, "DATASET_ID", "e"))
    assert service.register(handle, ours) is Registered.UPDATED
    record = service.read(handle)
    assert record is not None
    assert {value.index: value.data for value in record.values if value.type != ADMIN_TYPE} == {
        1: "https://h/1",
        2: "ab",
        3: "e",
        4: "[]",
    }
    assert service.register(handle, ours) is Registered.UNCHANGED


def test_upper_and_lower_case_are_one_handle(service: HandleService, handle: str) -> None:
    upper = handle.upper()
    assert service.register(handle, values_of(URL="a")) is Registered.CREATED
    assert service.register(upper, values_of(URL="a")) is Registered.UNCHANGED
    record = service.read(upper)
    assert record is not None
    assert record.handle == upper


@pytest.mark.parametrize("suffix", ["a b", "x/y/z", "ä+%2F?&#日本", "a:b@c;d=e,f'(g)"])
def test_suffixes_and_texts_of_all_kinds(service: HandleService, handle: str, suffix: str) -> None:
    name = handle + suffix.replace(" ", "_")
    text = '{"host":"é 日本 👩‍🔬","list":["hdl:1/2"]}\n\t\\ &=#%'
    assert service.register(name, values_of(URL=text, EMPTY="")) is Registered.CREATED
    assert texts_of(service.read(name)) == {"URL": text, "EMPTY": ""}
    assert service.register(name, values_of(URL=text, EMPTY="")) is Registered.UNCHANGED
    assert service.read(handle) is None


@pytest.mark.parametrize(
    "name", ["", "a", "a/", "/a", "a/ b", "a/b\n", "hdl:a/b", "a/../b", "a/.", "a/\ud800"]
)
def test_what_is_no_handle(service: HandleService, name: str) -> None:
    with pytest.raises(BadInputError, match="is no handle"):
        service.read(name)
    with pytest.raises(BadInputError, match="is no handle"):
        service.register(name, values_of(URL="a"))


def test_what_are_no_values(service: HandleService, handle: str) -> None:
    with pytest.raises(BadInputError, match="there are none"):
        service.register(handle, [])
    bad = [
        HandleValue(0, "URL", "a"),
        HandleValue(2, "X", "a"),
        HandleValue(2, "Y", "a"),
        HandleValue(3, "", "a"),
        HandleValue(4, "Z", "\ud800"),
        HandleValue(100, ADMIN_TYPE, "a"),
    ]
    with pytest.raises(BadInputError) as caught:
        service.register(handle, bad)
    for problem in (
        "URL: 0 is no index",
        "Y: another value has the index 2",
        "index 3 has no type",
        "index 4 is no Unicode text",
        "HS_ADMIN is not for callers",
    ):
        assert problem in str(caught.value)
    assert service.read(handle) is None


def test_many_threads_register_one_handle(service: HandleService, handle: str) -> None:
    start = threading.Barrier(RACERS)

    def run(_: int) -> Registered:
        start.wait(30)
        return service.register(handle, values_of(URL="https://h", FILE_NAME="a.nc"))

    with ThreadPoolExecutor(RACERS) as pool:
        done = list(pool.map(run, range(RACERS)))
    assert sorted(done) == [Registered.CREATED] + [Registered.UNCHANGED] * (RACERS - 1)
    assert texts_of(service.read(handle)) == {"URL": "https://h", "FILE_NAME": "a.nc"}


def test_writers_of_different_texts_leave_no_mixture(service: HandleService, handle: str) -> None:
    service.register(handle, values_of(URL="0", A="x", B="y"))
    start = threading.Barrier(8)

    def run(number: int) -> None:
        text = str(number % 2)
        start.wait(30)
        service.register(handle, values_of(URL=text, A=text, B=text))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    assert len(set(texts_of(service.read(handle)).values())) == 1


def test_a_probe_changes_nothing(service: HandleService) -> None:
    service.probe()
    assert service.read("21.TEST/estinel-assets-probe") is None


INDEXES = st.integers(1, 110)
VALUES = st.builds(HandleValue, INDEXES, st.sampled_from("ABCD"), st.sampled_from("xy"))
RECORDS = st.lists(VALUES, unique_by=lambda value: value.index, max_size=8)


@given(RECORDS, RECORDS)
def test_what_differs_is_written_once_and_touches_no_other_type(
    standing: list[HandleValue], wanted: list[HandleValue]
) -> None:
    before = {value.index: value for value in standing}
    missing = differing(standing, wanted)
    assert len({value.index for value in missing}) == len(missing)
    for value in missing:
        assert value.index not in before or before[value.index].type == value.type
    after = before | {value.index: value for value in missing}
    assert differing(tuple(after.values()), wanted) == ()
    # Every wanted value has a place of its own.
    places = list(after.values())
    for value in wanted:
        found = [one for one in places if (one.type, one.data) == (value.type, value.data)]
        places.remove(found[0])
