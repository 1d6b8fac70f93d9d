"""What a page takes of memory when nobody listens to its requests.

A driver of pages that listens to their requests has Chromium keep what was answered: some hundred
megabytes in the renderer that a reader's browser does not have. This one speaks to Chromium over
its own pipe and asks for keys and values only.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.browser import chromium_path

_KIB = 1024
_PATIENCE_S = 120.0
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1440,900",
    "--remote-debugging-pipe",
)
_KEYS = {"ArrowLeft": 37, "ArrowDown": 40}
_SHOWN = """
(() => {
  const frame = document.querySelector(".frame");
  return frame?.dataset.state === "shown" ? frame.dataset.shown : null;
})()
"""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the renderer holds of RAM."""

    own_mib: float
    """What is its alone and must stay, as Chromium's task manager counts it: `RssAnon` and `VmSwap`
    of `/proc/PID/status`. Garbage that nobody has collected yet is in it."""
    droppable_mib: float
    """Shared memory (`RssShmem`): pictures that Chromium keeps decoded until memory is short."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The renderer's memory at three times."""

    empty: Footprint
    """With an empty page."""
    after_work: Footprint
    after_pressure: Footprint
    """After Chromium was told that memory is short."""


class _Pages:
    """A Chromium with one page."""

    def __init__(self, orders: int, answers: int) -> None:
        self._orders, self._answers = orders, answers
        self._rest = b""
        self._last = 0
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = str(attached["sessionId"])

    def send(self, method: str, session: str | None = None, **values: object) -> dict[str, Any]:
        """Give an order and wait for its answer."""
        self._last += 1
        order: dict[str, object] = {"id": self._last, "method": method, "params": values}
        if session is not None:
            order["sessionId"] = session
        os.write(self._orders, json.dumps(order).encode() + b"\0")
        while True:
            said = self._read()
            if said.get("id") == self._last:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']}")
                return dict(said["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._answers, 1 << 16)
            if not part:
                raise RuntimeError("Chromium has ended")
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def value(self, script: str) -> Any:
        """What a script of the page comes to."""
        found = self.send(
            "Runtime.evaluate",
            self.session,
            expression=script,
            awaitPromise=True,
            returnByValue=True,
        )
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                self.session,
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=_KEYS[key],
            )

    def wait_for_renderer(self) -> None:
        """Wait until the empty page has come to rest."""
        self.value("new Promise((done) => requestIdleCallback(done))")
        time.sleep(1)

    def wait_for_another(self, before: object, patience_s: float) -> object:
        """Wait until another image than that is shown; its id, None where none is in time."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            now = self.value(_SHOWN)
            if now is not None and now != before:
                return now
            time.sleep(0.02)
        return None

    def footprint(self) -> Footprint:
        """Of the renderer."""
        processes = self.send("SystemInfo.getProcessInfo")["processInfo"]
        renderers = [one["id"] for one in processes if one["type"] == "renderer"]
        return max(map(_footprint, renderers), key=lambda found: found.own_mib)


def memory_of(address: str, scroll: str, *, steps: int, visits: int) -> Memory:
    """Work with a page as a reader does, and look at its renderer.

    Args:
        address: of the page.
        scroll: the script that scrolls its thumbnails, called with a number of frames.
        steps: images gone back by.
        visits: sites that are opened afterwards, with three images of each.
    """
    with _open_pages() as pages:
        pages.wait_for_renderer()
        empty = pages.footprint()
        pages.send("Page.navigate", pages.session, url=address)
        shown = pages.wait_for_another(None, _PATIENCE_S)
        for _ in range(steps):
            shown = _after(pages, "ArrowLeft", shown)
        pages.value(f"({scroll.strip()})(300)")
        for _ in range(visits):
            shown = _after(pages, "ArrowDown", shown)
            for _ in range(3):
                shown = _after(pages, "ArrowLeft", shown)
        time.sleep(2)
        after_work = pages.footprint()
        pages.send("Memory.simulatePressureNotification", pages.session, level="critical")
        time.sleep(2)
        return Memory(empty, after_work, pages.footprint())


def _after(pages: _Pages, key: str, before: object) -> object:
    """Press a key until another image is shown: of a site that is still read there is but one."""
    for _ in range(30):
        pages.press(key)
        patience_s = _PATIENCE_S if key == "ArrowDown" else 5.0
        now = pages.wait_for_another(before, patience_s)
        if now is not None:
            return now
    raise RuntimeError(f"{key} shows no other image than {before}")


@contextmanager
def _open_pages() -> Iterator[_Pages]:
    executable = chromium_path()
    if executable is None:
        raise RuntimeError("there is no Chromium")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    orders_in, orders = os.pipe()
    answers, answers_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                "sh",
                "-c",
                f'exec "$@" 3<&{orders_in} 4>&{answers_out}',
                "sh",
                str(executable),
                *_FLAGS,
                *root,
                f"--user-data-dir={profile}",
            ],
            pass_fds=(orders_in, answers_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(orders_in)
        os.close(answers_out)
        try:
            yield _Pages(orders, answers)
        finally:
            os.close(orders)  # its order to end
            process.wait(30)
            os.close(answers)


def _footprint(pid: int) -> Footprint:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    rows = [line.split() for line in text.splitlines()]
    kib = {row[0].rstrip(":"): int(row[1]) for row in rows if row[-1] == "kB"}
    return Footprint((kib["RssAnon"] + kib["VmSwap"]) / _KIB, kib["RssShmem"] / _KIB)
