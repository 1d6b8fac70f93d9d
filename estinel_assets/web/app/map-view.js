/** Moving and zooming of a map, by hand and by wheel. */

/** Greatest scale over that at which the whole square fits. */
const MOST_ZOOM = 4000;
/** Side of the least part of the square that is shown when all sites are: a region, not a field. */
const LEAST_SIDE = 0.3;
/** Wheel: one notch of 100 pixels zooms by this. */
const NOTCH = 1.35;

/**
 * Make a view of the square from -1 to 1.
 * @param {HTMLElement} element - what is dragged and scrolled
 * @param {function(boolean): void} changed - called after each change; true where the scale or size changed
 * @returns {object} `x`, `y` (centre), `scale` (CSS pixels a unit), `width`, `height`; `resize`, `fit`, `zoom`,
 *   `centre`, `most()` and `close()`
 */
export function createMapView(element, changed) {
  const view = { x: 0, y: 0, scale: 100, width: 0, height: 0, moved: false };
  const leastScale = () => Math.min(view.width, view.height) / 2;
  view.most = () => leastScale() * MOST_ZOOM;

  function hold() {
    view.scale = Math.max(leastScale(), Math.min(view.most(), view.scale));
    const [roomX, roomY] = [view.width / 2 / view.scale, view.height / 2 / view.scale];
    view.x = Math.max(Math.min(-1 + roomX, 0), Math.min(Math.max(1 - roomX, 0), view.x));
    view.y = Math.max(Math.min(-1 + roomY, 0), Math.min(Math.max(1 - roomY, 0), view.y));
  }

  view.resize = (width, height) => {
    const ratio = view.width === 0 ? 1 : leastScale();
    view.width = width;
    view.height = height;
    if (ratio !== 1) view.scale *= leastScale() / ratio;
    hold();
    changed(true);
  };
  view.fit = (places, margin, least = LEAST_SIDE) => {
    const xs = places.map((place) => place.x);
    const ys = places.map((place) => place.y);
    const [left, right] = [Math.min(...xs, Infinity), Math.max(...xs, -Infinity)];
    const [top, bottom] = [Math.min(...ys, Infinity), Math.max(...ys, -Infinity)];
    if (places.length === 0) {
      Object.assign(view, { x: 0, y: 0, scale: 0 });
    } else {
      const across = (view.width - 2 * margin) / Math.max(right - left, least);
      const down = (view.height - 2 * margin) / Math.max(bottom - top, least);
      Object.assign(view, { x: (left + right) / 2, y: (top + bottom) / 2, scale: Math.min(across, down) });
    }
    view.moved = false;
    hold();
    changed(true);
  };
  view.zoom = (factor, at = { x: view.width / 2, y: view.height / 2 }) => {
    const before = view.scale;
    const [x, y] = [view.x + (at.x - view.width / 2) / before, view.y + (at.y - view.height / 2) / before];
    view.scale *= factor;
    view.scale = Math.max(leastScale(), Math.min(view.most(), view.scale));
    view.x = x - (at.x - view.width / 2) / view.scale;
    view.y = y - (at.y - view.height / 2) / view.scale;
    view.moved = true;
    hold();
    changed(true);
  };
  view.centre = (x, y) => {
    Object.assign(view, { x, y, moved: true });
    hold();
    changed(false);
  };
  view.close = listen(element, view, hold, changed);
  return view;
}

function listen(element, view, hold, changed) {
  const pointers = new Map();
  const at = (event) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const listeners = {
    pointerdown: (event) => {
      if (event.button !== 0 || event.target.closest("button")) return;
      element.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, at(event));
    },
    pointermove: (event) => {
      const before = pointers.get(event.pointerId);
      if (before === undefined) return;
      const now = at(event);
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      pointers.set(event.pointerId, now);
      if (other !== undefined) {
        const factor = Math.hypot(now.x - other.x, now.y - other.y) / Math.hypot(before.x - other.x, before.y - other.y);
        if (Number.isFinite(factor) && factor > 0) view.zoom(factor, { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
        return;
      }
      view.x -= (now.x - before.x) / view.scale;
      view.y -= (now.y - before.y) / view.scale;
      view.moved = true;
      hold();
      changed(false);
    },
    pointerup: (event) => pointers.delete(event.pointerId),
    pointercancel: (event) => pointers.delete(event.pointerId),
    wheel: (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
      view.zoom(NOTCH ** (-Math.max(-300, Math.min(300, event.deltaY * lines)) / 100), at(event));
    },
    dblclick: (event) => {
      if (!event.target.closest("button")) view.zoom(2, at(event));
    },
  };
  for (const [type, run] of Object.entries(listeners)) element.addEventListener(type, run, { passive: false });
  return () => {
    for (const [type, run] of Object.entries(listeners)) element.removeEventListener(type, run);
  };
}
