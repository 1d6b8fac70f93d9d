/** What the page shows, in one place, and the few ways in which it changes. */
import { fill, texts } from "./texts.js";

export const MODES = ["single", "slider", "side", "difference"];
export const PANELS = ["calendar", "series", "map", "details", "ratings"];
export const RATINGS = ["good", "ok", "bad", "unrated"];
export const FULL_VIEW = Object.freeze({ scale: 1, x: 0.5, y: 0.5 });

/** What a page without a query shows. */
export const DEFAULTS = Object.freeze({
  site: null,
  siteId: null,
  imageId: null,
  secondId: null,
  mode: "single",
  view: null,
  sort: "newest",
  purposes: [],
  search: "",
  ratingsShown: RATINGS,
  from: null,
  to: null,
  months: [],
  maxCloud: null,
  crosshair: false,
  thumbs: true,
  panel: null,
  playing: false,
  speedS: 1,
  rateNext: false,
  theme: "dark",
  zoom: FULL_VIEW,
  shown: [],
  loading: true,
  problem: null,
  notices: [],
  drawer: false,
  filtersOpen: false,
});

/**
 * Make a state.
 * @param {object} [initial] - values that differ from the defaults
 * @returns {{get: function(): object, set: function(object): void,
 *   on: function((string[]|null), function(object, Set<string>): void): function(): void}} `get` gives a frozen
 *   picture; `set` tells each listener once which of its keys changed, in the same task; `on` returns what
 *   removes the listener
 */
export function createState(initial = {}) {
  let current = Object.freeze({ ...DEFAULTS, ...initial });
  const listeners = new Set();
  let waiting = null;

  function set(patch) {
    const changed = Object.keys(patch).filter((key) => !isSame(current[key], patch[key]));
    if (changed.length === 0) return;
    current = Object.freeze({ ...current, ...patch });
    if (waiting !== null) {
      // A listener changed something: the others hear of it after this round.
      for (const key of changed) waiting.add(key);
      return;
    }
    waiting = new Set(changed);
    try {
      while (waiting.size > 0) {
        const round = waiting;
        waiting = new Set();
        tell(round);
      }
    } finally {
      waiting = null;
    }
  }

  function tell(changed) {
    for (const listener of [...listeners]) {
      if (!listeners.has(listener)) continue;
      if (listener.keys !== null && !listener.keys.some((key) => changed.has(key))) continue;
      try {
        listener.run(current, changed);
      } catch (error) {
        // One part's failure must not stop the others; the page says it once.
        reportError(error);
      }
    }
  }

  function on(keys, run) {
    const listener = { keys, run };
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  return { get: () => current, set, on };
}

function isSame(a, b) {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((value, index) => Object.is(value, b[index]));
  }
  if (isPlain(a) && isPlain(b)) {
    const keys = Object.keys(a);
    return keys.length < 8 && keys.length === Object.keys(b).length && keys.every((key) => Object.is(a[key], b[key]));
  }
  return false;
}

function isPlain(value) {
  return value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype;
}

/**
 * The image that the page shows (the left one in compare modes).
 * @param {object} state
 * @returns {object|null}
 */
export function currentImage(state) {
  return findImage(state, state.imageId);
}

/**
 * The right image of compare modes.
 * @param {object} state
 * @returns {object|null}
 */
export function secondImage(state) {
  return findImage(state, state.secondId);
}

function findImage(state, id) {
  if (id === null) return null;
  return state.shown.find((image) => image.id === id) ?? state.site?.images.find((image) => image.id === id) ?? null;
}

/**
 * Go to the next or the previous shown image: round the end in single mode, up to it in compare modes.
 * @param {object} app
 * @param {number} delta - +1 or -1 (or more)
 * @param {{second?: boolean}} [options] - `second` moves the right image of compare modes
 */
export function step(app, delta, { second = false } = {}) {
  const state = app.state.get();
  const { shown, mode } = state;
  if (shown.length === 0) {
    app.announce(texts.core.said.noImages);
    return;
  }
  const right = second && mode !== "single";
  const index = shown.findIndex((image) => image.id === (right ? state.secondId : state.imageId));
  let next = index < 0 ? indexBeside(state, right, delta) : index + delta;
  if (mode === "single") next = ((next % shown.length) + shown.length) % shown.length;
  next = Math.min(Math.max(next, 0), shown.length - 1);
  // The viewer says which image it is once it stands there.
  app.state.set(right ? { secondId: shown[next].id } : { imageId: shown[next].id });
}

/** Where to go from an image that the filters leave out. */
function indexBeside(state, right, delta) {
  const from = right ? secondImage(state) : currentImage(state);
  if (from === null) return state.shown.length - 1;
  const after = state.shown.findIndex((image) => image.date > from.date);
  if (after < 0) return delta > 0 ? state.shown.length : state.shown.length - 1;
  return delta > 0 ? after : after - 1;
}

/**
 * Show one image of the site.
 * @param {object} app
 * @param {string} imageId
 * @param {{second?: boolean}} [options] - `second` shows it in the right pane of compare modes
 */
export function show(app, imageId, { second = false } = {}) {
  const state = app.state.get();
  const right = second && state.mode !== "single";
  app.state.set(right ? { secondId: imageId } : { imageId });
}

/**
 * Show another site, its newest image first. Core loads it.
 * @param {object} app
 * @param {string} siteId
 */
export function selectSite(app, siteId) {
  const summary = app.catalog?.sites.find((site) => site.id === siteId);
  if (!summary) return;
  app.state.set({ siteId, drawer: false, playing: false, zoom: FULL_VIEW });
}

/**
 * Change the mode. Entering a compare mode puts the older of two neighbours left, the newer right.
 * @param {object} app
 * @param {"single"|"slider"|"side"|"difference"} mode
 */
export function setMode(app, mode) {
  if (!MODES.includes(mode)) return;
  const state = app.state.get();
  const patch = { mode };
  if (mode === "single") {
    patch.secondId = null;
  } else {
    patch.playing = false;
    if (state.mode === "single" || state.secondId === null) Object.assign(patch, pair(state));
  }
  app.state.set(patch);
  app.announce(fill(texts.core.said.mode, { mode: texts.core.toolbar[mode] }));
}

/**
 * The two images with which a compare mode begins.
 * @param {object} state
 * @returns {{imageId?: string|null, secondId: string|null}}
 */
export function pair(state) {
  const { shown } = state;
  if (shown.length === 0) return { secondId: null };
  const found = shown.findIndex((image) => image.id === state.imageId);
  const index = found < 0 ? shown.length - 1 : found;
  const left = Math.max(0, Math.min(index, shown.length - 2));
  return { imageId: shown[left].id, secondId: shown[Math.min(left + 1, shown.length - 1)].id };
}

/**
 * Open a panel, or close it where it is open.
 * @param {object} app
 * @param {"calendar"|"series"|"map"|"details"|"ratings"|null} panel
 */
export function togglePanel(app, panel) {
  const { panel: open } = app.state.get();
  app.state.set({ panel: open === panel ? null : panel });
}

/**
 * The views that the site's images have, in the order in which its newest image lists them.
 * @param {object} state
 * @returns {string[]}
 */
export function viewsOf(state) {
  const images = state.shown.length > 0 ? state.shown : (state.site?.images ?? []);
  const image = currentImage(state) ?? images[images.length - 1];
  return image ? Object.keys(image.views) : [];
}

/**
 * Go to the next view type.
 * @param {object} app
 */
export function nextView(app) {
  const state = app.state.get();
  const views = viewsOf(state);
  if (views.length === 0) return;
  const view = views[(views.indexOf(state.view) + 1) % views.length];
  app.state.set({ view });
  app.announce(fill(texts.core.said.view, { view }));
}
