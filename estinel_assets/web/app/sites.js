/** The list of sites: order, search, purposes. */
import { button, el, icon, replaceChildren } from "./dom.js";
import { purposesOf, shownSites } from "./filters.js";
import { selectSite } from "./state.js";
import { fill, number, texts } from "./texts.js";
import { VirtualList } from "./virtual-list.js";

const words = texts.core.sites;
const ROW_PX = 48;
const SEARCH_ID = "site-search";

/**
 * Show the list of sites.
 * @param {HTMLElement} element - the navigation landmark
 * @param {object} app
 */
export function mount(element, app) {
  const count = el("p", { class: "sites-count muted small", attrs: { role: "status" } });
  const list = new VirtualList({
    class: "sites-list scroll",
    rowHeight: ROW_PX,
    label: words.label,
    render: (site) => row(site, app),
    id: (site) => site.id,
    onChoose: (site) => selectSite(app, site.id),
  });
  const empty = el("p", { class: "muted sites-none", text: words.none, attrs: { hidden: true } });
  replaceChildren(element, head(app), count, list.element, empty);

  const update = (state) => {
    const sites = shownSites(app.catalog.sites, state);
    list.show(sites, state.siteId);
    empty.hidden = sites.length > 0;
    count.textContent = fill(words.count, { shown: number(sites.length), all: number(app.catalog.sites.length) });
  };
  update(app.state.get());
  app.state.on(["sort", "search", "purposes"], update);
  app.state.on(["siteId"], (state) => list.select(state.siteId));
  app.state.on(["site"], () => list.refresh());
  followDrawer(element, app);
}

/**
 * Put the keyboard into the search field.
 * @param {object} app
 */
export function focusSearch(app) {
  app.state.set({ drawer: narrow().matches });
  const field = document.getElementById(SEARCH_ID);
  field.focus();
  field.select();
}

function head(app) {
  const search = el("input", {
    class: "input sites-search",
    attrs: {
      id: SEARCH_ID,
      type: "search",
      placeholder: words.searchHint,
      "aria-label": words.search,
      autocomplete: "off",
      spellcheck: "false",
      "aria-keyshortcuts": "/",
    },
    on: {
      input: () => app.state.set({ search: search.value }),
      keydown: (event) => onSearchKey(event, app, search),
    },
  });
  search.value = app.state.get().search;
  app.state.on(["search"], (state) => {
    if (search.value !== state.search) search.value = state.search;
  });
  const shut = button({ label: texts.core.close, icon: "close", class: "sites-close", on: () => app.state.set({ drawer: false }) });
  return el(
    "div",
    { class: "sites-head" },
    el("div", { class: "sites-line" }, el("div", { class: "search-box" }, icon("search"), search), shut),
    el("div", { class: "sites-line" }, sortButtons(app), purposeMenu(app)),
  );
}

function onSearchKey(event, app, search) {
  if (event.key === "Enter") {
    // Else the key would press the button that gets the keyboard when the drawer closes.
    event.preventDefault();
    const first = shownSites(app.catalog.sites, app.state.get())[0];
    if (first) {
      selectSite(app, first.id);
      search.blur();
    }
  } else if (event.key === "Escape") {
    event.preventDefault();
    if (search.value === "") search.blur();
    app.state.set({ search: "" });
  }
}

function sortButtons(app) {
  const orders = [["newest", words.newest], ["name", words.name]];
  const buttons = new Map(
    orders.map(([sort, text]) => [sort, button({ label: text, text, pressed: false, on: () => app.state.set({ sort }) })]),
  );
  const update = ({ sort }) => {
    for (const [name, element] of buttons) element.setAttribute("aria-pressed", String(name === sort));
  };
  update(app.state.get());
  app.state.on(["sort"], update);
  return el("div", { class: "segmented", attrs: { role: "group", "aria-label": words.sort } }, ...buttons.values());
}

function purposeMenu(app) {
  const summary = el("summary", { class: "button" }, el("span", { class: "button-text" }), icon("down"));
  const choices = purposesOf(app.catalog.sites).map(({ name, count }) => {
    const box = el("input", { attrs: { type: "checkbox", value: name }, on: { change: () => choose() } });
    return { name, box, label: el("label", { class: "choice" }, box, el("span", { class: "choice-name", text: name }), el("span", { class: "muted small", text: count })) };
  });
  const choose = () => app.state.set({ purposes: choices.filter(({ box }) => box.checked).map(({ name }) => name) });
  const all = button({ label: words.anyPurpose, text: words.anyPurpose, class: "menu-all", on: () => app.state.set({ purposes: [] }) });
  const menu = el(
    "details",
    { class: "menu", attrs: { hidden: choices.length < 2 } },
    summary,
    el("div", { class: "menu-body scroll", attrs: { role: "group", "aria-label": words.purposes } }, all, ...choices.map(({ label }) => label)),
  );
  const update = ({ purposes }) => {
    for (const { name, box } of choices) box.checked = purposes.includes(name);
    const text = purposes.length > 0 ? fill(words.purposesOf, { count: purposes.length }) : words.purposes;
    summary.querySelector(".button-text").textContent = text;
    summary.classList.toggle("is-on", purposes.length > 0);
    all.disabled = purposes.length === 0;
  };
  update(app.state.get());
  app.state.on(["purposes"], update);
  closeOutside(menu);
  return menu;
}

/** An open menu closes when the pointer or the keyboard goes elsewhere. */
function closeOutside(menu) {
  const close = (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  };
  document.addEventListener("pointerdown", close);
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget !== null && !menu.contains(event.relatedTarget)) menu.open = false;
  });
}

function row(site, app) {
  const { site: open } = app.state.get();
  const shown = open !== null && open.id === site.id && !open.partial ? open : site;
  const images =
    shown.nImages === 0 ? words.noImages : shown.nImages === 1 ? words.oneImage : fill(words.images, { count: number(shown.nImages) });
  const line = el(
    "span",
    { class: "site-line muted small" },
    el("span", { text: images }),
    shown.newest !== null && el("time", { class: "mono", text: shown.newest, attrs: { datetime: shown.newest } }),
  );
  const failed = site.faults === 1 ? words.oneFault : fill(words.faults, { count: number(site.faults) });
  const faults =
    site.faults > 0 && el("span", { class: "site-faults", title: failed }, el("span", { class: "visually-hidden", text: failed }));
  return [el("span", { class: "site-name", title: site.name }, site.name, faults), line];
}

function narrow() {
  return window.matchMedia("(max-width: 860px)");
}

/** On a phone the list is a drawer over the image. */
function followDrawer(element, app) {
  const media = narrow();
  const workspace = document.getElementById("workspace");
  let opener = null;
  const update = () => {
    const { drawer } = app.state.get();
    element.classList.toggle("is-open", drawer);
    document.body.classList.toggle("has-drawer", media.matches && drawer);
    element.inert = media.matches && !drawer;
    workspace.inert = media.matches && drawer;
  };
  update();
  media.addEventListener("change", update);
  document.body.addEventListener("click", (event) => {
    // The shade over the rest of the page belongs to the body itself.
    if (event.target === document.body && app.state.get().drawer) app.state.set({ drawer: false });
  });
  app.state.on(["drawer"], ({ drawer }) => {
    if (drawer) opener = document.activeElement;
    update();
    if (drawer && media.matches && !element.contains(document.activeElement)) element.querySelector("input").focus();
    if (!drawer && media.matches && opener instanceof HTMLElement) opener.focus();
  });
}
