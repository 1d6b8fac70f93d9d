/** The bar at the top: mode, view type, crosshair, thumbnails, panels, share, theme, help. */
import { button, el, icon, replaceChildren } from "./dom.js";
import { filterOpener } from "./filter-bar.js";
import { openHelp } from "./help.js";
import { openShare } from "./share.js";
import { MODES, PANELS, setMode, togglePanel, viewsOf } from "./state.js";
import { fill, texts } from "./texts.js";
import { nextTheme } from "./theme.js";

const words = texts.core.toolbar;
const PANEL_KEYS = { calendar: "D", series: "T", map: "P", details: "I", ratings: "R" };
const PANEL_ICONS = { ratings: "star" };
const THEME_ICONS = { dark: "moon", light: "sun", auto: "auto" };

/**
 * Show the toolbar.
 * @param {HTMLElement} element - the page's header
 * @param {object} app
 */
export function mount(element, app) {
  const sites = button({ label: texts.core.sites.open, icon: "menu", class: "toolbar-sites", on: () => app.state.set({ drawer: !app.state.get().drawer }) });
  const name = el("p", { class: "brand" }, mark(), el("span", { class: "brand-name", text: "Estinel" }));
  const views = el("div", { class: "toolbar-group toolbar-views", attrs: { role: "group", "aria-label": words.label } }, modeButtons(app), viewSelect(app), toggles(app));
  const panels = el("div", { class: "toolbar-group toolbar-panels", attrs: { role: "group", "aria-label": words.panels } }, ...panelButtons(app), filterOpener(app));
  const title = element.querySelector("h1");
  replaceChildren(element, sites, name, views, title, panels, pageButtons(app));
  app.state.on(["drawer"], ({ drawer }) => sites.setAttribute("aria-expanded", String(drawer)));
  sites.setAttribute("aria-expanded", "false");
  sites.setAttribute("aria-controls", "sites");
}

function mark() {
  const shape = icon("mark");
  shape.classList.add("brand-mark");
  return shape;
}

function modeButtons(app) {
  const buttons = new Map(
    MODES.map((mode) => [mode, button({ label: words[mode], icon: mode, key: "M", pressed: false, on: () => setMode(app, mode) })]),
  );
  follow(app, ["mode"], ({ mode }) => {
    for (const [name, element] of buttons) element.setAttribute("aria-pressed", String(name === mode));
  });
  return el("div", { class: "segmented", attrs: { role: "group", "aria-label": words.modes } }, ...buttons.values());
}

function viewSelect(app) {
  const select = el("select", {
    class: "select toolbar-view",
    title: `${words.view} (V)`,
    attrs: { "aria-label": words.view, "aria-keyshortcuts": "V" },
    on: { change: () => app.state.set({ view: select.value }) },
  });
  let written = "";
  follow(app, ["view", "site", "imageId"], (state) => {
    const views = viewsOf(state);
    if (state.view !== null && views.length > 0 && !views.includes(state.view)) views.push(state.view);
    if (views.join("\n") !== written) {
      written = views.join("\n");
      replaceChildren(select, ...views.map((view) => el("option", { text: view, attrs: { value: view } })));
    }
    select.disabled = views.length === 0;
    if (state.view !== null) select.value = state.view;
  });
  return select;
}

function toggles(app) {
  const entries = [["crosshair", "C"], ["thumbs", "G"]].map(([name, key]) => {
    const element = button({ label: words[name], icon: name, key, pressed: false, on: () => app.state.set({ [name]: !app.state.get()[name] }) });
    follow(app, [name], (state) => element.setAttribute("aria-pressed", String(state[name])));
    return element;
  });
  return el("div", { class: "toolbar-set" }, ...entries);
}

function panelButtons(app) {
  return PANELS.map((panel) => {
    const element = button({ label: words[panel], icon: PANEL_ICONS[panel] ?? panel, text: words[panel], key: PANEL_KEYS[panel], class: "toolbar-panel", pressed: false, on: () => togglePanel(app, panel) });
    element.setAttribute("aria-label", words[panel]);
    follow(app, ["panel"], (state) => element.setAttribute("aria-pressed", String(state.panel === panel)));
    return element;
  });
}

function pageButtons(app) {
  const share = button({ label: words.share, icon: "share", key: "S", on: () => openShare(app, share) });
  const help = button({ label: words.help, icon: "help", key: "?", on: () => openHelp(app, help) });
  const theme = button({ label: words.theme, icon: "moon", key: "L", class: "toolbar-theme", on: () => nextTheme(app) });
  follow(app, ["theme"], (state) => {
    const label = fill(words.theme, { theme: words.themes[state.theme] });
    theme.setAttribute("aria-label", label);
    theme.title = `${label} (L)`;
    replaceChildren(theme, icon(THEME_ICONS[state.theme]));
  });
  return el("div", { class: "toolbar-group toolbar-page" }, share, theme, help);
}

function follow(app, keys, update) {
  update(app.state.get());
  app.state.on(keys, update);
}
