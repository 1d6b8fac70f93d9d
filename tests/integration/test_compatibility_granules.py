"""Granules, real and made, good and bad: each checked from end to end by the command.

CMR and files come over HTTP from the demo's server, in byte ranges; each check runs in an isolated
process. What the real granules are expected to be is the name of their folder.
"""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from estinel_assets.compatibility.opening_checks import PRELOADED
from estinel_assets.compatibility.request import CheckRequest, CheckSettings
from estinel_assets.compatibility.runner import check_isolated
from estinel_assets.compute.processes import Processes
from estinel_assets.settings import CompatibilitySettings, EarthdataSettings, Settings
from tests.support import granule_world as world_of
from tests.support.cli import command_line, estinel
from tests.support.granule_world import (
    GranuleWorld,
    granule_world,
    results,
    worker_pids,
)
from tests.support.real import real_data
from tests.support.running import running_estinel
from tests.support.titiler_cmr import running_titiler_cmr
from tests.support.web_server import Program

LIMIT = "ESTINEL_COMPATIBILITY_TIME_LIMIT_S"
ONE_WORKER = {"ESTINEL_COMPATIBILITY_WORKERS": "1"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GranuleWorld]:
    with granule_world(tmp_path_factory.mktemp("granules") / "world") as made:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Folder of the store of a test."""
    return tmp_path / "store"


def files_of(folder: Path) -> dict[str, bytes]:
    """The records of a store by path."""
    found = sorted(folder.rglob("result.json"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def native_tiles(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """Tiles beside 0/0/0 that have valid pixels."""
    return [tile for tile in outcome["detail"]["tiles"] if tile["z"] and tile["valid_pixels"]]


# --- real granules -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(
    world: GranuleWorld, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, dict[str, Any]], Path]:
    """The outcomes of all real granules, and the store that they stand in."""
    real_data("cmr/granules")
    store = tmp_path_factory.mktemp("real") / "store"
    ended = world.check(store, *world_of.REAL)
    assert ended.code == 0, "an honest no is no fault"
    return results(ended), store


@pytest.mark.parametrize(
    ("concept_id", "variable"), [("C101-REAL", "analysed_sst"), ("C102-REAL", "snow_fraction")]
)
def test_a_real_granule_that_can_be_tiled(real, concept_id: str, variable: str) -> None:
    outcome = real[0][concept_id]
    detail = outcome["detail"]

    assert (outcome["status"], outcome["reason"], outcome["error"]) == (True, "none", None)
    assert (detail["backend"], detail["variable"]) == ("xarray", variable)
    assert detail["tiles"][0]["z"] == 0
    assert native_tiles(outcome), "the tile at native zoom has valid pixels"
    assert {tile["through"] for tile in detail["tiles"]} == {"titiler.xarray"}
    assert list(detail["durations_s"]) == ["metadata", "granule", "open", "variables", "tile"]
    assert detail["readers"]["titiler.xarray"]


@pytest.mark.parametrize(
    ("concept_id", "groups"),
    [
        ("C103-REAL", ["/", "/data_01", "/data_01/ku"]),
        ("C104-REAL", ["/", "/Freeze_Thaw_Retrieval_Data_Global"]),
    ],
)
def test_a_real_granule_whose_variables_lie_in_groups(real, concept_id: str, groups: list[str]):
    outcome = real[0][concept_id]

    assert (outcome["status"], outcome["reason"]) == (False, "group_structure")
    assert outcome["detail"]["groups"] == groups
    assert groups[-1] in outcome["error"]
    # Their variables lie along a track, or in three dimensions without names.
    assert outcome["detail"]["hint"].startswith("no group holds a variable with dimensions x and y")


def test_a_real_swath_has_no_x_and_y(real) -> None:
    outcome = real[0]["C105-REAL"]

    assert (outcome["status"], outcome["reason"]) == (False, "no_xy_dimensions")
    assert "('NUMROWS', 'NUMCELLS')" in outcome["error"]
    assert outcome["detail"]["variable"] == "wind_speed"
    assert "swath" in outcome["detail"]["hint"]


def test_a_real_netcdf3_file_is_of_no_supported_format(real) -> None:
    """Whatever the metadata call it: its first bytes say so."""
    outcome = real[0]["C106-REAL"]

    assert (outcome["status"], outcome["reason"]) == (False, "unsupported_format")
    assert "netCDF-3" in outcome["error"]
    assert "netCDF-4" in outcome["detail"]["hint"]
    assert outcome["detail"]["format"] == "netCDF"


def test_results_stand_where_a_listing_finds_them(real) -> None:
    outcomes, store = real
    expected = {
        f"collections/{concept_id}/status={str(one['status']).lower()}/reason={one['reason']}"
        "/result.json"
        for concept_id, one in outcomes.items()
    }

    assert set(files_of(store)) == expected


def test_the_check_itself_in_the_process_engine(world: GranuleWorld) -> None:
    real_data("cmr/granules")
    settings = Settings(
        compatibility=CompatibilitySettings(cmr_url=world.cmr_url),
        earthdata=EarthdataSettings(token=SecretStr("unused")),
    )
    asked = [CheckRequest(one, CheckSettings.of(settings), seed=0) for one in world_of.REAL]
    engine = Processes(2, time_limit_s=60, memory_limit_mib=1024, preload=PRELOADED)

    ended = {one.item.concept_id: one.result() for one in engine.map(check_isolated, asked)}

    folders = {one: path.split("/")[0] for one, (path, _) in world_of.REAL.items()}
    said = {one: record.incompatible_reason for one, record in ended.items()}
    assert said == {
        one: {
            "ok_latlon": None,
            "ok_xy": None,
            "group_structure": "group_structure",
            "no_xy": "no_xy_dimensions",
            "netcdf3": "unsupported_format",
        }[folder]
        for one, folder in folders.items()
    }


# --- which granule, which address --------------------------------------------------------------


def test_the_seed_decides_which_granule_is_tried(world: GranuleWorld, store: Path) -> None:
    def tried(*options: str, **variables: str) -> tuple[str, int | None]:
        ended = world.check(store, world_of.MANY, *options, **variables)
        detail = results(ended)[world_of.MANY]["detail"]
        assert detail["num_granules"] == world_of.GRANULES_OF_MANY
        return detail["concept_id"], detail["seed"]

    first, again = tried(), tried()
    others = [tried(ESTINEL_COMPATIBILITY_SEED=str(seed)) for seed in (1, 2)]

    assert first == again
    assert first[1] == 0
    assert [seed for _, seed in others] == [1, 2]
    assert len({first[0], *(granule for granule, _ in others)}) > 1
    assert tried("--granule", "G33-MANY") == ("G33-MANY", None)


def test_direct_access_falls_back_to_https(world: GranuleWorld, store: Path) -> None:
    ended = world.check(store, world_of.GOOD, "--access", "direct")

    detail = results(ended)[world_of.GOOD]["detail"]
    assert ended.code == 0
    assert (detail["tiling_compatible"], detail["access"]) == (True, "external")
    both = results(world.check(store, world_of.BOTH_LINKS))[world_of.BOTH_LINKS]["detail"]
    assert (both["tiling_compatible"], both["access"]) == (True, "external")


# --- Earthdata Login ---------------------------------------------------------------------------


def test_a_file_behind_the_login_and_a_token_that_nobody_sees(
    world: GranuleWorld, store: Path, tmp_path: Path
) -> None:
    variables = {"ESTINEL_EARTHDATA_TOKEN": world_of.TOKEN}
    words = [
        *("--debug", "--log", tmp_path / "log.txt", "compatibility", "check", "--json"),
        *(world_of.LICENSED, world_of.SHUT, "C999-WORLD"),
    ]
    at = world.variables(store, **variables)
    with running_estinel(words, tmp_path / "said", **at) as command:
        done = command.ended()

    assert set(files_of(store / "collections" / world_of.LICENSED)) == {
        "status=true/reason=none/result.json"
    }
    assert '"collection": "C999-WORLD"' in done.stdout
    # The token went to the login, and to no one else; the file's server got a cookie.
    assert world.login.sent_to("localhost", "Authorization") >= {f"Bearer {world_of.TOKEN}"}
    assert world.login.sent_to("127.0.0.1", "Authorization") == set()
    assert done.code == 1
    assert "collection checked" in done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= 3
    for path in written:
        assert world_of.TOKEN.encode() not in path.read_bytes(), path
    assert world_of.TOKEN not in done.stdout + done.stderr


# --- files that hang, explode, crash, or are none ----------------------------------------------


def test_a_server_that_hangs_costs_one_collection(world: GranuleWorld, store: Path) -> None:
    asked = (world_of.HANGING, world_of.GOOD, world_of.RASTER)
    ended = world.check(store, *asked, **{LIMIT: "5"})

    found = results(ended)
    assert ended.code == 1, "some ended with a fault"
    assert found[world_of.HANGING]["reason"] == "timeout"
    assert "5 s" in found[world_of.HANGING]["error"]
    detail = found[world_of.HANGING]["detail"]
    assert detail["data_url"] == f"{world.hanging.url}/slow.nc", "what was known before is kept"
    assert found[world_of.GOOD]["status"] is True
    assert found[world_of.RASTER]["status"] is True
    assert native_tiles(found[world_of.RASTER])
    assert worker_pids() == []


def test_a_file_that_explodes_in_memory(world: GranuleWorld, store: Path) -> None:
    ended = world.check(store, world_of.GIANT, world_of.GOOD)

    found = results(ended)
    assert ended.code == 1
    assert found[world_of.GIANT]["reason"] == "out_of_memory"
    assert "compatibility.memory_limit_mib" in found[world_of.GIANT]["detail"]["hint"]
    assert found[world_of.GOOD]["status"] is True


@pytest.mark.parametrize(
    ("number", "reason", "says"),
    [
        (signal.SIGSEGV, "cant_open_file", "the reader crashed"),
        (signal.SIGKILL, "out_of_memory", "killed from outside (SIGKILL)"),
    ],
)
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="workers are found in /proc")
def test_a_worker_that_dies_costs_one_collection(
    world: GranuleWorld, store: Path, number: signal.Signals, reason: str, says: str
) -> None:
    killed: list[int] = []

    def kill() -> None:
        world.hanging.accepted.wait(60)
        for pid in worker_pids():
            os.kill(pid, number)
            killed.append(pid)

    world.hanging.accepted.clear()
    killer = threading.Thread(target=kill)
    killer.start()
    ended = world.check(store, world_of.HANGING, world_of.GOOD, **ONE_WORKER)
    killer.join()

    found = results(ended)
    assert len(killed) == 1
    assert found[world_of.HANGING]["reason"] == reason
    assert says in found[world_of.HANGING]["error"]
    assert found[world_of.GOOD]["status"] is True
    assert worker_pids() == []


def test_files_that_are_shut_or_not_what_they_are_called(world: GranuleWorld, store: Path) -> None:
    asked = (world_of.TRUNCATED, world_of.PAGE, world_of.GROUPED, world_of.BLANK, world_of.NO_LINK)
    found = results(world.check(store, *asked, world_of.SHUT, world_of.LICENSED))

    licensed = found.pop(world_of.LICENSED)
    assert licensed["status"] is False, "without credentials"
    assert {one: outcome["reason"] for one, outcome in found.items()} == {
        world_of.SHUT: "forbidden",
        world_of.TRUNCATED: "cant_open_file",
        world_of.PAGE: "forbidden",
        world_of.GROUPED: "group_structure",
        world_of.BLANK: "blank_tile",
        world_of.NO_LINK: "failed_to_extract_url",
    }
    assert "ESTINEL_EARTHDATA_TOKEN" in found[world_of.SHUT]["detail"]["hint"]
    assert "truncated" in found[world_of.TRUNCATED]["error"]
    assert "web page" in found[world_of.PAGE]["error"]
    assert found[world_of.GROUPED]["detail"]["hint"] == (
        "open group /science/ocean: its variable chlor_a has lon and lat"
    )


# --- stopping ----------------------------------------------------------------------------------


# Every day, a run is killed in `test_compatibility_crashes`, and the engine by itself.
@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_a_check_that_is_stopped_leaves_the_former_result_and_no_process(
    world: GranuleWorld, store: Path, tmp_path: Path, number: signal.Signals
) -> None:
    assert world.check(store, world_of.TURNING, "--granule", "G15-GOOD").code == 0
    before = files_of(store)
    words = ["compatibility", "check", world_of.TURNING, "--granule", "G15-HANGING"]
    world.hanging.accepted.clear()
    program = Program(command_line(words), world.variables(store), tmp_path / "said.txt")
    try:
        assert world.hanging.accepted.wait(60), program.said.read_text()
        running = program.family()
        program.process.send_signal(number)
        code = program.process.wait(30)
        left = program.wait_until_gone(20)
    finally:
        program.kill()

    said = program.said.read_text()
    assert len(running) >= 3, "the command, the fork server and a worker"
    assert left == []
    assert code == (5 if number == signal.SIGINT else -signal.SIGKILL), said
    if number == signal.SIGINT:
        assert "stopped after 0 of 1 collections; their results stand" in said
    assert files_of(store) == before


# --- through a running TiTiler-CMR -------------------------------------------------------------


@pytest.fixture(scope="module")
def titiler(world: GranuleWorld) -> Iterator[str]:
    served = {
        world_of.GOOD: world.files / "good.nc",
        world_of.RASTER: world.files / "raster.tif",
    }
    with running_titiler_cmr(served) as address:
        yield address


def test_the_endpoint_makes_the_same_tiles(world: GranuleWorld, store: Path, titiler: str) -> None:
    ended = world.check(store, world_of.GOOD, world_of.RASTER, "--endpoint", titiler)

    for concept_id, outcome in results(ended).items():
        assert outcome["status"], outcome["error"]
        tiles = outcome["detail"]["tiles"]
        own = {(t["z"], t["x"], t["y"]): t for t in tiles if t["through"] != "titiler-cmr"}
        theirs = {(t["z"], t["x"], t["y"]): t for t in tiles if t["through"] == "titiler-cmr"}
        assert (0, 0, 0) in theirs
        assert set(theirs) <= set(own)
        for place, tile in theirs.items():
            # Its edges are resampled from another window.
            expected = pytest.approx(own[place]["valid_pixels"], rel=0.02)
            assert tile["valid_pixels"] == expected, (concept_id, place)
        assert any(tile["valid_pixels"] for tile in theirs.values())
        assert outcome["detail"]["tiles_url"].startswith(
            f"{titiler}/tiles/WebMercatorQuad/0/0/0.png?concept_id={concept_id}"
        )
        assert "endpoint" in outcome["detail"]["durations_s"]


@pytest.mark.parametrize(
    ("below", "reason", "says"),
    [
        ("broken", "tile_generation_failed", "TiTiler-CMR answered 500 to tile 0/0/0: the sky"),
        ("blank", "blank_tile", "has no valid pixel, which the reader here found some in"),
        ("page", "tile_generation_failed", "no PNG (text/html"),
    ],
)
def test_an_endpoint_that_fails_says_so(
    world: GranuleWorld, store: Path, titiler: str, below: str, reason: str, says: str
) -> None:
    variables = {"ESTINEL_COMPATIBILITY_ENDPOINT": f"{titiler}/{below}"}
    outcome = results(world.check(store, world_of.GOOD, **variables))[world_of.GOOD]

    assert (outcome["status"], outcome["reason"]) == (False, reason)
    assert says in outcome["error"]
    through = {tile["through"]: tile["valid_pixels"] for tile in outcome["detail"]["tiles"]}
    assert through["titiler.xarray"], "our own reader made it"
    assert not through["titiler-cmr"]


# --- what becomes of it all --------------------------------------------------------------------


def test_each_check_has_an_id_of_its_own_and_everything_is_exported(
    world: GranuleWorld, store: Path, tmp_path: Path
) -> None:
    first = results(world.check(store, world_of.GOOD))[world_of.GOOD]
    second = results(world.check(store, world_of.GOOD, world_of.GROUPED))
    variables = world.variables(store)
    file = tmp_path / "results.parquet"
    exported = estinel("compatibility", "export", "-o", file, "--details", "--json", **variables)

    assert first["run_id"].startswith("command-")
    assert first["run_id"] != second[world_of.GOOD]["run_id"]
    assert second[world_of.GROUPED]["run_id"] == second[world_of.GOOD]["run_id"]
    assert exported.document == {"file": str(file), "results": 2}
    table = pq.read_table(file).to_pydict()
    assert dict(zip(table["collection_concept_id"], table["tiling_compatible"], strict=True)) == {
        world_of.GOOD: True,
        world_of.GROUPED: False,
    }
    assert "hint" in table
