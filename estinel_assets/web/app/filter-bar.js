/** The filters above the image: ratings, days, season, clouds; and how many images pass. */
import { button, el, icon, replaceChildren } from "./dom.js";
import { activeFilters, NO_FILTERS, SEASONS } from "./filters.js";
import { RATINGS } from "./state.js";
import { fill, number, texts } from "./texts.js";

const words = texts.core.filters;

/**
 * Show the filters.
 * @param {HTMLElement} element
 * @param {object} app
 */
export function mount(element, app) {
  const count = el("p", { class: "filter-count mono small", attrs: { role: "status" } });
  const reset = button({ label: words.reset, icon: "reset", text: words.reset, class: "filter-reset", on: () => app.state.set({ ...NO_FILTERS }) });
  const body = el("div", { class: "filter-body" }, ratingBoxes(app), days(app), season(app), cloud(app), reset);
  replaceChildren(element, body, count);

  follow(app, ["ratingsShown", "from", "to", "months", "maxCloud"], (state) => {
    reset.hidden = activeFilters(state) === 0;
  });
  follow(app, ["shown", "site", "loading"], (state) => {
    const all = state.site?.nImages ?? 0;
    const shown = state.site?.partial && state.loading ? "…" : number(state.shown.length);
    count.textContent = state.site === null ? "" : fill(words.count, { shown, all: number(all) });
  });
  follow(app, ["filtersOpen"], ({ filtersOpen }) => element.classList.toggle("is-open", filtersOpen));
}

/**
 * The button behind which the filters are folded away on a phone.
 * @param {object} app
 * @returns {HTMLButtonElement}
 */
export function filterOpener(app) {
  const toggle = () => app.state.set({ filtersOpen: !app.state.get().filtersOpen });
  const element = button({ label: words.toggle, icon: "filter", class: "filter-opener", on: toggle });
  element.setAttribute("aria-controls", "filter-bar");
  follow(app, ["filtersOpen"], ({ filtersOpen }) => element.setAttribute("aria-expanded", String(filtersOpen)));
  follow(app, ["ratingsShown", "from", "to", "months", "maxCloud"], (state) => {
    const active = activeFilters(state);
    const label = active > 0 ? fill(words.toggleOf, { count: active }) : words.toggle;
    element.setAttribute("aria-label", label);
    element.title = label;
    element.classList.toggle("is-on", active > 0);
  });
  return element;
}

function ratingBoxes(app) {
  const buttons = RATINGS.map((rating) => {
    const element = button({ label: words[rating], text: words[rating], class: "filter-rating", pressed: true, on: () => toggle(rating) });
    element.dataset.rating = rating;
    return element;
  });
  const toggle = (rating) => {
    const { ratingsShown } = app.state.get();
    const wanted = RATINGS.filter((name) => (name === rating) !== ratingsShown.includes(name));
    app.state.set({ ratingsShown: wanted });
  };
  follow(app, ["ratingsShown"], ({ ratingsShown }) => {
    for (const element of buttons) element.setAttribute("aria-pressed", String(ratingsShown.includes(element.dataset.rating)));
  });
  return el("div", { class: "segmented filter-ratings", attrs: { role: "group", "aria-label": words.ratings } }, ...buttons);
}

function days(app) {
  const inputs = ["from", "to"].map((name) => {
    const input = el("input", {
      class: "input filter-day",
      attrs: { type: "date", min: "1972-01-01", max: "2199-12-31" },
      on: { change: () => app.state.set({ [name]: input.validity.valid && input.value !== "" ? input.value : null }) },
    });
    follow(app, [name], (state) => {
      if (input.value !== (state[name] ?? "")) input.value = state[name] ?? "";
    });
    return el("label", { class: "field" }, el("span", { class: "field-name", text: words[name] }), input);
  });
  return el("div", { class: "filter-days" }, ...inputs);
}

function season(app) {
  const select = el("select", {
    class: "select",
    on: {
      change: () => {
        const found = SEASONS.find(([name]) => name === select.value);
        if (select.value !== "own") app.state.set({ months: found ? found[1] : [] });
      },
    },
  });
  const names = ["all", ...SEASONS.map(([name]) => name), "own"];
  replaceChildren(select, ...names.map((name) => el("option", { text: words.seasons[name], attrs: { value: name } })));
  follow(app, ["months"], ({ months }) => {
    const found = SEASONS.find(([, of]) => of.length === months.length && of.every((month) => months.includes(month)));
    const isAll = months.length === 0 || months.length === 12;
    select.value = isAll ? "all" : (found?.[0] ?? "own");
    select.lastChild.hidden = isAll || found !== undefined;
  });
  select.setAttribute("aria-label", words.season);
  select.title = words.season;
  return el("div", { class: "filter-season" }, select, monthMenu(app));
}

function monthMenu(app) {
  const boxes = words.months.map((name, index) => {
    const element = button({ label: name, text: name, class: "filter-month", pressed: false, on: () => toggle(index + 1) });
    return element;
  });
  const toggle = (month) => {
    const { months } = app.state.get();
    const wanted = months.includes(month) ? months.filter((one) => one !== month) : [...months, month];
    app.state.set({ months: wanted.length === 12 ? [] : wanted.sort((a, b) => a - b) });
  };
  follow(app, ["months"], ({ months }) => {
    boxes.forEach((box, index) => box.setAttribute("aria-pressed", String(months.includes(index + 1))));
  });
  const summary = el("summary", { class: "button button-icon", title: words.monthsLabel, attrs: { "aria-label": words.monthsLabel } }, icon("down"));
  const menu = el("details", { class: "menu" }, summary, el("div", { class: "menu-body filter-months", attrs: { role: "group", "aria-label": words.monthsLabel } }, ...boxes));
  document.addEventListener("pointerdown", (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });
  return menu;
}

function cloud(app) {
  const output = el("output", { class: "mono small filter-cloud-value" });
  const input = el("input", {
    class: "range",
    attrs: { type: "range", min: "0", max: "100", step: "5" },
    on: { input: () => app.state.set({ maxCloud: Number(input.value) >= 100 ? null : Number(input.value) / 100 }) },
  });
  follow(app, ["maxCloud"], ({ maxCloud }) => {
    const percent = maxCloud === null ? 100 : Math.round(maxCloud * 100);
    if (Number(input.value) !== percent) input.value = String(percent);
    const text = maxCloud === null ? words.cloudAny : fill(words.cloudValue, { percent });
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  });
  return el("label", { class: "field filter-cloud", title: words.cloudHint }, el("span", { class: "field-name", text: words.cloud }), input, output);
}

function follow(app, keys, update) {
  update(app.state.get());
  app.state.on(keys, update);
}
