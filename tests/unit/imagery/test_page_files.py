"""The files of the catalogue's page, in the checkout and in a wheel."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from estinel_assets.imagery.browse_paths import CONTENT_SECURITY_POLICY
from estinel_assets.imagery.page_files import is_of_page, page_file, page_files
from estinel_assets.imagery.page_publishing import page_fingerprint
from tests.support.real import ROOT

WEB = ROOT / "estinel_assets" / "web"


def in_the_checkout():
    return {path.relative_to(WEB).as_posix() for path in WEB.rglob("*") if path.is_file()}


def test_everything_in_the_folder_is_of_the_page():
    assert set(page_files()) == in_the_checkout()
    assert {"index.html", "sw.js", "app/main.js", "css/base.css"} <= set(page_files())
    assert list(page_files()) == sorted(page_files())


@pytest.mark.parametrize(
    "name",
    [
        "app/main.js~", "app/.main.js.swp", "_draft.html", "app/__pycache__/x.js", ".js",
        "app/main.py", "app/main", "app//main.js", "/app/main.js", "app/../x.js", "a b.js", "é.js",
    ],
)  # fmt: skip
def test_leftovers_are_not(name):
    assert not is_of_page(name)
    assert page_file(name) is None


def test_a_file_is_read_by_its_name():
    start = page_file("index.html")

    assert start is not None
    assert start.body == (WEB / "index.html").read_bytes()
    assert start.content_type == "text/html; charset=utf-8"
    assert start == page_files()["index.html"]
    assert page_file("../settings.py") is None
    assert page_file("") is None


def test_the_fingerprint_is_of_every_file():
    assert all(name in page_fingerprint() for name in page_files())


def test_the_page_asks_for_files_that_it_has():
    """Also of its modules' imports: a file under another name fails only in the browser."""
    files = page_files()
    missing = []
    for name, file in files.items():
        if not name.endswith((".js", ".html")):
            continue
        text = file.body.decode()
        asked = re.findall(r"""(?:from|import)\s*\(?\s*["'](\.{1,2}/[^"']+)["']""", text)
        asked += re.findall(r"""(?:src|href)="((?!https?:|#|data:)[^"]+)\"""", text)
        for target in asked:
            parts = [*name.split("/")[:-1], *target.partition("?")[0].split("/")]
            path = Path("/", *parts).resolve().relative_to("/").as_posix()
            if path not in files:
                missing.append(f"{name} asks for {target}")
    assert missing == []


def test_the_page_and_the_server_allow_the_same():
    text = page_files()["index.html"].body.decode()
    found = re.search(r"Content-Security-Policy\"\s+content=\"([^\"]+)\"", text)
    assert found is not None
    said = {part.strip() for part in found[1].split(";") if part.strip()}

    assert {*said, "frame-ancestors 'none'"} == set(CONTENT_SECURITY_POLICY.split("; "))


def test_a_wheel_holds_the_page(tmp_path):
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(
        ROOT / "estinel_assets",
        tmp_path / "estinel_assets",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    build = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"

    built = subprocess.run(
        [sys.executable, "-c", build],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next((tmp_path / "dist").glob("*.whl"))) as wheel:
        names = wheel.namelist()
        shipped = {
            name.removeprefix("estinel_assets/web/"): wheel.read(name)
            for name in names
            if name.startswith("estinel_assets/web/")
        }
    assert shipped == {name: file.body for name, file in page_files().items()}
    assert "estinel_assets/py.typed" in names
    assert any(name.startswith("estinel_assets/publishing/schemas/") for name in names)
