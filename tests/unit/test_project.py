"""The repository itself: importing is harmless, pins are complete, settings files are accepted."""

import json
import multiprocessing
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.fork_server import LAST
from tests.support.imports import modules_of, watch_again
from tests.support.real import ROOT
from tests.support.skips import plain_reason, skip_table

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
PIN = re.compile(r"^(?P<name>[a-z0-9.-]+)(\[[a-z0-9,-]+\])?==(?P<version>[^ ]+)( ; .+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")
Watch = Callable[[Path, Path], dict[str, list[str]]]
COMMENT = re.compile(
    r"^ *#( {1,4}(via |--override )?[A-Za-z0-9._/-]+( \(pyproject\.toml(:install)?\))?| via)$"
)


# --- importing ---------------------------------------------------------------------------------


def _variables(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    ours = {"HOME": str(home), "ESTINEL_STORE_URL": "nowhere", "PYTHONDONTWRITEBYTECODE": "1"}
    return kept | ours


def _watch_imports(root: Path, home: Path) -> dict[str, list[str]]:
    finished = subprocess.run(
        [sys.executable, "-P", str(ROOT / "tests/support/imports.py"), str(root)],
        cwd=home,
        env=_variables(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    seen: dict[str, list[str]] = json.loads(finished.stdout)
    return seen


def _watch_imports_again(root: Path, home: Path) -> dict[str, list[str]]:
    """The same in a process that has imported the libraries already."""
    context = multiprocessing.get_context("forkserver")
    # Ignored once the fork server runs; then it has imported these already.
    context.set_forkserver_preload([LAST])
    said = home.with_name(f"{home.name}-seen.json")
    process = context.Process(target=watch_again, args=(root, home, _variables(home), said))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    seen: dict[str, list[str]] = json.loads(said.read_text(encoding="utf-8"))
    return seen


@pytest.mark.parametrize(
    "watched",
    [_watch_imports_again, pytest.param(_watch_imports, marks=pytest.mark.soak)],
    ids=["of the package", "of the package and all that it stands on"],
)
def test_importing_every_module_does_nothing_else(tmp_path: Path, watched: Watch) -> None:
    seen = watched(ROOT, tmp_path)
    assert seen == {
        "imported": modules_of(ROOT),
        "network": [],
        "environment": [],
        "threads": [],
    }
    assert list(tmp_path.iterdir()) == [], "importing wrote files"


def test_a_module_that_does_things_when_imported_is_noticed(tmp_path: Path) -> None:
    package = tmp_path / "root" / "estinel_assets"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import contextlib, os, socket, threading\n"
        "os.environ.get('HOME'), os.path.expandvars('$ESTINEL_STORE_URL')\n"
        "threading.Thread(target=threading.Event().wait, name='idle', daemon=True).start()\n"
        "with contextlib.suppress(OSError):\n"
        "    socket.getaddrinfo('localhost', 80)\n"
    )
    (tmp_path / "root" / "definitions.py").write_text("")
    seen = _watch_imports(tmp_path / "root", tmp_path)
    assert seen["environment"] == ["HOME", "ESTINEL_STORE_URL"]
    assert seen["threads"] == ["idle"]
    assert [call.partition("(")[0] for call in seen["network"]] == ["socket.getaddrinfo"]


# --- what is installed -------------------------------------------------------------------------


def _pins() -> dict[str, list[Version]]:
    pins: dict[str, list[Version]] = {}
    for line in LOCK.splitlines():
        if found := PIN.match(line):
            pins.setdefault(found["name"], []).append(Version(found["version"]))
    return pins


def _asked_for() -> list[Requirement]:
    project = PYPROJECT["project"]
    texts = [*project["dependencies"], *PYPROJECT["dependency-groups"]["install"]]
    for extra in project["optional-dependencies"].values():
        texts += extra
    requirements = [Requirement(text) for text in texts]
    return [asked for asked in requirements if asked.name != project["name"]]


@pytest.mark.parametrize("asked", _asked_for(), ids=str)
def test_every_requirement_is_pinned_to_versions_it_accepts(asked: Requirement) -> None:
    versions = _pins().get(canonicalize_name(asked.name), [])
    assert versions, f"{asked} is not in requirements.lock: run `make lock`"
    assert all(version in asked.specifier for version in versions), "run `make lock`"


def test_every_pin_has_a_checksum() -> None:
    lines = LOCK.splitlines()
    without = [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if PIN.match(line) and not HASH.match(following)
    ]
    assert without == []
    assert len(_pins()) > len(_asked_for())


def test_the_lock_names_packages_and_checksums_only() -> None:
    """No index, address or path: the same file serves behind any mirror."""
    header, lines = LOCK.splitlines()[:2], LOCK.splitlines()[2:]
    assert header[1] == "#    make lock"
    strange = [line for line in lines if not (PIN.match(line) or HASH.match(line))]
    assert [line for line in strange if not COMMENT.match(line)] == []


def test_tools_agree_on_the_oldest_python() -> None:
    oldest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert PYPROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert f"--python-version {oldest}" in (ROOT / "Makefile").read_text()
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    tried = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert min(tried, key=Version) == oldest


# --- Dagster's files ---------------------------------------------------------------------------


def test_dagster_accepts_its_settings_and_follows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert 1 <= queue.max_concurrent_runs < 10, "Dagster's own default is 10"
        for kind in (InstigatorType.SENSOR, InstigatorType.SCHEDULE):
            days = instance.get_tick_retention_settings(kind)
            assert all(days[status] > 0 for status in TickStatus), "ticks are kept for ever"
    assert (tmp_path / "history").is_dir(), "storage is not SQLite below DAGSTER_HOME"


def test_the_workspace_loads_a_file_that_exists() -> None:
    (location,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert (ROOT / location["python_file"]["relative_path"]).is_file()


# --- texts -------------------------------------------------------------------------------------

# Places of the machine that something was written on, and hosts of package registries.
FOREIGN = re.compile(
    r"(?<![\w.])/(work/|root/|opt/(pypi|wheels))"
    r"|pypi\.org|pythonhosted\.org|deb\.debian\.org|registry\.npmjs\.org"
)


def _texts() -> dict[str, str]:
    """Every text file that git would commit."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git work tree, so the repository's files are not known")
    texts = {}
    for name in filter(None, listed.stdout.decode().split("\0")):
        try:
            texts[name] = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return texts


def test_no_file_names_a_place_of_the_machine_it_was_written_on() -> None:
    texts = _texts()
    assert "pyproject.toml" in texts
    del texts[str(Path(__file__).relative_to(ROOT))]
    found = {
        f"{name}: {match[0]}" for name, text in texts.items() for match in FOREIGN.finditer(text)
    }
    assert found == set()


@pytest.mark.parametrize("text", ["cd /work/main", "see pypi.org", '"/root/.cache"'])
def test_places_are_recognised(text: str) -> None:
    assert FOREIGN.search(text)


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for name, text in _texts().items():
        if not name.endswith(".md"):
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path = target.partition("#")[0]
            elsewhere = "://" in path or path.startswith("mailto:")
            if path and not elsewhere and not (ROOT / name).parent.joinpath(path).exists():
                broken.append(f"{name}: {target}")
    assert broken == []


# --- the table of skipped tests ----------------------------------------------------------------


def test_the_table_of_skipped_tests_groups_by_reason() -> None:
    table = skip_table(
        [
            ("tests/a.py::test_one", "no browser"),
            ("tests/b.py::test_two", "no folder"),
            ("tests/c.py::test_three[x::y]", "no folder"),
            ("tests/b.py::test_four", "no folder"),
        ]
    )
    assert table == [
        "Skipped: 4",
        "  tests  why",
        "      3  no folder",
        "         tests/b.py",
        "         tests/c.py",
        "      1  no browser",
        "         tests/a.py",
    ]


def test_the_table_is_there_when_nothing_was_skipped() -> None:
    assert skip_table([]) == ["Skipped: none"]


@pytest.mark.parametrize(
    ("longrepr", "reason"),
    [
        (("tests/a.py", 3, "Skipped: no browser"), "no browser"),
        ("Skipped: ", "no reason given"),
        ("reason: expected to fail", "reason: expected to fail"),
    ],
)
def test_the_reason_is_what_the_test_said(longrepr: object, reason: str) -> None:
    assert plain_reason(longrepr) == reason
