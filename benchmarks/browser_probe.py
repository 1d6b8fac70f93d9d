"""What a page says of itself while it is measured: times of painting, long tasks, memory."""

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

_MIB = 1024 * 1024

INIT = """
(() => {
  const bench = (window.__bench = { first: null, steps: [], tasks: [] });
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) bench.tasks.push([task.startTime, task.duration]);
  }).observe({ type: "longtask", buffered: true });
  const frame = () => document.querySelector(".frame[data-side=left]");
  const shown = () => (frame()?.dataset.state === "shown" ? frame().dataset.shown : null);
  // The frame that holds the change has been handed over when the next task runs.
  const painted = (done) =>
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => done(performance.now());
      channel.port2.postMessage(0);
    });
  const options = {
    subtree: true, childList: true, attributes: true, attributeFilter: ["data-state", "data-shown"],
  };
  const first = new MutationObserver(async () => {
    if (!shown()) return;
    first.disconnect();
    await frame().querySelector("img").decode();
    painted((now) => (bench.first = now));
  });
  first.observe(document, options);
  addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const before = shown();
    const pressed = event.timeStamp;
    const step = new MutationObserver(() => {
      const now = shown();
      if (now === null || now === before) return;
      step.disconnect();
      painted((at) => bench.steps.push(at - pressed));
    });
    step.observe(frame(), { attributes: true });
  }, { capture: true });
})();
"""

SCROLL = """
async (frames) => {
  const all = [...document.querySelectorAll(".thumbnails, .thumbnails *")];
  const scrolls = (one) =>
    ["auto", "scroll"].some((way) => getComputedStyle(one).overflow.split(" ").includes(way));
  const room = (one) =>
    Math.max(one.scrollWidth - one.clientWidth, one.scrollHeight - one.clientHeight);
  const box = all.filter(scrolls).sort((a, b) => room(b) - room(a))[0];
  const across = box.scrollWidth - box.clientWidth > box.scrollHeight - box.clientHeight;
  const began = performance.now();
  let last = began;
  let worst = 0;
  for (let frame = 0; frame < frames; frame += 1) {
    const part = Math.abs(((2 * frame) / frames) - 1);
    box[across ? "scrollLeft" : "scrollTop"] = part * room(box);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    worst = Math.max(worst, now - last);
    last = now;
  }
  return { began, ended: performance.now(), room: room(box), worst };
}
"""


@dataclass(frozen=True, slots=True)
class Scrolled:
    """What scrolling all thumbnails of a site there and back did."""

    room_px: float
    """How far it could be scrolled."""
    long_tasks: int
    """Tasks of more than 50 ms while it was scrolled."""
    longest_ms: float
    """Of these; 0 where there was none."""
    worst_frame_ms: float
    """The longest time between two frames."""


def first_image_ms(page: Page) -> float:
    """From the start of the navigation until the first image was painted."""
    page.wait_for_function("() => window.__bench.first !== null", timeout=120_000)
    return float(page.evaluate("window.__bench.first"))


def steps_ms(page: Page, key: str, count: int, *, pause_ms: float) -> list[float]:
    """Press an arrow key so often; from each press until the image was painted.

    Args:
        page: the page.
        key: its name.
        count: presses.
        pause_ms: time between one image and the next press.
    """
    page.evaluate("window.__bench.steps = []")
    for number in range(count):
        page.keyboard.press(key)
        page.wait_for_function("n => window.__bench.steps.length > n", arg=number, timeout=60_000)
        page.wait_for_timeout(pause_ms)
    return [float(step) for step in page.evaluate("window.__bench.steps")]


def scroll(page: Page, frames: int) -> Scrolled:
    """Scroll the thumbnails from one end to the other and back."""
    found: dict[str, Any] = page.evaluate(SCROLL, frames)
    page.wait_for_timeout(200)  # long tasks are told of later
    tasks = [
        duration
        for start, duration in page.evaluate("window.__bench.tasks")
        if start + duration > found["began"] and start < found["ended"]
    ]
    return Scrolled(found["room"], len(tasks), max(tasks, default=0.0), found["worst"])


def page_memory_mib(page: Page) -> float:
    """What `performance.measureUserAgentSpecificMemory` counts: script, document and workers."""
    counted = page.evaluate(
        "async () => (await performance.measureUserAgentSpecificMemory()).bytes"
    )
    return float(counted) / _MIB
