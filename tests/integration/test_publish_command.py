"""`estinel publish` with a STAC API that takes transactions, with Dagster, and its demo."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest
import requests

from estinel_assets.demo.job_folders import (
    COLLECTION,
    make_job_folder,
    write_datasets_config,
)
from estinel_assets.stac.api.server import ServerThread
from tests.support.cli import Outcome as Ended
from tests.support.cli import estinel, estinel_process
from tests.support.dagster_store import quiet_dagster
from tests.support.real import ROOT

pytestmark = quiet_dagster

KEY = "a-secret-key"
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[(debug|info|warning) *\] ")


@dataclass
class User:
    """Somebody with a store, a Dagster home, a STAC API and a job folder."""

    folder: Path
    server: ServerThread
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "home").mkdir(parents=True)
        shutil.copy(ROOT / "dagster.yaml", self.folder / "home")
        write_datasets_config(self.folder / "datasets.json")
        self.make()
        self.variables = {
            "ESTINEL_STORE_URL": f"file://{self.folder}/store",
            "ESTINEL_PUBLISHING_CONFIG": str(self.folder / "datasets.json"),
            "ESTINEL_PUBLISHING_STAC_URL": self.server.url,
            "ESTINEL_PUBLISHING_STAC_KEY": KEY,
            "ESTINEL_TRANSPORT_ATTEMPTS": "1",
            "DAGSTER_HOME": str(self.folder / "home"),
        }

    @property
    def job(self) -> Path:
        return self.folder / "job-17"

    def make(self, edition: int = 1) -> None:
        shutil.rmtree(self.job, ignore_errors=True)
        make_job_folder(self.job, edition=edition)

    def asks(self, *arguments: object, **variables: str) -> Ended:
        return estinel(*arguments, **{**self.variables, **variables})

    def publish(self, *arguments: object, **variables: str) -> Ended:
        return self.asks("publish", *arguments, **variables)

    def items(self) -> dict[str, str]:
        """Ids of the items that readers see, each with the address of its raster."""
        url = f"{self.server.url}/collections/{COLLECTION}/items"
        answer = requests.get(url, params={"limit": "100"}, timeout=10)
        if answer.status_code == 404:
            return {}
        features = answer.json()["features"]
        return {one["id"]: one["assets"]["cover"]["href"] for one in features}


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with ServerThread(tmp_path / "stac.sqlite", transactions=True, api_key=KEY) as server:
        yield User(tmp_path / "user", server)


def test_a_folder_is_published_replaced_and_removed(user: User) -> None:
    first = user.publish(user.job, "--json")
    assert first.code == 0, first.stderr
    assert first.document["detail"]["action"] == "published"
    before = user.items()
    assert len(before) == 6
    for address in before.values():
        assert Path(address.removeprefix("file://")).is_file()
    assert user.publish("audit").code == 0

    user.make(edition=2)
    assert user.publish(user.job).code == 2, "other content, and the policy is to refuse"
    assert user.items() == before
    replaced = user.publish(user.job, "--policy", "replace", "--json")
    assert replaced.document["detail"]["action"] == "replaced"
    after = user.items()
    assert (min(before) in after, max(after) in before) == (False, False)
    for address in after.values():
        assert Path(address.removeprefix("file://")).is_file()
    assert user.publish("audit").code == 0

    assert user.publish("remove", "job-17").code == 0
    assert user.items() == {}
    assert user.publish("audit").code == 0


def test_dagster_shows_what_stands_and_what_failed(user: User) -> None:
    assert user.publish(user.job).code == 0
    user.make(edition=2)
    assert user.publish(user.job).code == 2

    asset = dg.AssetKey("publications")
    with dg.DagsterInstance.from_config(str(user.folder / "home")) as instance:
        assert instance.get_dynamic_partitions("publications") == ["job-17"]
        made = instance.fetch_materializations(asset, limit=10).records
        seen = instance.fetch_observations(asset, limit=10).records
    assert [record.partition_key for record in made] == ["job-17"]
    metadata = made[0].asset_materialization
    assert metadata is not None
    assert metadata.metadata["items"].value == 6
    observed = seen[0].asset_observation
    assert observed is not None
    assert observed.metadata["reason"].value == "already_published"
    nowhere = user.publish(user.job, DAGSTER_HOME=str(user.folder / "none"))
    assert nowhere.code == 3


def test_an_api_that_goes_away_in_the_middle(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it cannot be asked about stays in the journal, until `recover`."""
    from estinel_assets.cli import publish_folder

    assert user.publish(user.job).code == 0
    before = user.items()
    user.make(edition=2)
    port = int(user.server.url.rpartition(":")[2])

    class Hooked:
        def __enter__(self) -> object:
            return lambda _: user.server.stop()

        def __exit__(self, *error: object) -> None:
            pass

    with monkeypatch.context() as patched:
        patched.setattr(publish_folder, "copied_objects", Hooked)
        failed = user.publish(user.job, "--policy", "replace", "--json")
    assert failed.code == 2
    assert failed.document["reason"] == "undo_incomplete"
    left = [one["step"] for one in failed.document["detail"]["left"]]
    assert left == [f"replace collection {COLLECTION}", "delete 34 objects"]
    shown = user.publish("show", "job-17")
    assert f"not undone   replace collection {COLLECTION}" in shown.stdout
    assert "`estinel publish recover job-17` closes what is open." in shown.stdout
    still = user.publish("recover", "--json")
    assert (still.code, still.document["recovered"][0]["closed"]) == (2, False)

    user.server = ServerThread(
        user.folder.parent / "stac.sqlite", port=port, transactions=True, api_key=KEY
    )
    with user.server:
        recovered = user.publish("recover", "job-17")
        assert recovered.code == 0, recovered.stderr
        assert user.items() == before
        assert user.publish("recover").code == 6
        assert user.publish("audit").code == 0


def test_a_key_that_is_refused(user: User) -> None:
    wrong = {"ESTINEL_PUBLISHING_STAC_KEY": "another-secret"}
    failed = user.publish(user.job, "--json", **wrong)
    checked = user.asks("doctor", "--json", **wrong)
    healthy = user.asks("doctor", "--json")

    assert failed.code == 2
    assert failed.document["reason"] == "stac_failed"
    verdicts = [
        {one["name"]: one["verdict"] for one in ended.document["checks"]}
        for ended in (checked, healthy)
    ]
    assert [found["stac transactions"] for found in verdicts] == ["fail", "ok"]
    assert [found["dataset index"] for found in verdicts] == ["ok", "ok"]
    for ended in (failed, checked, healthy):
        assert "secret" not in ended.stdout + ended.stderr
    assert user.items() == {}
    assert not list((user.folder / "store" / "published").rglob("*.tif"))


# --- the demo ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """Where `estinel demo publish` was called, and how it ended."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, estinel_process("demo", "publish", "--port", "0", cwd=folder)


def test_the_demo_shows_a_failure_and_its_repair(demo: tuple[Path, Ended]) -> None:
    folder, ended = demo
    assert ended.code == 0, ended.stderr
    lines = [line.strip() for line in ended.stdout.splitlines()]

    assert "published; there are: 34 objects, 8 documents, 1 collections, 6 items" in lines
    assert "STAC API, late July:            snow-20240722, snow-20240727" in lines
    assert f"not undone yet: replace collection {COLLECTION}" in lines
    assert "of these, as before: 34 objects, 8 documents" in lines
    assert "undone; there are as before: 34 objects, 8 documents, 1 collections, 6 items" in lines
    assert "gone: snow-20240712; new: snow-20240811" in lines
    assert [line for line in ended.stderr.splitlines() if not LOG_LINE.match(line)] == []
    assert sorted(path.name for path in folder.iterdir()) == [".demo"]


def test_what_the_demo_says_to_do_works(demo: tuple[Path, Ended]) -> None:
    folder, ended = demo
    said = [line.strip() for line in ended.stdout.splitlines()]
    variables = dict(line[7:].split("=", 1) for line in said if line.startswith("export "))
    commands = [line.split()[1:] for line in said if line.startswith("estinel ")]
    (serve,) = [words for words in commands if words[0] == "stac"]
    port, database = (serve[serve.index(name) + 1] for name in ("--port", "--database"))

    assert len(commands) == 6
    with ServerThread(Path(database), port=int(port), transactions=True):
        answers = [estinel(*words, **variables) for words in commands if words is not serve]
    assert [one.code for one in answers] == [0] * 5, [one.stderr for one in answers]
    show, find, listed, plan, audit = (one.stdout for one in answers)
    assert "last ended   replaced at" in show
    assert len(find.splitlines()) == 3
    assert "job-17" in listed
    assert "unchanged" in plan
    assert audit.endswith("all agrees.\n")
    again = estinel("demo", "publish", "--folder", folder / ".demo/publish", "--port", 0, "--json")
    assert [act["ended"] for act in again.document["acts"]] == [
        "published",
        "unchanged",
        "undo_incomplete",
        "undone",
        "replaced",
    ]
