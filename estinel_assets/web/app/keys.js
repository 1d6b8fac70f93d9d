/** The keyboard map. */
import { rateCurrent, toggleRateNext } from "./rating-actions.js";
import { openHelp } from "./help.js";
import { togglePlay } from "./player.js";
import { openShare } from "./share.js";
import { MODES, nextView, selectSite, setMode, show, step, togglePanel } from "./state.js";
import { shownSites } from "./filters.js";
import { focusSearch } from "./sites.js";
import { texts } from "./texts.js";
import { nextTheme } from "./theme.js";
import { fit, zoomBy } from "./zoom.js";

const { keys: words, toolbar } = texts.core;
const ZOOM_STEP = 1.5;

/**
 * Every shortcut: `keys` as people read them, `on` as the browser names them (KeyboardEvent.key, letters lower case),
 * `shift` for those that need Shift or Ctrl held.
 * @type {{keys: string[], on: string[], group: string, text: string, shift?: boolean, run: function(object): void}[]}
 */
export const KEYS = [
  key(words.images, "←", "arrowleft", words.previous, (app) => step(app, -1)),
  key(words.images, "→", "arrowright", words.next, (app) => step(app, +1)),
  { ...key(words.images, "Shift ←", "arrowleft", words.previousSecond, (app) => step(app, -1, { second: true })), shift: true },
  { ...key(words.images, "Shift →", "arrowright", words.nextSecond, (app) => step(app, +1, { second: true })), shift: true },
  key(words.images, "Home", "home", words.first, (app) => showAt(app, 0)),
  key(words.images, "End", "end", words.last, (app) => showAt(app, -1)),
  key(words.images, "Space", " ", words.play, togglePlay),
  key(words.sites, "↑", "arrowup", words.siteUp, (app) => stepSite(app, -1)),
  key(words.sites, "↓", "arrowdown", words.siteDown, (app) => stepSite(app, +1)),
  key(words.sites, "/", "/", words.search, focusSearch),
  key(words.rating, "1", "1", words.good, (app) => rateCurrent(app, "good")),
  key(words.rating, "2", "2", words.ok, (app) => rateCurrent(app, "ok")),
  key(words.rating, "3", "3", words.bad, (app) => rateCurrent(app, "bad")),
  { ...key(words.rating, "0", "0", words.clear, (app) => rateCurrent(app, null)), keys: ["0", "Backspace"], on: ["0", "backspace"] },
  key(words.rating, "N", "n", words.rateNext, toggleRateNext),
  key(words.view, "V", "v", words.viewType, nextView),
  key(words.view, "M", "m", words.mode, nextMode),
  { ...key(words.view, "+", "+", words.zoomIn, (app) => zoomBy(app, ZOOM_STEP)), on: ["+", "="] },
  { ...key(words.view, "−", "-", words.zoomOut, (app) => zoomBy(app, 1 / ZOOM_STEP)), on: ["-", "_"] },
  key(words.view, "F", "f", words.fit, fit),
  key(words.view, "C", "c", toolbar.crosshair, (app) => toggle(app, "crosshair")),
  key(words.view, "G", "g", toolbar.thumbs, (app) => toggle(app, "thumbs")),
  key(words.panels, "D", "d", toolbar.calendar, (app) => togglePanel(app, "calendar")),
  key(words.panels, "T", "t", toolbar.series, (app) => togglePanel(app, "series")),
  key(words.panels, "P", "p", toolbar.map, (app) => togglePanel(app, "map")),
  key(words.panels, "I", "i", toolbar.details, (app) => togglePanel(app, "details")),
  key(words.panels, "R", "r", toolbar.ratings, (app) => togglePanel(app, "ratings")),
  key(words.page, "S", "s", toolbar.share, openShare),
  key(words.page, "L", "l", words.theme, nextTheme),
  key(words.page, "?", "?", toolbar.help, openHelp),
  key(words.page, "Esc", "escape", words.close, closeOne),
];

function key(group, shown, name, text, run) {
  return { keys: [shown], on: [name], group, text, run };
}

/**
 * Listen to the keyboard.
 * @param {object} app
 * @returns {function(): void} stops it
 */
export function mountKeys(app) {
  const onKey = (event) => {
    const shortcut = shortcutOf(event);
    if (shortcut === null) return;
    event.preventDefault();
    shortcut.run(app);
  };
  window.addEventListener("keydown", onKey);
  return () => window.removeEventListener("keydown", onKey);
}

function shortcutOf(event) {
  if (event.defaultPrevented || event.isComposing || event.altKey || event.metaKey) return null;
  // An open dialog has the keyboard for itself; Esc closes it without our doing.
  if (document.querySelector("dialog[open]") !== null) return null;
  const name = event.key.toLowerCase();
  if (isTakenBy(event.target, name)) return null;
  const isArrow = name === "arrowleft" || name === "arrowright";
  if (event.ctrlKey && !isArrow) return null;
  const shift = isArrow && (event.shiftKey || event.ctrlKey);
  return KEYS.find((entry) => entry.on.includes(name) && (entry.shift ?? false) === shift) ?? null;
}

/** Whether the element under the keyboard uses the key itself. */
function isTakenBy(target, name) {
  if (!(target instanceof HTMLElement)) return false;
  if (name === "escape") return false;
  if (target.isContentEditable || target.matches("textarea, select")) return true;
  if (target.matches("input")) {
    if (!["checkbox", "radio", "range", "button", "file"].includes(target.type)) return true;
    return name === " " || name.startsWith("arrow") || name === "home" || name === "end";
  }
  // Lists, sliders and grids mark the keys that they use as handled.
  return name === " " && target.closest("button, a, summary, [role=button]") !== null;
}

function showAt(app, position) {
  const image = app.state.get().shown.at(position);
  if (image) show(app, image.id);
}

function stepSite(app, delta) {
  const state = app.state.get();
  const sites = shownSites(app.catalog.sites, state);
  if (sites.length === 0) return;
  const index = sites.findIndex((site) => site.id === state.siteId);
  const next = index < 0 ? 0 : Math.min(Math.max(index + delta, 0), sites.length - 1);
  selectSite(app, sites[next].id);
}

function nextMode(app) {
  const { mode } = app.state.get();
  setMode(app, MODES[(MODES.indexOf(mode) + 1) % MODES.length]);
}

function toggle(app, name) {
  app.state.set({ [name]: !app.state.get()[name] });
}

/** Close the topmost thing that is open: a list of choices, the drawer, the panel. */
function closeOne(app) {
  const open = document.querySelector("details.menu[open]");
  const state = app.state.get();
  if (open !== null) {
    open.open = false;
    open.querySelector("summary").focus();
  } else if (state.drawer) app.state.set({ drawer: false });
  else if (state.panel !== null) app.state.set({ panel: null });
  else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
}
