/** The map of the sites, coloured by the age of their newest image. */
import { button, el, replaceChildren } from "./dom.js";
import { landscape } from "./map-canvas.js";
import { createMapMarks } from "./map-marks.js";
import { PROJECTIONS, suitingProjection } from "./map-projections.js";
import { AGES } from "./map-sites.js";
import { createMapView } from "./map-view.js";
import { followPanel, watchWidth } from "./panel-life.js";
import { fill, texts } from "./texts.js";

const ZOOM_STEP = 1.8;
/** Room around the sites when all are shown, in CSS pixels. */
const MARGIN = 36;
/** CSS variables that colour the map, by what they colour. */
const COLOURS = { sea: "--map-sea", land: "--map-land", coast: "--map-coast", net: "--map-net", frame: "--border" };

let outlinesRead = null;
/** Kept while the page lives, so that the map opens as it was left. */
let chosen = null;

/**
 * Show the map while `state.panel` is "map".
 * @param {HTMLElement} element
 * @param {object} app
 */
export function mount(element, app) {
  followPanel(app, element, "map", open);
}

/**
 * What the marks mean.
 * @returns {HTMLElement} a list of the classes of age
 */
export function ageLegend() {
  const words = texts.panels.map;
  const item = (name) =>
    el("li", {}, dot(name), words.classes[name]);
  return el(
    "ul",
    { class: "map-legend list-plain", attrs: { "aria-label": words.legend } },
    ...[...AGES.map((age) => age.name), "none"].map(item),
    el("li", {}, dot("month", "3"), words.legendCluster),
  );
}

function dot(age, count = null) {
  const name = count === null ? "map-dot" : "map-dot map-count";
  return el("span", { class: name, text: count, dataset: { age }, attrs: { "aria-hidden": "true" } });
}

function open(element, app) {
  const words = texts.panels.map;
  const sites = app.catalog?.sites ?? [];
  const located = sites.filter((site) => site.lon !== null && site.lat !== null);
  if (located.length === 0) {
    replaceChildren(element, el("p", { class: "panel-empty", text: words.nowhere }));
    return () => {};
  }
  const map = { app, located, draw: null, closed: false, frame: 0, outlines: null };
  build(map, element, sites.length - located.length);
  map.view = createMapView(map.box, (scaled) => changed(map, scaled));
  map.marks = createMapMarks(app, map, { layer: map.layer, choice: map.choice });
  const offs = [
    watchWidth(element, (width) => resize(map, width)),
    app.state.on(["siteId"], () => changed(map, true)),
    app.state.on(["theme"], () => requestDraw(map)),
    followScheme(() => requestDraw(map)),
    map.view.close,
  ];
  resize(map, Math.floor(element.clientWidth));
  choose(map, chosen ?? suitingProjection(located.map((site) => site.lat)));
  readOutlines().then(
    (outlines) => {
      map.outlines = outlines;
      if (!map.closed) choose(map, map.projection.name, true);
    },
    () => {
      if (!map.closed) map.note.append(el("p", { class: "panel-note", text: words.failed }));
    },
  );
  return () => {
    map.closed = true;
    cancelAnimationFrame(map.frame);
    offs.forEach((off) => off());
  };
}

function build(map, element, placeless) {
  const words = texts.panels.map;
  map.canvas = el("canvas", { class: "map-canvas", attrs: { "aria-hidden": "true" } });
  map.layer = el("div", { class: "map-layer" });
  map.box = el("div", { class: "map-box", attrs: { role: "group", "aria-label": words.label } }, map.canvas, map.layer);
  map.choice = el("div", { class: "map-choice" });
  map.note = el("div", { class: "map-notes" });
  map.outside = el("p", { class: "panel-note", attrs: { hidden: true } });
  map.note.append(map.outside);
  if (placeless > 0) {
    const text = placeless === 1 ? words.onePlaceless : fill(words.placeless, { count: placeless });
    map.note.append(el("p", { class: "panel-note", text }));
  }
  replaceChildren(
    element,
    projectionSwitch(map),
    map.box,
    el("div", { class: "map-bar" }, el("span", { class: "muted small", text: words.credit }), zoomButtons(map)),
    map.choice,
    el("h3", { class: "map-legend-title", text: words.legend }),
    ageLegend(),
    map.note,
    el("p", { class: "panel-note", text: words.hint }),
  );
}

function projectionSwitch(map) {
  const words = texts.panels.map;
  const labels = { mercator: words.mercator, north: words.north, south: words.south };
  map.switches = Object.keys(PROJECTIONS).map((name) => {
    const made = button({ label: labels[name], text: labels[name], pressed: false, on: () => choose(map, name) });
    made.dataset.projection = name;
    return made;
  });
  const attrs = { role: "group", "aria-label": words.projections };
  return el("div", { class: "segmented panel-forms", attrs }, ...map.switches);
}

function zoomButtons(map) {
  const words = texts.panels.map;
  return el(
    "div",
    { class: "map-zoom" },
    button({ label: words.zoomIn, icon: "plus", on: () => map.view.zoom(ZOOM_STEP) }),
    button({ label: words.zoomOut, icon: "minus", on: () => map.view.zoom(1 / ZOOM_STEP) }),
    button({ label: words.fit, icon: "fit", on: () => fitSites(map) }),
  );
}

/** Change the projection; with `again` the same one is drawn anew where the view stands. */
function choose(map, name, again = false) {
  const words = texts.panels.map;
  map.projection = PROJECTIONS[name];
  map.draw = landscape(map.outlines, map.projection);
  if (!again) {
    chosen = map.projection.name;
    map.placed = map.located
      .filter((site) => map.projection.shows(site.lat))
      .map((site) => {
        const [x, y] = map.projection.project(site.lon, site.lat);
        return { x, y, site };
      });
    const missing = map.located.length - map.placed.length;
    map.outside.hidden = missing === 0;
    map.outside.textContent = missing === 1 ? words.oneOutside : fill(words.outside, { count: missing });
    for (const made of map.switches) made.setAttribute("aria-pressed", String(made.dataset.projection === name));
    replaceChildren(map.choice);
    fitSites(map);
  } else {
    requestDraw(map);
  }
}

function fitSites(map) {
  map.view.fit(map.placed, MARGIN);
}

function resize(map, width) {
  if (width === 0) return;
  const height = Math.round(Math.min(width, Math.max(260, window.innerHeight * 0.6), 640));
  map.box.style.setProperty("height", `${height}px`);
  const fitted = map.placed !== undefined && !map.view.moved;
  map.view.resize(map.box.clientWidth, height);
  if (fitted) fitSites(map);
}

function changed(map, scaled) {
  if (map.placed === undefined || map.marks === undefined) return;
  map.marks.update(scaled);
  requestDraw(map);
}

function requestDraw(map) {
  if (map.frame !== 0 || map.closed) return;
  map.frame = requestAnimationFrame(() => {
    map.frame = 0;
    const { canvas, view } = map;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [width, height] = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, view.width, view.height);
    const style = getComputedStyle(map.box);
    const named = Object.entries(COLOURS).map(([name, variable]) => [name, style.getPropertyValue(variable)]);
    const colours = Object.fromEntries(named);
    map.draw(context, view, colours);
  });
}

function followScheme(run) {
  const query = window.matchMedia("(prefers-color-scheme: light)");
  query.addEventListener("change", run);
  return () => query.removeEventListener("change", run);
}

function readOutlines() {
  outlinesRead ??= fetch(new URL("./outlines.json", import.meta.url)).then((response) => {
    if (!response.ok) throw new Error(`outlines.json: HTTP ${response.status}`);
    return response.json();
  });
  // After a failure the next opening tries again.
  outlinesRead.catch(() => {
    outlinesRead = null;
  });
  return outlinesRead;
}
