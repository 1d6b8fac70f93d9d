import builtins
import logging
import subprocess
import sys

import pytest

from estinel_assets.errors import BadInputError, MissingDependencyError
from estinel_assets.stac.api.app import create_app
from estinel_assets.stac.api.server import ServerThread


@pytest.mark.parametrize("package", ["stac_fastapi", "starlette"])
def test_an_absent_package_names_the_extra(package, tmp_path, monkeypatch):
    for name in list(sys.modules):
        if name.partition(".")[0] == package or name.endswith(("api.client", "api.assembly")):
            monkeypatch.delitem(sys.modules, name)
    real_import = builtins.__import__

    def without(name, *arguments, **options):
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(MissingDependencyError, match=rf"{package}.*estinel-assets\[serve\]"):
        create_app(tmp_path / "stac.db")
    assert not (tmp_path / "stac.db").exists()


def test_an_absent_folder_of_scenes_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="absent"):
        create_app(tmp_path / "stac.db", scenes_folder=tmp_path / "absent")


def test_a_port_in_use_is_refused(tmp_path):
    with ServerThread(tmp_path / "a.db") as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(BadInputError, match=f"port {port}"):
            ServerThread(tmp_path / "b.db", port=port).start()


def test_settings_do_not_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("STAC_FASTAPI_TITLE", "from outside")
    monkeypatch.setenv("ROOT_PATH", "/outside")
    monkeypatch.setenv("ENABLE_RESPONSE_MODELS", "true")

    app = create_app(tmp_path / "stac.db", title="ours")

    assert (app.title, app.root_path) == ("ours", "")
    assert app.state.settings.enable_response_models is False


def test_importing_and_building_says_nothing(tmp_path):
    code = (
        "import pathlib, sys\n"
        "from estinel_assets.stac.api import app, server\n"
        "assert 'stac_fastapi' not in sys.modules and 'uvicorn' not in sys.modules\n"
        "app.create_app(pathlib.Path(sys.argv[1]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "stac.db")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_level_of_a_foreign_logger_is_given_back(tmp_path):
    logger = logging.getLogger("stac_fastapi.types.config")
    before = logger.level

    create_app(tmp_path / "stac.db")

    assert logger.level == before
