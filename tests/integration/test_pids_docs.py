"""What docs/pids.md shows works as it stands there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from estinel_assets.demo.handle_server import ServerLogin, running_handle_server
from estinel_assets.pids.configuration import load_configuration
from estinel_assets.settings import PidSettings
from tests.support.cmip6_messages import PREFIX, full_message, item
from tests.support.handles import PASSWORD, USER

PAGE = Path(__file__).parents[2] / "docs" / "pids.md"


def block(language: str) -> str:
    """The first block of code in a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_configuration_can_be_used_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "pids.toml"
    path.write_text(block("toml"), encoding="utf-8")
    configuration = load_configuration(
        PidSettings.model_validate({"config": path, "handle_password": "secret"})
    )
    assert configuration.warnings == ()
    assert configuration.missing() == ()


def test_files_are_tried_again_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "outputs" / "failures" / "r0" / "failed_items_2026-01-16.jsonl"
    kept.parent.mkdir(parents=True)
    reason = {"failure_timestamp": "2026-01-16T10:30:15Z", "retries": 0, "reason": "timeout"}
    bad = full_message(item(item_id="too.short"))
    lines = [{**one, "__infos__": reason} for one in (full_message(item()), bad)]
    kept.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    with running_handle_server(login=ServerLogin(USER, PASSWORD), prefixes=[PREFIX]) as address:
        config = tmp_path / "pids.toml"
        config.write_text(
            f'[handle]\nserver_url = "{address}"\nprefix = "{PREFIX}"\n'
            f'username = "{USER}"\npassword = "{PASSWORD}"\n[lookup]\nenabled = false\n',
            encoding="utf-8",
        )
        monkeypatch.setenv("ESTINEL_PIDS_CONFIG", str(config))
        done = subprocess.run(
            [sys.executable, "-c", block("python")],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 1 1 50%\n"
    (left,) = kept.read_text(encoding="utf-8").splitlines()
    assert json.loads(left)["data"]["payload"]["item"]["id"] == "too.short"
    (again,) = (tmp_path / "outputs" / "failures" / "r1").iterdir()
    assert json.loads(again.read_text(encoding="utf-8"))["__infos__"]["retries"] == 1
