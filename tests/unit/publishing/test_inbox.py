"""Which job folders wait, and where a publication's folder is."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.publishing.folders import is_folder_name, is_id, request_of, waiting_folders
from estinel_assets.publishing.inbox import list_folder, waiting
from estinel_assets.publishing.model import Policy
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.settings import PublishingSettings, Settings
from tests.support.outcomes import outcome
from tests.support.unprivileged import as_nobody

NOW = datetime(2024, 12, 4, 12, 0, tzinfo=UTC)
RETRY = RetryRule(max_attempts=3, backoff_s=3600, backoff_max_s=86400)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    made = tmp_path / "inbox"
    made.mkdir()
    return made


def job(inbox: Path, name: str, *, changed_s_ago: float = 600, body: bytes = b"x") -> Path:
    """A job folder with one file in a folder."""
    folder = inbox / name
    (folder / "within").mkdir(parents=True, exist_ok=True)
    file = folder / "within" / "file"
    file.write_bytes(body)
    at = NOW.timestamp() - changed_s_ago
    for path in (file, file.parent, folder):
        os.utime(path, (at, at))
    return folder


def row(
    folder: Path,
    reason: PublishingReason,
    *,
    hours_ago: float = 48,
    attempts: int = 1,
    inputs: str | None = None,
) -> IndexRow:
    """How a folder ended, as it is now unless its fingerprint is given."""
    at = NOW - timedelta(hours=hours_ago)
    return IndexRow(
        key=(folder.name,),
        status=reason == PublishingReason.NONE,
        reason=reason,
        attempts=attempts,
        inputs=list_folder(folder).fingerprint if inputs is None else inputs,
        started_at=at,
        finished_at=at,
        run_id="r",
        path="p",
        etag="e",
    )


def found(inbox: Path, *rows: IndexRow, quiet_s: float = 60) -> dict[str, str]:
    """Why each folder waits."""
    standing = {one.key: one for one in rows}
    return {
        one.publication: one.why
        for one in waiting(inbox, standing, NOW, quiet_s=quiet_s, retry=RETRY)
    }


def test_new_folders_wait_in_the_order_of_their_names(inbox: Path) -> None:
    for name in ("b", "a", "c"):
        job(inbox, name)

    assert list(found(inbox).items()) == [("a", "new"), ("b", "new"), ("c", "new")]


def test_what_is_no_job_folder_does_not_wait(inbox: Path) -> None:
    job(inbox, ".hidden")
    (inbox / "file").write_bytes(b"x")
    empty = inbox / "empty"
    empty.mkdir()
    os.utime(empty, (0, 0))

    assert found(inbox) == {}


@pytest.mark.parametrize(("ago", "waits"), [(59, False), (60, True), (61, True), (-5, False)])
def test_a_folder_is_complete_when_it_is_quiet(inbox: Path, ago: float, waits: bool) -> None:
    job(inbox, "a", changed_s_ago=ago)

    assert found(inbox) == ({"a": "new"} if waits else {})


def test_a_file_that_goes_disturbs_the_quiet(inbox: Path) -> None:
    folder = job(inbox, "a")
    (folder / "within" / "other").write_bytes(b"")
    (folder / "within" / "other").unlink()
    now = NOW.timestamp()
    os.utime(folder / "within", (now, now))

    assert found(inbox) == {}


def test_only_what_changed_or_may_go_well_now_waits_again(inbox: Path) -> None:
    reason = PublishingReason
    rows = [
        row(job(inbox, "stands"), reason.NONE),
        row(job(inbox, "changed"), reason.NONE, inputs="another"),
        row(job(inbox, "failed-and-changed"), reason.MISSING_ASSET, inputs="another"),
        row(job(inbox, "hopeless"), reason.MISSING_ASSET),
        row(job(inbox, "not-enabled"), reason.NOT_ENABLED),
        row(job(inbox, "due"), reason.STAC_FAILED),
        row(job(inbox, "in-its-pause"), reason.STAC_FAILED, hours_ago=0.9),
        row(job(inbox, "in-a-longer-pause"), reason.STAC_FAILED, hours_ago=1.9, attempts=2),
        row(job(inbox, "given-up"), reason.STAC_FAILED, attempts=3),
        row(job(inbox, "not-undone"), reason.UNDO_INCOMPLETE),
    ]

    assert found(inbox, *rows) == {
        "changed": "changed",
        "due": "due",
        "failed-and-changed": "changed",
        "not-undone": "due",
    }


def test_what_publishing_writes_itself_changes_nothing(inbox: Path) -> None:
    folder = job(inbox, "a")
    standing = row(folder, PublishingReason.NONE)
    before = list_folder(folder)

    (folder / "_datasets.json").write_text("[]")

    assert list_folder(folder) == before
    assert found(inbox, standing) == {}
    (folder / "within" / "_datasets.json").write_text("[]")
    assert list_folder(folder).fingerprint != before.fingerprint


@pytest.mark.parametrize("change", ["size", "time", "name", "more"])
def test_every_change_of_a_file_shows(inbox: Path, change: str) -> None:
    folder = job(inbox, "a")
    file = folder / "within" / "file"
    before = list_folder(folder)
    assert (before.files, before.bytes) == (1, 1)
    assert before.changed_at == NOW - timedelta(seconds=600)

    if change == "size":
        job(inbox, "a", body=b"xx")
    elif change == "time":
        os.utime(file, (0, 0))
    elif change == "name":
        file.rename(file.with_name("other"))
    else:
        (folder / "more").write_bytes(b"")

    assert list_folder(folder).fingerprint != before.fingerprint


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="absent is no folder: name a job's folder"):
        list_folder(tmp_path / "absent")
    # What pytest makes is closed to others from above.
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = job(Path(name), "a")
        (folder / "within").chmod(0)
        with as_nobody(), pytest.raises(BadInputError, match=r"within cannot be read \(Permission"):
            list_folder(folder)
        (folder / "within").chmod(0o755)


# --- where a publication's folder is -----------------------------------------------------------


def settings(inbox: Path | None, **more: object) -> Settings:
    return Settings(publishing=PublishingSettings.model_validate({"inbox": inbox, **more}))


def test_the_inbox_of_the_settings_is_looked_at(inbox: Path, tmp_path: Path) -> None:
    job(inbox, "a")

    (one,) = waiting_folders(settings(inbox), {}, NOW)

    assert (one.publication, one.folder, one.why) == ("a", inbox / "a", "new")
    with pytest.raises(BadInputError, match=r"set publishing\.inbox"):
        next(waiting_folders(settings(None), {}, NOW))
    with pytest.raises(BadInputError, match=r"publishing.inbox .*/absent is no folder"):
        next(waiting_folders(settings(tmp_path / "absent"), {}, NOW))


def test_the_folder_is_in_the_inbox_or_where_it_was_last(inbox: Path, tmp_path: Path) -> None:
    last = outcome("a", detail={"folder": str(tmp_path / "elsewhere"), "policy": "fail"})
    at = settings(inbox, policy="replace")

    assert request_of("a", at, last).folder == tmp_path / "elsewhere"
    folder = job(inbox, "a")
    request = request_of("a", at, last)
    assert (request.folder, request.publication) == (folder, "a")
    assert request.policy is Policy.REPLACE
    assert request_of("a", settings(None), last).folder == tmp_path / "elsewhere"


@pytest.mark.parametrize("name", ["..", ".", "../outside", "a/../../outside", "/etc", "a\0"])
def test_no_id_leads_out_of_the_inbox(inbox: Path, name: str) -> None:
    job(inbox.parent, "outside")

    assert not is_folder_name(name)
    with pytest.raises(BadInputError, match="no job folder"):
        request_of(name, settings(inbox), None)


def test_what_came_from_no_folder_is_named(inbox: Path) -> None:
    with pytest.raises(BadInputError, match=r"a has no job folder: .* and it was never published"):
        request_of("a", settings(inbox), None)
    with pytest.raises(BadInputError, match="inbox is not set, and it was not published from a"):
        request_of("a", settings(None), outcome("a"))


def test_some_names_cannot_have_an_outcome() -> None:
    assert is_id("job 1 (Ö)")
    assert not is_id("x" * 201)
    assert not is_id("\udcff")
