"""`estinel publish` where no STAC API is asked: words, datasets, the audit, and the doctor."""

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from estinel_assets.cli import publish_folder
from estinel_assets.cli.checks import Check, Verdict
from estinel_assets.cli.publish_checks import check_publishing
from estinel_assets.cli.publish_find import parse_bbox, parse_time
from estinel_assets.errors import BadInputError
from estinel_assets.publishing import publications
from estinel_assets.publishing.journal import Journal
from estinel_assets.publishing.layout import lease_path
from estinel_assets.settings import PublishingSettings, Settings, StoreSettings, TransportSettings
from estinel_assets.storage import open_store
from estinel_assets.storage.lease import hold_lease
from tests.support.cli import Outcome as Ended
from tests.support.cli import estinel
from tests.support.job_folders import ENTRY, JobFolder

CHECKED = {"ESTINEL_TRANSPORT_ATTEMPTS": "1", "ESTINEL_TRANSPORT_BACKOFF_S": "0"}


class Publisher:
    """Somebody with a store, a `datasets.json` and two job folders; no STAC API."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        (folder / "datasets.json").write_text(json.dumps({"datasets": [ENTRY]}))
        self.job = JobFolder(folder / "jobs" / "job-1")
        self.job.dataset("AOI_north", {"image.tif": b"north", "a.browse.png": b"picture"})
        self.job.dataset("AOI_south", {"image.tif": b"south"})

    def asks(self, *arguments: object, **variables: str) -> Ended:
        named = {
            "ESTINEL_STORE_URL": f"file://{self.store}",
            "ESTINEL_PUBLISHING_CONFIG": str(self.folder / "datasets.json"),
            **CHECKED,
        }
        return estinel(*arguments, **{**named, **variables})

    def publish(self, *arguments: object, **variables: str) -> Ended:
        return self.asks("publish", *arguments, **variables)

    def objects(self) -> dict[str, bytes]:
        """What stands for readers."""
        return {
            path.relative_to(self.store).as_posix(): path.read_bytes()
            for top in ("products", "browse")
            for path in (self.store / top).rglob("*")
            if path.is_file()
        }


@pytest.fixture
def user(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


# --- words -------------------------------------------------------------------------------------


def test_help_has_the_options_of_a_folder_and_the_commands() -> None:
    said = estinel("publish", "--help").stdout

    assert "[JOB_DIR]" in said
    for word in ("--policy", "--dry-run", "recover", "audit", "show", "remove", "find"):
        assert word in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "name a job's folder"),
        (("one", "two"), "one folder at a time; what is 'two'?"),
        (("one", "recover"), "one folder at a time"),
        (("one", "--policy", "burn"), "'burn'"),
        (("recover", "--repair"), "No such option: --repair"),
    ],
)
def test_words_that_make_no_sense(words: tuple[str, ...], says: str) -> None:
    ended = estinel("publish", *words)

    assert ended.code == 3
    assert says in ended.stderr


def test_names_of_commands_come_before_folders(
    user: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.job.root.rename(user.folder / "recover")
    monkeypatch.chdir(user.folder)

    command = user.publish("recover")
    folder = user.publish("./recover", "--json")
    guarded = user.publish("--dry-run", "--json", "--", "recover")

    assert (command.code, command.stderr) == (6, "estinel: no transaction is open\n")
    assert folder.document["key"] == "recover"
    assert guarded.document["action"] == "unchanged"
    usage = estinel("publish", "recover", "--help").stdout.splitlines()[0]
    assert usage == "Usage: estinel publish recover [OPTIONS] [ID]"


@pytest.mark.parametrize(
    ("text", "starts", "ends"),
    [
        ("2024-07-12", (2024, 7, 12), (2024, 7, 12, 23, 59, 59, 999999)),
        ("2024-07-12T10:00:00Z", (2024, 7, 12, 10), (2024, 7, 12, 10)),
        ("2024-07-12T10:00:00+02:00", (2024, 7, 12, 8), (2024, 7, 12, 8)),
        ("2024-07-12/..", (2024, 7, 12), None),
        ("/2024-07-12", None, (2024, 7, 12, 23, 59, 59, 999999)),
        ("2024-07-01/2024-07-12T01:00:00", (2024, 7, 1), (2024, 7, 12, 1)),
    ],
)
def test_times(text: str, starts: tuple[int, ...] | None, ends: tuple[int, ...] | None) -> None:
    def moment(parts: tuple[int, ...] | None) -> datetime | None:
        return None if parts is None else datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]

    assert parse_time(text) == (moment(starts), moment(ends))


@pytest.mark.parametrize("text", ["yesterday", "2024-07-12/2024-07-01", "", "2024-07-01/x/y"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(BadInputError, match="--time"):
        parse_time(text)


def test_boxes() -> None:
    assert parse_bbox("170,-10.5,-170,10") == (170.0, -10.5, -170.0, 10.0)
    for text in ("1,2,3", "1,2,3,4,5", "a,b,c,d", ""):
        with pytest.raises(BadInputError, match="four numbers"):
            parse_bbox(text)


# --- datasets, from the plan to the removal ------------------------------------------------------


def test_a_dry_run_shows_every_step_and_writes_nothing(user: Publisher) -> None:
    shown = user.publish(user.job.root, "--dry-run")
    plan = user.publish(user.job.root, "--dry-run", "--json").document

    assert shown.code == 0
    assert "create document AOI_north" in shown.stdout
    assert "Nothing was written. job-1: 11 steps." in shown.stdout
    assert plan["counts"] == {"claims": 4, "objects": 5, "documents": 2}
    assert plan["bytes"] == sum(
        path.stat().st_size for path in user.job.root.rglob("*") if path.is_file()
    )
    assert len(plan["steps"]) == 11
    assert user.objects() == {}
    assert user.publish("show", "job-1").code == 3, "a dry run records nothing"


def test_a_long_plan_is_cut_in_the_table_only(
    user: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_folder, "MOST_STEPS", 3)

    said = user.publish(user.job.root, "--dry-run").stdout

    assert "… and 8 more steps; --json shows all" in said
    assert said.count("create ") == 3


def test_from_nothing_to_nothing(user: Publisher) -> None:
    first = user.publish(user.job.root)
    standing = user.objects()
    again = user.publish(user.job.root, "--json").document

    assert first.code == 0, first.stderr
    assert first.stdout.splitlines()[1].split()[:3] == ["job-1", "published", "5"]
    assert "  products/aoi/v1.0/AOI_north\n" in first.stdout
    assert standing["products/aoi/v1.0/AOI_north/image.tif"] == b"north"
    assert (again["status"], again["detail"]["action"]) == (True, "unchanged")
    listed = json.loads((user.job.root / "_datasets.json").read_text())
    assert [one["id"] for one in listed] == ["AOI_north", "AOI_south"]

    _other_content(user)
    _look(user)
    _remove(user)


def _other_content(user: Publisher) -> None:
    former = user.objects()
    user.job.write("AOI_south/image.tif", b"another south")

    refused = user.publish(user.job.root)
    skipped = user.publish(user.job.root, "--policy", "skip", "--json").document
    assert refused.code == 2
    assert "choose the policy replace, version or skip" in refused.stderr
    assert skipped["detail"]["action"] == "skipped"
    assert user.objects() == former

    version = user.publish(user.job.root, "--policy", "version", "--json").document
    assert version["detail"]["publication"] == "job-1-v2"
    assert former.items() < user.objects().items()
    assert user.publish("remove", "job-1-v2").code == 0
    replaced = user.publish(user.job.root, "--policy", "replace", "--json").document
    assert replaced["detail"]["action"] == "replaced"
    assert b"another south" in user.objects().values()
    assert b"south" not in user.objects().values()


def _look(user: Publisher) -> None:
    shown = user.publish("show", "job-1", "--json").document
    assert shown["documents"] == ["AOI_north", "AOI_south"]
    assert shown["current"]["counts"]["objects"] == 5
    assert (shown["last"]["action"], shown["open"]) == ("replaced", [])
    text = user.publish("show", "job-1").stdout
    assert "stands       objects 5, " in text
    assert "document     AOI_north" in text

    found = user.publish("find", "--type", "area_of_interest", "--text", "south", "--json").document
    assert [one["document"]["id"] for one in found["documents"]] == ["AOI_south"]
    assert found["more"] is False
    for words, count in [
        (("--bbox=-123,37,-120,41",), 2),
        (("--bbox", "0,0,1,1"), 0),
        (("--time", "2017-03-01"), 2),
        (("--time", "../2016-12-31"), 0),
        (("--id", "AOI_north", "--publication", "job-1"), 1),
    ]:
        assert len(user.publish("find", *words, "--json").document["documents"]) == count, words
    limited = user.publish("find", "--limit", 1).stdout
    assert "… and more than these 1; raise --limit" in limited
    assert user.publish("find", "--bbox", "0,0,1").code == 3


def _remove(user: Publisher) -> None:
    plan = user.publish("remove", "job-1", "--dry-run", "--json").document
    assert plan["counts"]["document_deletions"] == 2
    assert user.objects()
    removed = user.publish("remove", "job-1", "--json").document
    assert removed["detail"]["action"] == "removed"
    assert user.objects() == {}
    assert user.publish("find", "--json").document["documents"] == []
    again = user.publish("remove", "job-1", "--json")
    assert (again.code, again.document["detail"]["action"]) == (0, "absent")
    assert "nothing; removed at" in user.publish("show", "job-1").stdout
    assert user.publish("remove", "job-2").code == 3


def test_a_folder_with_faults_is_refused_with_all_of_them(user: Publisher) -> None:
    user.job.write("AOI_north/AOI_north.dataset.json", {"version": "v1", "starttime": "x"})
    user.job.dataset("OTHER_east")

    text = user.publish(user.job.root)
    dry = user.publish(user.job.root, "--dry-run")
    document = user.publish(user.job.root, "--json")

    assert (text.code, dry.code, document.code) == (3, 3, 3)
    for said in (text.stderr, dry.stderr):
        assert "starttime is 'x'" in said
        assert "no entry of datasets.json takes the dataset 'OTHER_east'" in said
    reasons = [fault["reason"] for fault in document.document["detail"]["faults"]]
    assert sorted(reasons) == ["invalid_dataset", "no_match"]
    assert user.objects() == {}
    assert "invalid_dataset" in user.publish("show", "job-1").stdout


@pytest.mark.parametrize("words", [("nowhere",), ("show", "nowhere"), ("remove", "nowhere")])
def test_what_is_not_there(user: Publisher, words: tuple[str, ...]) -> None:
    ended = user.publish(*words, "--json")

    assert ended.code == 3
    assert "nowhere" in ended.document["error"]["message"]


def test_a_type_that_is_not_enabled_waits(user: Publisher) -> None:
    ended = user.publish(user.job.root, ESTINEL_PUBLISHING_TYPES='["interferogram"]')

    assert ended.code == 6
    assert "add it to publishing.types" in ended.stderr
    assert user.objects() == {}


def test_options_stand_for_settings(user: Publisher) -> None:
    other = {**ENTRY, "publish": {"location": "products/elsewhere/${id}"}}
    (user.folder / "other.json").write_text(json.dumps({"datasets": [other]}))

    ended = user.publish(
        user.job.root, "--config", user.folder / "other.json", "--id", "mine", "--json"
    )
    broken = user.publish(user.job.root, "--config", user.folder / "none.json")
    nameless = user.publish(user.job.root, "--id", "")

    assert ended.document["key"] == "mine"
    assert "products/elsewhere/AOI_north/image.tif" in user.objects()
    assert (broken.code, nameless.code) == (3, 3)
    assert "none.json cannot be read" in broken.stderr


@pytest.mark.parametrize("words", [("/",), ("{job}", "--id", ""), ("{job}", "--id", "x" * 201)])
def test_ids_that_are_none(user: Publisher, words: tuple[str, ...]) -> None:
    ended = user.publish(*(word.format(job=user.job.root) for word in words))

    assert ended.code == 3
    assert "cannot be the id of a publication; name another by --id" in ended.stderr


def test_what_others_are_at_is_left_alone(user: Publisher) -> None:
    store = open_store(f"file://{user.store}")
    began = datetime(2024, 12, 5, tzinfo=UTC)
    Journal(store, "job-1", "txn").write(
        {}, run_id="other", started_at=began, former_txn=None, check=lambda: None
    )

    shown = user.publish("show", "job-1", "--json").document
    with hold_lease(store, lease_path("job-1"), ttl_s=60.0, owner="other"):
        busy = user.publish("recover", "--json")
        publishing = user.publish(user.job.root, "--json")
    closed = user.publish("recover", "--json")

    assert shown["current"] is None
    assert [(one["txn"], one["run_id"]) for one in shown["open"]] == [("txn", "other")]
    (row,) = busy.document["recovered"]
    assert (busy.code, row["busy"], row["closed"]) == (6, True, False)
    assert (publishing.code, publishing.document["reason"]) == (2, "busy")
    assert (closed.code, closed.document["recovered"][0]["closed"]) == (0, True)


def test_copied_objects_show_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with publish_folder.copied_objects() as count:
        count(5_000_000)
    assert capsys.readouterr() == ("", "")
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    with publish_folder.copied_objects() as count:
        count(2_000_000)
        count(3_500_000)

    assert "5.5 MB" in shown.getvalue()
    assert "2/" in shown.getvalue()


def test_ctrl_c_in_the_middle_is_undone(user: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []

    def interrupt(size: int) -> None:
        copied.append(size)
        if len(copied) == 2:
            raise KeyboardInterrupt

    class Hooked:
        def __enter__(self) -> Any:
            return interrupt

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr(publish_folder, "copied_objects", Hooked)
    stopped = user.publish(user.job.root, "--json")

    assert stopped.code == 5
    message = stopped.document["error"]["message"]
    assert message.startswith("job-1 was stopped; undone: ")
    assert re.search(r"undone: .*[1-5] objects", message)
    assert user.objects() == {}
    assert user.publish("recover").code == 6, "nothing is left open"


@pytest.mark.parametrize(
    ("standing", "says"),
    [(False, "nothing of it stands"), (True, "what was published at 20")],
    ids=["nothing", "something"],
)
def test_ctrl_c_before_anything_is_written(
    user: Publisher, monkeypatch: pytest.MonkeyPatch, *, standing: bool, says: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if standing:
        assert user.publish(user.job.root).code == 0
    monkeypatch.setattr(publications, "scan_folder", interrupt)

    stopped = user.publish(user.job.root)

    assert stopped.code == 5
    assert f"job-1 was stopped; {says}" in stopped.stderr


def test_the_audit_finds_what_does_not_agree(user: Publisher) -> None:
    assert user.publish(user.job.root).code == 0
    clean = user.publish("audit")
    assert clean.code == 0
    assert clean.stdout == (
        "Looked at 1 publications, 5 objects, 2 documents, 0 items: all agrees.\n"
    )
    place = user.store / "products/aoi/v1.0/AOI_south"
    (place / "stray.tif").write_bytes(b"stray")
    (place / "image.tif").unlink()

    found = user.publish("audit", "--json")
    text = user.publish("audit").stdout
    mended = user.publish("audit", "--repair", "--json")

    assert (found.code, mended.code) == (1, 1)
    assert found.document["counts"] == {"stray_object": 1, "missing_object": 1}
    assert "estinel publish audit --repair" in text
    assert mended.document["left"] == 1
    assert [one["found"] for one in mended.document["findings"] if one["repaired"]] == [
        "stray_object"
    ]
    assert not (place / "stray.tif").exists()


# --- the doctor ----------------------------------------------------------------------------------


def checks_of(folder: Path, **publishing: Any) -> dict[str, Check]:
    settings = Settings(
        store=StoreSettings(url=f"file://{folder}/store"),
        publishing=PublishingSettings(**publishing),
        transport=TransportSettings(timeout_s=5),
    )
    checks = list(check_publishing(settings, open_store(settings.store.url)))
    for check in checks:
        assert (check.remedy is None) == (check.verdict is Verdict.OK)
    return {check.name: check for check in checks}


def test_the_doctor_where_publishing_is_not_configured(tmp_path: Path) -> None:
    (check,) = checks_of(tmp_path).values()

    assert check.verdict is Verdict.OK
    assert check.found.startswith("not configured")
    assert not list(tmp_path.rglob("*.sqlite"))


def test_the_doctor_finds_all_in_place(tmp_path: Path) -> None:
    entry = {**ENTRY, "browse": {"location": f"file://{tmp_path}/archive/{{id}}"}}
    (tmp_path / "datasets.json").write_text(json.dumps({"datasets": [entry]}))
    (tmp_path / "inbox").mkdir()

    checks = checks_of(tmp_path, config=tmp_path / "datasets.json", inbox=tmp_path / "inbox")

    assert checks.pop("stac transactions").verdict is Verdict.WARN
    assert set(checks) == {"datasets.json", "store of a route", "inbox", "dataset index"}
    assert {check.verdict for check in checks.values()} == {Verdict.OK}, checks


def test_the_doctor_finds_what_is_wrong_and_keeps_secrets(tmp_path: Path) -> None:
    refusing = f"sqlite:///{tmp_path}/datasets.json/index.sqlite"
    entry = {**ENTRY, "publish": {"location": "davs://host/archive/{id}"}}
    (tmp_path / "datasets.json").write_text(json.dumps({"datasets": [entry]}))
    wrong = checks_of(
        tmp_path,
        config=tmp_path / "datasets.json",
        index_url=SecretStr(refusing),
        stac_url="http://127.0.0.1:9",
        stac_key=SecretStr("the-key"),
    )
    broken = checks_of(tmp_path, config=tmp_path / "none.json", inbox=tmp_path / "none")

    assert wrong["datasets.json"].verdict is Verdict.WARN
    assert "davs:// is not written to" in wrong["datasets.json"].found
    assert wrong["dataset index"].verdict is Verdict.FAIL
    assert wrong["stac transactions"].verdict is Verdict.FAIL
    assert "the-key" not in str(wrong)
    assert broken["datasets.json"].verdict is Verdict.FAIL
    assert broken["inbox"].verdict is Verdict.FAIL


def test_the_doctor_does_not_show_a_password(tmp_path: Path) -> None:
    checks = checks_of(tmp_path, index_url=SecretStr("mysql://me:hidden@host/index"))

    assert checks["publishing"].verdict is Verdict.FAIL
    assert "hidden" not in str(checks)
