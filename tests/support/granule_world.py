"""One CMR with all kinds of granules, good ones and bad ones, for the checks of `estinel`.

CMR and files are served by `estinel_assets.demo.cmr`, as the demo's are; what that does not do is
done by a login, a server that hangs, and a stand-in of TiTiler-CMR.
"""

import shutil
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from estinel_assets.demo import granule_files
from estinel_assets.demo.cmr import LocalCmr, collection_item, granule_item, running_cmr
from tests.support.cli import Outcome as Ended
from tests.support.cli import estinel
from tests.support.login import LoginServer
from tests.support.real import real_data_root

REAL = {
    "C101-REAL": ("ok_latlon/GAMSSA_28km_20241011.nc", "netCDF-4"),
    "C102-REAL": ("ok_xy/MODSCAG_h07v03_Terra_20220415.nc", "netCDF-4"),
    "C103-REAL": ("group_structure/S6A_P4_2_HR_RED.nc", "netCDF-4"),
    "C104-REAL": ("group_structure/SC_SPL3FTP_004.nc4", "HDF5"),
    "C105-REAL": ("no_xy/ascat_metopa_l2_SS.nc", "NETCDF"),
    "C106-REAL": ("netcdf3/bcsd_obs_1999.nc", "netCDF"),
}
"""Real granules by concept id: path below their folder, and the format in the metadata."""

GOOD, RASTER, MANY = "C1-WORLD", "C2-WORLD", "C3-WORLD"
LICENSED, SHUT, HANGING, GIANT = "C5-WORLD", "C6-WORLD", "C7-WORLD", "C8-WORLD"
TRUNCATED, PAGE, GROUPED, BLANK = "C9-WORLD", "C10-WORLD", "C11-WORLD", "C12-WORLD"
BOTH_LINKS, NO_LINK, TURNING = "C13-WORLD", "C14-WORLD", "C15-WORLD"
GRANULES_OF_MANY = 60
TOKEN = "eyJ0b2tlbiI6ImtlZXAgbWUgc2VjcmV0In0"


@dataclass
class HangingServer:
    """Accepts every connection, and never answers; use as a context manager."""

    accepted: threading.Event = field(default_factory=threading.Event)
    """Set by the next connection."""
    _held: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> "HangingServer":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for connection in self._held:
            connection.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._held.append(connection)
            self.accepted.set()


@dataclass(frozen=True)
class GranuleWorld:
    """What is served, and how to ask about it."""

    folder: Path
    cmr_url: str
    hanging: HangingServer
    login: LoginServer

    @property
    def files(self) -> Path:
        """What the CMR serves at `/files/`."""
        return self.folder / "files"

    def variables(self, store: Path, **more: str) -> dict[str, str]:
        """Settings: this world, a store, and whatever else."""
        return {
            "ESTINEL_STORE_URL": f"file://{store}",
            "ESTINEL_COMPATIBILITY_CMR_URL": self.cmr_url,
            "ESTINEL_COMPATIBILITY_TIME_LIMIT_S": "40",
            "ESTINEL_COMPATIBILITY_MEMORY_LIMIT_MIB": "512",
            "ESTINEL_TRANSPORT_BACKOFF_S": "0.05",
            "ESTINEL_EARTHDATA_LOGIN_HOSTS": '["localhost"]',
            "NETRC": str(self.folder / "no-netrc"),
            **more,
        }

    def check(self, store: Path, *arguments: object, **variables: str) -> Ended:
        """`estinel compatibility check … --json` in this process."""
        return estinel(
            "compatibility", "check", *arguments, "--json", **self.variables(store, **variables)
        )


def results(ended: Ended) -> dict[str, dict[str, Any]]:
    """The outcomes that a check printed, by concept id."""
    return {one["detail"]["collection_concept_id"]: one for one in ended.document["results"]}


def worker_pids() -> list[int]:
    """Processes that the fork server of this process has started and that still run."""
    server = getattr(forkserver._forkserver, "_forkserver_pid", None)  # type: ignore[attr-defined]
    if server is None:
        return []
    children = Path(f"/proc/{server}/task/{server}/children").read_text(encoding="ascii")
    return [int(pid) for pid in children.split()]


@contextmanager
def granule_world(folder: Path) -> Iterator[GranuleWorld]:
    """Make the world and serve it.

    Args:
        folder: a new one.
    """
    files = folder / "files"
    files.mkdir(parents=True)
    with ExitStack() as stack:
        hanging = stack.enter_context(HangingServer())
        login = stack.enter_context(LoginServer(files, token=TOKEN))
        _write_files(files)
        collections, granules = _records(hanging, login)
        real = real_data_root() / "cmr" / "granules"
        for concept_id, (path, file_format) in REAL.items():
            if (real / path).exists():
                (files / path).parent.mkdir(exist_ok=True)
                shutil.copy(real / path, files / path)
                collections.append(
                    collection_item(concept_id, path.split("/")[1], "1", format=file_format)
                )
                granules[concept_id] = [_granule(concept_id, f"files/{path}")]
        LocalCmr(collections, granules, files=files, token=TOKEN).write(folder)
        root = stack.enter_context(running_cmr(folder))
        yield GranuleWorld(folder, f"{root}/search", hanging, login)


def _write_files(files: Path) -> None:
    for name in ("good.nc", "licensed.nc", "protected/shut.nc"):
        (files / name).parent.mkdir(exist_ok=True)
        granule_files.write_grid(files / name, rows=90, columns=180)
    granule_files.write_grid(files / "grouped.nc", group="/science/ocean", name="chlor_a")
    granule_files.write_blank_grid(files / "blank.nc")
    granule_files.write_geotiff(files / "raster.tif")
    granule_files.write_giant(files / "giant.nc")
    whole = (files / "good.nc").read_bytes()
    (files / "truncated.nc").write_bytes(whole[: len(whole) // 2])
    (files / "page.nc").write_text("<!DOCTYPE html><html>Please come back later.</html>")


def _records(
    hanging: HangingServer, login: LoginServer
) -> tuple[list[dict[str, Any]], dict[str, Sequence[dict[str, Any]]]]:
    addresses: Mapping[str, str | None] = {
        GOOD: "files/good.nc",
        RASTER: "files/raster.tif",
        LICENSED: login.archive("licensed.nc"),
        SHUT: "files/protected/shut.nc",
        HANGING: f"{hanging.url}/slow.nc",
        GIANT: "files/giant.nc",
        TRUNCATED: "files/truncated.nc",
        PAGE: "files/page.nc",
        GROUPED: "files/grouped.nc",
        BLANK: "files/blank.nc",
        NO_LINK: None,
    }
    granules: dict[str, Sequence[dict[str, Any]]] = {
        concept_id: [_granule(concept_id, address)] for concept_id, address in addresses.items()
    }
    granules[MANY] = [
        granule_item(f"G{number}-MANY", MANY, "files/good.nc") for number in range(GRANULES_OF_MANY)
    ]
    granules[BOTH_LINKS] = [
        granule_item(
            "G13-WORLD", BOTH_LINKS, "files/good.nc", direct_url="s3://bucket/nowhere/good.nc"
        )
    ]
    granules[TURNING] = [
        granule_item("G15-GOOD", TURNING, "files/good.nc"),
        granule_item("G15-HANGING", TURNING, f"{hanging.url}/slow.nc"),
    ]
    formats = {RASTER: "COG"}
    collections = [
        collection_item(
            concept_id, f"NAME_{concept_id[1:]}", "1", format=formats.get(concept_id, "netCDF-4")
        )
        for concept_id in granules
    ]
    return collections, granules


def _granule(concept_id: str, address: str | None) -> dict[str, Any]:
    return granule_item(f"G{concept_id[1:]}", concept_id, address)
