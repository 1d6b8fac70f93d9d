"""What the catalogue browser takes for a hundred thousand images, beside a straightforward page.

    .venv/bin/python -m benchmarks.browser [--quick] [--rounds N]

One hundred sites of a thousand images each, on loopback, in Debian's headless Chromium, without a
GPU. Ours reads the catalogue as an index with a file a site, as the one file that the pipeline
writes beside it, and as one file in the form of other catalogues. The peer fetches that last file,
too, renders the thumbnails of a whole site, and loads an image when it is asked for. Each round
takes a fresh browser a page; the order turns from round to round. Memory of the process is counted
once a page, in a browser that nobody listens to.
"""

import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as TookTooLongError

from benchmarks.browser_memory import Memory, memory_of
from benchmarks.browser_peer import PEER
from benchmarks.browser_probe import (
    INIT,
    SCROLL,
    Scrolled,
    first_image_ms,
    page_memory_mib,
    scroll,
    steps_ms,
)
from benchmarks.browser_server import web_server
from benchmarks.measuring import keep, parser, rounded, surroundings
from tests.support.browser import open_browser, why_no_browser
from tests.support.catalogue import Form, make_many

GOAL_FIRST_MS = 1500.0
GOAL_NEXT_MS = 50.0
GOAL_TASK_MS = 50.0
GOAL_MEMORY_MB = 300.0
MB_PER_MIB = 1.048576

# Memory is counted when it is asked for, not at the next collection of garbage.
_FLAGS = ("--enable-blink-features=ForceEagerMeasureMemory", "--js-flags=--expose-gc")
_PRELOAD_MS = 250.0
_CHANGED = """
(before) => {
  const frame = document.querySelector(".frame");
  return frame.dataset.state === "shown" && frame.dataset.shown !== before;
}
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    sites: int
    images: int
    rounds: int
    steps: int
    visits: int
    """Sites that are visited before memory is measured again."""


FULL = Size(sites=100, images=1000, rounds=5, steps=40, visits=10)
QUICK = Size(sites=5, images=60, rounds=1, steps=4, visits=2)


@dataclass(frozen=True, slots=True)
class Case:
    """A page over a form of the catalogue."""

    name: str
    path: str
    """Of the page."""
    document: str
    """What it reads first."""


CASES = (
    Case("split", "split/catalog/", "split/catalog/index.json"),
    Case("single", "single/catalog/", "single/catalog/image-catalog.json"),
    Case("original", "original/catalog/", "original/catalog/image-catalog.json"),
    Case("peer", "original/catalog/peer.html", "original/catalog/image-catalog.json"),
)


@dataclass(slots=True)
class Found:
    """What the rounds of a case found."""

    first_ms: list[float] = field(default_factory=list)
    again_ms: list[float] = field(default_factory=list)
    """A second visit in the same profile."""
    next_ms: list[float] = field(default_factory=list)
    held_ms: list[float] = field(default_factory=list)
    """Without a pause between one image and the next press."""
    scrolls: list[Scrolled] = field(default_factory=list)
    memory_first: list[float] = field(default_factory=list)
    """Of the page, in MiB."""
    memory_after: list[float] = field(default_factory=list)


def measure(case: Case, address: str, size: Size, found: Found) -> str:
    """One round of a case in a fresh browser; the version of the browser."""
    with open_browser(*_FLAGS) as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_init_script(INIT)
        page = context.new_page()
        page.goto(f"{address}/{case.path}", wait_until="commit")
        found.first_ms.append(first_image_ms(page))
        page.wait_for_timeout(1000)
        found.memory_first.append(page_memory_mib(page))
        steps_ms(page, "ArrowLeft", 3, pause_ms=_PRELOAD_MS)  # so that the direction is known
        found.next_ms += steps_ms(page, "ArrowLeft", size.steps, pause_ms=_PRELOAD_MS)
        found.held_ms += steps_ms(page, "ArrowLeft", size.steps, pause_ms=0)
        found.scrolls.append(scroll(page, 300))
        _visit(page, size.visits)
        found.memory_after.append(page_memory_mib(page))
        page.close()
        again = context.new_page()
        again.goto(f"{address}/{case.path}", wait_until="commit")
        found.again_ms.append(first_image_ms(again))
        return browser.version


def _visit(page: Page, sites: int) -> None:
    """Open the next sites, one after the other, and go back by some images in each."""
    for _ in range(sites):
        _press_until_changed(page, "ArrowDown", patience_ms=120_000)
        for _ in range(3):
            _press_until_changed(page, "ArrowLeft", patience_ms=5_000)


def _press_until_changed(page: Page, key: str, *, patience_ms: float) -> None:
    """Press a key until another image is shown: of a site that is still read there is but one."""
    before = page.locator(".frame").first.get_attribute("data-shown")
    for _ in range(30):
        page.keyboard.press(key)
        try:
            page.wait_for_function(_CHANGED, arg=before, timeout=patience_ms)
        except TookTooLongError:
            continue
        return
    raise RuntimeError(f"{key} shows no other image than {before}")


def document(case: Case, folder: Path, found: Found, memory: Memory) -> dict[str, Any]:
    """For the results."""
    tasks = [one.longest_ms for one in found.scrolls]
    return {
        "name": case.name,
        "first_document_mb": round((folder / case.document).stat().st_size / 1e6, 2),
        "first_image_ms": _spread(found.first_ms),
        "second_visit_ms": _spread(found.again_ms),
        "next_image_ms": _spread(found.next_ms),
        "next_image_without_pause_ms": _spread(found.held_ms),
        "scrolling": {
            "long_tasks": sum(one.long_tasks for one in found.scrolls),
            "longest_ms": rounded(max(tasks)),
            "worst_frame_ms": rounded(max(one.worst_frame_ms for one in found.scrolls)),
            "room_px": max(one.room_px for one in found.scrolls),
        },
        "memory_mb": {
            "page_first_image": _mb(max(found.memory_first)),
            "page_after_work": _mb(max(found.memory_after)),
            "empty": _mb(memory.empty.own_mib),
            "after_work": _mb(memory.after_work.own_mib),
            "droppable": _mb(memory.after_work.droppable_mib),
            "after_pressure": _mb(memory.after_pressure.own_mib),
            "droppable_after_pressure": _mb(memory.after_pressure.droppable_mib),
        },
    }


def _spread(values: list[float]) -> dict[str, float | int]:
    return {
        "median": rounded(statistics.median(values)),
        "least": rounded(min(values)),
        "most": rounded(max(values)),
        "count": len(values),
    }


def _mb(mib: float) -> float:
    return rounded(mib * MB_PER_MIB)


def goals(cases: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What was aimed at, and the worst of what was found, for ours."""
    found = []
    for name in ("split", "single", "original"):
        case = cases[name]
        memory_mb = case["memory_mb"]["after_work"]
        for what, goal, value in (
            ("first image", GOAL_FIRST_MS, case["first_image_ms"]["median"]),
            ("next image, preloaded", GOAL_NEXT_MS, case["next_image_ms"]["median"]),
            ("longest task while scrolling", GOAL_TASK_MS, case["scrolling"]["longest_ms"]),
            ("memory", GOAL_MEMORY_MB, memory_mb),
        ):
            found.append(
                {"case": name, "what": what, "goal": goal, "found": value, "met": value <= goal}
            )
    return found


def main() -> None:
    """Measure and keep."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, help="rounds a page, three to four minutes each")
    arguments = options.parse_args()
    if reason := why_no_browser():
        raise SystemExit(reason)
    size = QUICK if arguments.quick else FULL
    size = replace(size, rounds=arguments.rounds or size.rounds)
    around = surroundings("playwright")
    found = {case.name: Found() for case in CASES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        forms: tuple[Form, ...] = ("split", "single", "original")
        for form in forms:
            make_many(folder / form, size.sites, size.images, form=form)
        (folder / "original" / "catalog" / "peer.html").write_text(PEER, encoding="utf-8")
        version = ""
        with web_server(folder) as address:
            for turn in range(size.rounds):
                order = CASES[turn % len(CASES) :] + CASES[: turn % len(CASES)]
                for case in order:
                    version = measure(case, address, size, found[case.name])
            memory = {
                case.name: memory_of(
                    f"{address}/{case.path}", SCROLL, steps=2 * size.steps, visits=size.visits
                )
                for case in CASES
            }
        cases = {
            case.name: document(case, folder, found[case.name], memory[case.name]) for case in CASES
        }
        whole_mb = sum(file.stat().st_size for file in folder.glob("split/catalog/fragments/*"))
    keep(
        "browser",
        arguments,
        {
            "surroundings": {
                **around,
                "versions": {**around["versions"], "chromium": version},  # type: ignore[dict-item]
            },
            "sites": size.sites,
            "images": size.sites * size.images,
            "rounds": size.rounds,
            "fragments_mb": round(whole_mb / 1e6, 1),
            "cases": list(cases.values()),
            "goals": goals(cases),
        },
    )


if __name__ == "__main__":
    main()
