"""`estinel compatibility` from `sync` to `export`, over the demo's collections, with Dagster.

What the granules are is the business of `test_compatibility_granules`.
"""

import hashlib
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from estinel_assets.demo.cmr import LocalCmr, collection_item, granule_item, running_cmr
from estinel_assets.demo.collections import COLLECTIONS, build_collections, concept_id
from estinel_assets.demo.granule_files import write_grid
from estinel_assets.orchestration import by_reason
from tests.support.cli import Outcome as Ended
from tests.support.cli import command_line, estinel
from tests.support.cmr import page
from tests.support.dagster_store import quiet_dagster
from tests.support.granule_world import HangingServer
from tests.support.real import ROOT
from tests.support.replay import Answer, ScriptedServer
from tests.support.web_server import Program

pytestmark = quiet_dagster

EXPECTED = {concept_id(number): made.reason for number, made in enumerate(COLLECTIONS)}
ALL = len(EXPECTED)


@dataclass(frozen=True)
class User:
    """Somebody with a store, a Dagster home, and a CMR."""

    folder: Path
    cmr_url: str

    @property
    def variables(self) -> dict[str, str]:
        return {
            "ESTINEL_STORE_URL": f"file://{self.folder}/store",
            "DAGSTER_HOME": str(self.folder / "home"),
            "ESTINEL_COMPATIBILITY_CMR_URL": self.cmr_url,
            "ESTINEL_COMPATIBILITY_MEMORY_LIMIT_MIB": "512",
            "ESTINEL_TRANSPORT_ATTEMPTS": "2",
            "ESTINEL_TRANSPORT_BACKOFF_S": "0",
            "NETRC": str(self.folder / "no-netrc"),
        }

    def asks(self, *arguments: object, **variables: str) -> Ended:
        return estinel(*arguments, **{**self.variables, **variables})

    def state(self) -> tuple[str, frozenset[str]]:
        """What is stored, and the partitions."""
        digest = hashlib.sha256()
        for path in sorted((self.folder / "store").rglob("*")):
            if path.is_file() and ".locks" not in path.parts:
                digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest(), frozenset(self.partitions())

    def partitions(self) -> set[str]:
        with self.instance() as instance:
            return set(instance.get_dynamic_partitions("collections"))

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.folder / "home"))


@pytest.fixture(scope="module")
def cmr_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("demo-cmr")
    build_collections(folder)
    with running_cmr(folder) as root:
        yield f"{root}/search"


def new_user(folder: Path, cmr_url: str) -> User:
    (folder / "home").mkdir(parents=True)
    shutil.copy(ROOT / "dagster.yaml", folder / "home")
    return User(folder, cmr_url)


@pytest.fixture(scope="module")
def synced(cmr_url: str, tmp_path_factory: pytest.TempPathFactory) -> User:
    """Somebody who has asked CMR once, for tests that change nothing."""
    user = new_user(tmp_path_factory.mktemp("synced"), cmr_url)
    assert user.asks("compatibility", "sync").code == 0
    return user


def test_from_nothing_to_a_table(cmr_url: str, tmp_path: Path) -> None:
    user = new_user(tmp_path, cmr_url)

    before = user.asks("compatibility", "status")
    assert (before.code, before.stdout.splitlines()[0]) == (
        0,
        "0 collections: 0 done, 0 left; `estinel compatibility sync` asks CMR how many there are",
    )
    unknown = user.asks("compatibility", "run", "--json")
    assert unknown.code == 6
    assert "no collections are known yet" in unknown.document["error"]["message"]

    counts = {"collections": ALL, "new": ALL, "gone": 0}
    assert user.asks("compatibility", "sync", "--json").document == counts
    assert user.partitions() == set(EXPECTED)

    some = user.asks("compatibility", "run", "--limit", 3, "--json")
    assert some.code == 0
    # CMR's order: the first three can be tiled.
    assert some.document["by_reason"] == {"none": 3}
    assert (some.document["asked"], some.document["checked"], some.document["left"]) == (3, 3, 0)
    standing = user.asks("compatibility", "status", "--json").document
    assert (standing["total"], standing["done"], standing["left"]) == (ALL, 3, ALL - 3)

    rest = user.asks("compatibility", "run", "--json")
    assert rest.code == 1, "some ended with a fault"
    assert rest.document["checked"] == ALL - 3
    assert rest.document["errors"] == [], "a fault is a result; nothing was left unchecked"
    nothing = user.asks("compatibility", "run")
    assert (nothing.code, nothing.stdout) == (6, "")
    # Of the faults, that of the memory is final.
    assert "every known collection has a result, and 2 of them are tried again" in nothing.stderr

    listed = user.asks("outcomes", "list", "-p", "compatibility", "--json").document
    assert {one["key"]: one["reason"] for one in listed} == EXPECTED
    shown = user.asks("compatibility", "status").stdout
    assert shown.startswith(f"{ALL} collections: {ALL} done, 0 left\n")
    assert f"23.1%  {'█' * 45}" in shown, "3 of 13"

    _reprocess(user)


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["dask", "lithops"])
def test_other_engines_find_the_same(cmr_url: str, tmp_path: Path, engine: str) -> None:
    user = new_user(tmp_path, cmr_url)
    assert user.asks("compatibility", "sync").code == 0
    asked = ("compatibility", "run", "--engine", engine, "--json")
    # Demo limits would stop a process that first has to start a cluster.
    ended = user.asks(*asked, ESTINEL_COMPATIBILITY_MEMORY_LIMIT_MIB="2048")
    assert ended.document["checked"] == ALL
    listed = user.asks("outcomes", "list", "-p", "compatibility", "--json").document
    found = {one["key"]: one["reason"] for one in listed}
    # One granule is made to need more memory than a process may have, which is no limit here.
    memory = {key for key, reason in EXPECTED.items() if reason == "out_of_memory"}
    assert {key: found[key] for key in EXPECTED.keys() - memory} == {
        key: reason for key, reason in EXPECTED.items() if key not in memory
    }


def _reprocess(user: User) -> None:
    """Somebody asks for all of a reason again; what they stand under is the same."""
    asked = ("reprocess", "-p", "compatibility", "--reason", "forbidden")
    (licensed,) = [one for one, reason in EXPECTED.items() if reason == "forbidden"]
    state = user.state()
    plan = user.asks(*asked, "--dry-run", "--json").document
    assert [one["key"] for one in plan] == [licensed]
    assert user.state() == state, "a dry run changes nothing"
    again = user.asks(*asked, "--json")
    assert again.code == 2, "all ended with a fault"
    assert again.document["by_reason"] == {"forbidden": 1}


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([Answer(500, b"tired")], "the server answered 500"),
        ([Answer.html()], "the answer is no JSON but 33 bytes, text/html"),
        ([Answer(200, b'{"hits":5,"items":[{"me', {"CMR-Hits": "5"})], "the answer is no JSON"),
        ([Answer(200, page([]).body, page([]).headers, cut=True)], "the connection failed"),
        (
            [
                page([collection_item("C1-X", "N", "1")], hits=5, search_after="[1]"),
                page([], hits=5),
            ],
            "counts 5 collections and listed 1",
        ),
        ([page([])], "lists no collection of the EOSDIS archives"),
    ],
    ids=["500", "HTML", "half JSON", "cut", "half a list", "zero"],
)
def test_a_cmr_in_trouble_changes_nothing(synced: User, answers: list[Answer], says: str) -> None:
    before = synced.state()
    with ScriptedServer(*answers) as server:
        at = {"ESTINEL_COMPATIBILITY_CMR_URL": f"{server.url}/search"}
        ended = synced.asks("compatibility", "sync", "--json", **at)

    assert ended.code == 2
    assert says in ended.document["error"]["message"]
    assert ended.stderr.rstrip().endswith(ended.document["error"]["message"])
    assert synced.state() == before


def test_a_check_without_a_cmr_records_nothing(synced: User) -> None:
    before = synced.state()
    with ScriptedServer(Answer(500, b"tired")) as server:
        at = {"ESTINEL_COMPATIBILITY_CMR_URL": f"{server.url}/search"}
        ended = synced.asks("compatibility", "check", "C1000-DEMO", "--json", **at)

    assert ended.code == 2
    message = ended.document["error"]["message"]
    assert message.startswith("1 collection was not checked, and stands as before: C1000-DEMO: GET")
    assert synced.state() == before


def test_runs_end_where_most_is_left_unchecked(
    synced: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps a run from its collections keeps the next one, too."""
    monkeypatch.setattr(by_reason, "MOST_KEYS", 6)
    before = synced.state()
    with ScriptedServer(Answer(500, b"tired")) as server:
        at = {"ESTINEL_COMPATIBILITY_CMR_URL": f"{server.url}/search"}
        ended = synced.asks("compatibility", "run", "--json", **at)

    document = ended.document
    assert ended.code == 2
    assert (document["asked"], document["checked"], document["left"]) == (ALL, 0, ALL)
    (error,) = document["errors"]
    assert "5 checks in a row had no answer of CMR" in error
    assert synced.state() == before
    with synced.instance() as instance:
        runs = instance.get_runs(dg.RunsFilter(job_name="check_collections"))
    assert [run.status for run in runs] == [dg.DagsterRunStatus.FAILURE]


def test_unknown_and_known_collections(cmr_url: str, tmp_path: Path) -> None:
    user = new_user(tmp_path, cmr_url)

    for words in (("C9-NOWHERE",), ("C1000-DEMO", "--granule", "G9-NOWHERE")):
        unknown = user.asks("compatibility", "check", *words, "--json")
        assert unknown.code == 3
        assert unknown.document["error"]["type"] == "BadInputError"
        assert "NOWHERE" in unknown.document["error"]["message"]
    assert not list((user.folder / "store").rglob("*.json"))
    assert user.partitions() == set()

    honest = user.asks("compatibility", "check", "C1003-DEMO", "C1003-DEMO")
    mixed = user.asks("compatibility", "check", "C1000-DEMO", "C9-NOWHERE", "--json")
    faults = user.asks("compatibility", "check", "C1009-DEMO", "--json")

    assert honest.code == 0, "an honest no is an answer"
    assert len(honest.stdout.splitlines()) == 2
    assert "open group /science/ocean" in honest.stdout
    assert mixed.code == 1
    assert [one["key"] for one in mixed.document["results"]] == ["C1000-DEMO"]
    assert [one["collection"] for one in mixed.document["unchecked"]] == ["C9-NOWHERE"]
    assert faults.code == 2
    assert faults.document["results"][0]["reason"] == "cant_open_file"
    # What was checked shows in Dagster; what is unknown does not.
    assert user.partitions() == {"C1000-DEMO", "C1003-DEMO", "C1009-DEMO"}
    with user.instance() as instance:
        asset = dg.AssetKey("compatibility_results")
        green = instance.get_materialized_partitions(asset)
    assert green == {"C1000-DEMO", "C1003-DEMO"}, "a fault is not green"


# Every day an update of imagery is interrupted, and the engine of processes by itself.
@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_a_run_that_is_interrupted_says_what_stands(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    write_grid(tmp_path / "files" / "good.nc", rows=18, columns=36)
    addresses = {f"C{number}-X": "files/good.nc" for number in range(3)}
    with HangingServer() as hanging:
        addresses |= {f"C{number}-X": f"{hanging.url}/slow.nc" for number in range(3, 8)}
        LocalCmr(
            [collection_item(one, f"NAME_{one}", "1", format="netCDF-4") for one in addresses],
            {key: [granule_item(f"G{key[1:]}", key, at)] for key, at in addresses.items()},
            files=tmp_path / "files",
        ).write(tmp_path / "cmr")
        with running_cmr(tmp_path / "cmr") as root:
            user = new_user(tmp_path / "user", f"{root}/search")
            assert user.asks("compatibility", "sync").code == 0
            words = command_line(["compatibility", "run", "--json"])
            program = Program(words, user.variables, tmp_path / "said.txt")
            try:
                assert hanging.accepted.wait(90), program.said.read_text()
                # As a terminal does: to all that it started.
                os.killpg(program.process.pid, signal.SIGINT)
                code = program.process.wait(60)
                left = program.wait_until_gone(20)
            finally:
                program.kill()
            standing = user.asks("compatibility", "status", "--json").document

    said = program.said.read_text()
    done = standing["done"]
    assert code == 5, said
    assert f"stopped after {done} of 8 collections; their results stand" in said
    assert standing["by_reason"] == ({"none": done} if done else {})
    assert left == []
    with user.instance() as instance:
        (run,) = instance.get_runs(dg.RunsFilter(job_name="check_collections"))
    assert run.status == dg.DagsterRunStatus.FAILURE
