/** The state in the page's address, and back: so that every view can be shared. Reads the original browser's too. */
import { DEFAULTS, FULL_VIEW, MODES, PANELS, RATINGS, currentImage, secondImage } from "./state.js";

const DATE = /^\d{4}-\d{2}-\d{2}$/;
/** Browsers refuse many changes of the address in a short time. */
const WAIT_MS = 250;
/** Chooses the catalogue; kept as it was given. */
const KEPT = ["catalog"];
const WRITTEN = [
  "site", "siteId", "imageId", "secondId", "mode", "view", "sort", "purposes", "search", "ratingsShown", "from", "to",
  "months", "maxCloud", "crosshair", "thumbs", "panel", "zoom", "speedS", "rateNext", "shown",
];

/**
 * Read a query.
 * @param {string} search - such as "?location=Hobart&date=2024-12-04"
 * @returns {{patch: object, wish: {site: string|null, date: string|null, second: string|null, index: number|null},
 *   catalog: string|null}} `patch` is for the state; `wish` names a site (id or name) and days, which only the
 *   catalogue can tell; values that mean nothing are left out
 */
export function readAddress(search) {
  const query = new URLSearchParams(search);
  const patch = {};
  const mode = { compare: "side" }[query.get("mode")] ?? query.get("mode");
  if (MODES.includes(mode)) patch.mode = mode;
  if (query.get("viewtype")) patch.view = viewName(query.get("viewtype"));
  if (query.get("sort") === "alphabetical" || query.get("sort") === "name") patch.sort = "name";
  if (query.has("purpose")) patch.purposes = list(query.get("purpose")).map(unescapeComma);
  if (query.get("q")) patch.search = query.get("q").slice(0, 200);
  if (query.has("rating")) patch.ratingsShown = RATINGS.filter((rating) => list(query.get("rating")).includes(rating));
  for (const name of ["from", "to"]) {
    if (DATE.test(query.get(name) ?? "")) patch[name] = query.get(name);
  }
  const months = list(query.get("months") ?? "").map(Number).filter((month) => month >= 1 && month <= 12);
  if (months.length > 0) patch.months = [...new Set(months)].sort((a, b) => a - b);
  const cloud = numberOf(query.get("cloud"), 0, 1);
  if (cloud !== null) patch.maxCloud = cloud;
  if (query.get("crosshair") === "true") patch.crosshair = true;
  if (query.get("thumbnails") === "false") patch.thumbs = false;
  if (PANELS.includes(query.get("panel"))) patch.panel = query.get("panel");
  if (query.get("ratenext") === "true") patch.rateNext = true;
  const speed = numberOf(query.get("speed"), 0.1, 3);
  if (speed !== null) patch.speedS = speed;
  const zoom = readZoom(query.get("z"));
  if (zoom !== null) patch.zoom = zoom;
  return { patch, wish: readWish(query, patch.mode), catalog: query.get("catalog") || null };
}

function readWish(query, mode) {
  const compares = mode !== undefined && mode !== "single";
  const day = (name) => (DATE.test(query.get(name) ?? "") ? query.get(name) : null);
  return {
    site: query.get("location") || null,
    date: (compares ? day("date1") : null) ?? day("date") ?? day("date1"),
    second: compares ? day("date2") : null,
    index: query.has("index") ? numberOf(query.get("index"), 0, 1e6) : null,
  };
}

/**
 * The whole address of what the page shows.
 * @param {object} state
 * @param {string} href - the page's address now
 * @returns {string}
 */
export function addressOf(state, href) {
  const url = new URL(href);
  const query = new URLSearchParams();
  for (const name of KEPT) {
    if (url.searchParams.has(name)) query.set(name, url.searchParams.get(name));
  }
  putImages(query, state);
  if (state.view !== null) query.set("viewtype", state.view);
  if (state.mode !== "single") query.set("mode", state.mode === "side" ? "compare" : state.mode);
  if (state.purposes.length > 0) query.set("purpose", state.purposes.map(escapeComma).join(","));
  if (state.search.trim() !== "") query.set("q", state.search);
  if (state.ratingsShown.length < RATINGS.length) query.set("rating", state.ratingsShown.join(",") || "none");
  if (state.from) query.set("from", state.from);
  if (state.to) query.set("to", state.to);
  if (state.months.length > 0) query.set("months", state.months.join(","));
  if (state.maxCloud !== null) query.set("cloud", String(state.maxCloud));
  if (state.crosshair) query.set("crosshair", "true");
  if (!state.thumbs) query.set("thumbnails", "false");
  if (state.sort !== DEFAULTS.sort) query.set("sort", "alphabetical");
  if (state.panel !== null) query.set("panel", state.panel);
  if (state.rateNext) query.set("ratenext", "true");
  if (state.speedS !== DEFAULTS.speedS) query.set("speed", String(state.speedS));
  if (!isFull(state.zoom)) query.set("z", [state.zoom.scale, state.zoom.x, state.zoom.y].map(round).join(","));
  // Commas and slashes may stand in a query as they are; so the address stays readable.
  url.search = query.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
  url.hash = "";
  return url.href;
}

function putImages(query, state) {
  const { site } = state;
  if (site === null) return;
  // A comma-free name is what people read and what the original browser understands; ids settle namesakes.
  query.set("location", site.nameIsUnique === false ? site.id : site.name);
  const image = currentImage(state);
  if (image === null) return;
  if (state.mode === "single") {
    query.set("date", image.date);
    return;
  }
  query.set("date1", image.date);
  const second = secondImage(state);
  if (second !== null) query.set("date2", second.date);
}

/**
 * Keep the page's address in step with the state.
 * @param {object} app
 * @returns {function(): void} stops it
 */
export function keepAddress(app) {
  let timer = null;
  let written = -WAIT_MS;
  const write = () => {
    timer = null;
    written = performance.now();
    const state = app.state.get();
    if (state.site === null) return;
    const href = addressOf(state, location.href);
    if (href !== location.href) history.replaceState(history.state, "", href);
  };
  const off = app.state.on(WRITTEN, () => {
    timer ??= setTimeout(write, Math.max(0, written + WAIT_MS - performance.now()));
  });
  const now = () => {
    if (timer !== null) {
      clearTimeout(timer);
      write();
    }
  };
  window.addEventListener("pagehide", now);
  return () => {
    off();
    clearTimeout(timer);
    window.removeEventListener("pagehide", now);
  };
}

function viewName(name) {
  const bare = name.startsWith("view_") ? name.slice(5) : name;
  return bare === "hist" ? "histeq" : bare;
}

function list(text) {
  return text.split(",").map((part) => part.trim()).filter(Boolean);
}

/** A comma inside a purpose must not part it. */
function escapeComma(name) {
  return name.replaceAll("%", "%25").replaceAll(",", "%2C");
}

function unescapeComma(name) {
  return name.replaceAll("%2C", ",").replaceAll("%25", "%");
}

function numberOf(text, low, high) {
  if (text === null || text.trim() === "") return null;
  const number = Number(text);
  return number >= low && number <= high ? number : null;
}

function readZoom(text) {
  const parts = (text ?? "").split(",").map((part) => numberOf(part, 0, 1000));
  if (parts.length !== 3 || parts.includes(null) || parts[0] < 1 || parts[1] > 1 || parts[2] > 1) return null;
  return { scale: parts[0], x: parts[1], y: parts[2] };
}

function isFull(zoom) {
  return zoom.scale === FULL_VIEW.scale;
}

function round(number) {
  return String(Math.round(number * 1e4) / 1e4);
}
