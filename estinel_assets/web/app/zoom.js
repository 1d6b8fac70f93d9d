/** Zoom and pan of the stage by wheel, drag, pinch, double click, buttons and keys: one zoom for both pictures. */

import { button, el } from "./dom.js";
import { step } from "./state.js";
import { fill } from "./texts.js";
import { clampZoom, FITTED, maxScale, panned, zoomAt } from "./zoom-math.js";

const STEP = 1.5;
const DOUBLE = 2;
const WHEEL_PER_PIXEL = 0.0015;
const LINE_PX = 16;
const PAN_PART = 0.2;
const SWIPE_PX = 48;
const SWIPE_MS = 600;

const stages = new WeakMap();

/**
 * Zoom about the middle of the view.
 * @param {object} app
 * @param {number} factor of the scale
 */
export function zoomBy(app, factor) {
  const stage = stages.get(app);
  if (stage === undefined) return;
  const box = stage.box("left");
  const middle = { x: box.width / 2, y: box.height / 2 };
  app.state.set({ zoom: zoomAt(current(app, stage), factor, middle, box, stage.imageSize()) });
}

/**
 * Show the whole picture.
 * @param {object} app
 */
export function fit(app) {
  app.state.set({ zoom: { ...FITTED } });
}

/**
 * Make a stage zoom.
 * @param {import("./stage.js").Stage} stage
 * @param {object} app
 */
export function mountZoom(stage, app) {
  stages.set(app, stage);
  const change = oncePerFrame((zoom) => app.state.set({ zoom }));
  const zoomNow = () => change.waiting() ?? current(app, stage);
  mountPointers(stage, app, zoomNow, change);
  const { canvas } = stage;

  function onWheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PX : 1;
    const pages = event.deltaMode === WheelEvent.DOM_DELTA_PAGE ? canvas.clientHeight : 1;
    const pinch = event.ctrlKey ? 4 : 1; // a trackpad's pinch comes as small steps with Ctrl
    const pixels = Math.max(-400, Math.min(400, event.deltaY * lines * pages * pinch));
    const point = stage.pointIn(event);
    change(zoomAt(zoomNow(), Math.exp(-pixels * WHEEL_PER_PIXEL), point, stage.box(point.side), stage.imageSize()));
  }

  function onDouble(event) {
    if (event.target.closest("button, .stage-failed")) return;
    const point = stage.pointIn(event);
    const box = stage.box(point.side);
    const zoom = zoomNow();
    const atMost = zoom.scale >= maxScale(box, stage.imageSize()) - 0.01;
    change(atMost ? { ...FITTED } : zoomAt(zoom, DOUBLE, point, box, stage.imageSize()));
  }

  canvas.addEventListener("wheel", onWheel, { passive: false });
  canvas.addEventListener("dblclick", onDouble);
  const controls = zoomControls(stage, app);
  stage.controls.append(controls.element);
  canvas.append(controls.pans);
  app.state.on(["zoom"], () => stage.draw());
  controls.update();
  stage.element.addEventListener("draw", controls.update);
}

function current(app, stage) {
  return clampZoom(app.state.get().zoom, stage.box("left"), stage.imageSize());
}

/** Drag with one pointer, pinch with two, swipe to the next image where there is nothing to drag. */
function mountPointers(stage, app, zoomNow, change) {
  const { canvas } = stage;
  const down = new Map();
  let swipe = null;

  function onDown(event) {
    if (event.button !== 0 || event.target.closest("button, .stage-failed")) return;
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    swipe = down.size === 1 && event.pointerType === "touch" && zoomNow().scale === 1
      ? { x: event.clientX, y: event.clientY, at: event.timeStamp }
      : null;
  }

  function onMove(event) {
    const before = down.get(event.pointerId);
    if (before === undefined) return;
    const after = { x: event.clientX, y: event.clientY };
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    down.set(event.pointerId, after);
    const image = stage.imageSize();
    if (other === undefined) {
      const zoom = zoomNow();
      if (zoom.scale > 1) change(panned(zoom, after.x - before.x, after.y - before.y, stage.box("left"), image));
      canvas.classList.toggle("canvas-dragged", zoom.scale > 1);
      return;
    }
    const middle = stage.pointIn({ clientX: (after.x + other.x) / 2, clientY: (after.y + other.y) / 2 });
    const box = stage.box(middle.side);
    const factor = distance(after, other) / Math.max(1, distance(before, other));
    const zoomed = zoomAt(zoomNow(), factor, middle, box, image);
    change(panned(zoomed, (after.x - before.x) / 2, (after.y - before.y) / 2, box, image));
  }

  function onUp(event) {
    if (!down.delete(event.pointerId)) return;
    if (down.size === 0) canvas.classList.remove("canvas-dragged");
    const from = swipe;
    swipe = null;
    if (from === null || event.type !== "pointerup" || event.timeStamp - from.at > SWIPE_MS) return;
    const dx = event.clientX - from.x;
    if (Math.abs(dx) < SWIPE_PX || Math.abs(dx) < 2 * Math.abs(event.clientY - from.y)) return;
    step(app, dx < 0 ? 1 : -1, { second: false });
  }

  const listeners = { pointerdown: onDown, pointermove: onMove, pointerup: onUp, pointercancel: onUp };
  for (const [name, listener] of Object.entries(listeners)) canvas.addEventListener(name, listener);
}

/** Buttons for zoom, fit and pan, so that nothing needs a drag. */
function zoomControls(stage, app) {
  const words = app.texts.viewer;
  const pan = (dx, dy) => () => {
    const box = stage.box("left");
    const moved = panned(current(app, stage), -dx * PAN_PART * box.width, -dy * PAN_PART * box.height, box, stage.imageSize());
    app.state.set({ zoom: moved });
  };
  const pans = el(
    "div",
    { class: "pan-buttons", attrs: { role: "group", "aria-label": words.pan } },
    button({ label: words.panLeft, icon: "left", on: pan(-1, 0) }),
    button({ label: words.panUp, icon: "up", on: pan(0, -1) }),
    button({ label: words.panDown, icon: "down", on: pan(0, 1) }),
    button({ label: words.panRight, icon: "right", on: pan(1, 0) }),
  );
  const value = el("span", { class: "zoom-value" });
  const out = button({ label: words.zoomOut, icon: "minus", key: "-", on: () => zoomBy(app, 1 / STEP) });
  const all = button({ label: words.fit, icon: "fit", key: "F", on: () => fit(app) });
  const element = el(
    "div",
    { class: "zoom-controls", attrs: { role: "group", "aria-label": words.controls } },
    out,
    value,
    button({ label: words.zoomIn, icon: "plus", key: "+", on: () => zoomBy(app, STEP) }),
    all,
  );
  return {
    element,
    pans,
    update() {
      const { scale } = current(app, stage);
      pans.hidden = scale === 1;
      value.textContent = fill(words.zoomValue, { percent: Math.round(scale * 100) });
      stage.canvas.classList.toggle("canvas-zoomed", scale > 1);
    },
  };
}

/** The last value of a frame, once. */
function oncePerFrame(run) {
  let frame = 0;
  let value = null;
  function set(next) {
    value = next;
    if (frame !== 0) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      const last = value;
      value = null;
      run(last);
    });
  }
  set.waiting = () => value;
  return set;
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
