"""Extractors: run without a shell, watched, and never trusted with what is ours."""

import json
import os
import time
from pathlib import Path

import pytest

from estinel_assets.errors import PermanentError
from estinel_assets.publishing.extractors import run_extractor

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "WHERE": "with space"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs" / "AOI_x"
    folder.mkdir(parents=True)
    return folder


def script(tmp_path: Path, body: str, name: str = "extract.sh") -> str:
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def run(command: str, folder: Path, **options: float) -> None:
    run_extractor(command, folder, product_id="AOI_x", environment=ENVIRONMENT, **options)


def refusal(command: str, folder: Path, **options: float) -> str:
    with pytest.raises(PermanentError) as refused:
        run(command, folder, **options)
    assert refused.value.reason == "invalid_dataset"
    assert str(refused.value).isprintable()
    return str(refused.value)


WRITE = """echo '{"a": 1, "b": 2}' > "$1/AOI_x.met.json" """


def test_it_writes_the_metadata_into_the_folder(tmp_path: Path, folder: Path) -> None:
    run(script(tmp_path, WRITE), folder)
    assert json.loads((folder / "AOI_x.met.json").read_text()) == {"a": 1, "b": 2}


def test_the_folder_is_the_last_word_and_no_shell_reads_the_others(
    tmp_path: Path, folder: Path
) -> None:
    seen = tmp_path / "seen"
    command = script(
        tmp_path,
        f"""printf '%s\\n' "$@" > {seen}\nfor last; do :; done
echo '{{}}' > "$last/AOI_x.met.json" """,
    )
    run(f"{command} --to $WHERE '; touch {tmp_path}/owned' $(id) *", folder)
    assert seen.read_text().splitlines() == [
        "--to",
        "with space",
        f"; touch {tmp_path}/owned",
        "$(id)",
        "*",
        str(folder),
    ]
    assert not (tmp_path / "owned").exists()


def test_it_does_not_get_credentials_or_our_settings(tmp_path: Path, folder: Path) -> None:
    command = script(tmp_path, f"env > {tmp_path}/env\n{WRITE}")
    run_extractor(
        command,
        folder,
        product_id="AOI_x",
        environment={
            **ENVIRONMENT,
            "AWS_SECRET_ACCESS_KEY": "hush",
            "AWS_SESSION_TOKEN": "hush",
            "ESTINEL_PUBLISHING_INDEX_URL": "hush",
            "DATABASE": "postgresql://me:hush@host/x",
        },
    )
    got = (tmp_path / "env").read_text()
    assert "WHERE=with space" in got
    assert "hush" not in got


def test_a_failure_shows_the_end_of_its_output_without_secrets(
    tmp_path: Path, folder: Path
) -> None:
    command = script(
        tmp_path,
        "seq 1 5000; printf 'password=hush \\033[31mred\\n'; echo https://u:hush@h/x?sig=hush >&2\n"
        "echo 'no such band' >&2; exit 3",
    )
    message = refusal(command, folder)
    assert message.startswith("AOI_x: the extractor 'extract.sh' failed with status 3; ")
    assert message.endswith("no such band")
    assert "hush" not in message
    assert len(message) < 500


def test_half_a_secret_at_the_cut_is_not_shown(tmp_path: Path, folder: Path) -> None:
    # The word before the value lies beyond what is kept, the value's end within it.
    command = script(tmp_path, "printf 'password=%s' $(printf '%05000d' 7); exit 1")
    assert "0000" not in refusal(command, folder)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("exit 0", "wrote no AOI_x.met.json"),
        ("kill -9 $$", "was killed by signal 9"),
        ("exit 7", "failed with status 7"),
    ],
)
def test_each_way_to_fail_has_its_message(
    tmp_path: Path, folder: Path, body: str, message: str
) -> None:
    assert message in refusal(script(tmp_path, body), folder)


def test_one_that_cannot_be_started_is_refused(tmp_path: Path, folder: Path) -> None:
    assert "No such file" in refusal(f"{tmp_path}/absent", folder)
    (tmp_path / "plain").write_text("text")
    assert "Permission denied" in refusal(f"{tmp_path}/plain", folder)


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, folder: Path
) -> None:
    command = script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/pid\necho begun\nwait")
    started = time.monotonic()
    message = refusal(command, folder, time_limit_s=0.3)
    assert time.monotonic() - started < 10
    assert "took longer than 0.3 s" in message
    assert message.endswith("begun")
    assert _is_gone(int((tmp_path / "pid").read_text()))


def test_what_it_leaves_running_is_ended_too(tmp_path: Path, folder: Path) -> None:
    run(script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/pid\n{WRITE}"), folder)
    assert _is_gone(int((tmp_path / "pid").read_text()))


def _is_gone(pid: int) -> bool:
    """Whether a process has ended, or only waits for its parent to notice."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
