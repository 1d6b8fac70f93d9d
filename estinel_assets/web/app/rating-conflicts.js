/** Conflicts: images that another person rated otherwise, as a table with a choice for each. */
import { button, el, replaceChildren } from "./dom.js";
import { runInSlices } from "./slices.js";
import { fill, texts } from "./texts.js";

const PAGE = 25;
const BATCH = 500;

/** The conflicts of the last import, and the dialog that shows them page by page. */
export class ConflictTable {
  #app;
  #conflicts = [];
  #page = 0;
  #listeners = new Set();
  #dialog = null;

  constructor(app) {
    this.#app = app;
  }

  /** How many there are. @returns {number} */
  get size() {
    return this.#conflicts.length;
  }

  /**
   * Show these from now on.
   * @param {import("./rating-merge.js").Conflict[]} conflicts `kept` follows the choice
   */
  put(conflicts) {
    this.#conflicts = conflicts;
    this.#page = 0;
    this.#listeners.forEach((listener) => listener());
  }

  /**
   * Hear that there are others.
   * @param {() => void} listener
   * @returns {() => void} removes it
   */
  on(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Open the dialog. */
  show() {
    if (this.#dialog === null) {
      this.#dialog = el("dialog", { class: "dialog rating-conflicts", attrs: { "aria-labelledby": "rating-conflicts-title" } });
      this.#dialog.addEventListener("close", () => {
        this.#dialog.remove();
        this.#dialog = null;
      });
      (document.getElementById("dialogs") ?? document.body).append(this.#dialog);
    }
    this.#render();
    if (!this.#dialog.open) {
      this.#dialog.showModal();
    }
  }

  #render() {
    const words = texts.ratings.conflicts;
    const start = this.#page * PAGE;
    const shown = this.#conflicts.slice(start, start + PAGE);
    const head = [words.image, words.ours, words.theirs, words.keep].map((text) => el("th", { text, attrs: { scope: "col" } }));
    const table = el("table", { class: "rating-conflict-table" }, el("caption", { class: "visually-hidden", text: words.title }),
      el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...shown.map((conflict) => this.#row(conflict))));
    replaceChildren(this.#dialog,
      el("h2", { text: fill(words.titleCount, { count: this.#conflicts.length.toLocaleString(texts.panels.locale) }), attrs: { id: "rating-conflicts-title", tabindex: -1, autofocus: true } }),
      el("p", { class: "small muted", text: words.explained }),
      el("div", { class: "rating-conflict-scroll", attrs: { tabindex: 0, role: "region", "aria-label": words.title } }, table),
      this.#footer(start, shown.length));
  }

  #row(conflict) {
    const words = texts.ratings.conflicts;
    const choices = ["ours", "theirs"].map((side) => button({
      label: fill(words.choose[side], { image: conflict.imageId }), text: words.short[side], pressed: conflict.kept === side,
      on: () => this.#keep(conflict, side, choices),
    }));
    choices.forEach((one, number) => { one.dataset.side = ["ours", "theirs"][number]; });
    return el("tr", {}, el("th", { class: "rating-image", text: conflict.imageId, attrs: { scope: "row" } }),
      this.#cell(conflict.ours, words.ours), this.#cell(conflict.theirs, words.theirs),
      el("td", { dataset: { label: words.keep } }, el("div", { class: "segmented", attrs: { role: "group", "aria-label": words.keep } }, ...choices)));
  }

  #cell(entry, label) {
    const who = entry.user ?? texts.ratings.conflicts.you;
    return el("td", { dataset: { label } },
      el("span", { class: `rating-word rating-${entry.rating}`, text: texts.ratings.names[entry.rating] }),
      el("span", { class: "small", text: who }),
      el("time", { class: "small muted", text: entry.timestamp.slice(0, 16).replace("T", " "), attrs: { datetime: entry.timestamp } }));
  }

  #footer(start, count) {
    const words = texts.ratings.conflicts;
    const turn = (by, name) => {
      this.#page += by;
      this.#render();
      this.#focus(name);
    };
    const previous = button({ label: words.previous, icon: "left", class: "rating-previous", on: () => turn(-1, "rating-previous") });
    const next = button({ label: words.next, icon: "right", class: "rating-following", on: () => turn(1, "rating-following") });
    previous.disabled = start === 0;
    next.disabled = start + count >= this.#conflicts.length;
    const place = fill(words.place, { first: start + 1, last: start + count, all: this.#conflicts.length.toLocaleString(texts.panels.locale) });
    return el("div", { class: "rating-conflict-footer" },
      el("span", { class: "rating-pages" }, previous, el("span", { class: "small", text: place }), next),
      button({ label: words.allOurs, text: words.allOurs, class: "rating-all-ours", on: () => this.#keepAll("ours") }),
      button({ label: words.allTheirs, text: words.allTheirs, class: "rating-all-theirs", on: () => this.#keepAll("theirs") }),
      button({ label: words.done, text: words.done, class: "button-primary", on: () => this.#dialog.close() }));
  }

  /** Put the focus back on what was pressed, or on the heading where that is disabled now. */
  #focus(name) {
    (this.#dialog.querySelector(`.${name}:enabled`) ?? this.#dialog.querySelector("h2")).focus();
  }

  #keep(conflict, side, choices) {
    this.#app.ratings.rate(conflict.imageId, conflict[side].rating);
    conflict.kept = side;
    for (const choice of choices) {
      choice.setAttribute("aria-pressed", String(choice.dataset.side === side));
    }
    this.#app.announce(fill(texts.ratings.conflicts.kept, { rating: texts.ratings.names[conflict[side].rating] }));
  }

  async #keepAll(side) {
    await runInSlices(this.#keeping(side));
    this.#app.ratings.told(null);
    if (this.#dialog !== null) {
      this.#render();
      this.#focus(`rating-all-${side}`);
    }
    this.#app.announce(fill(texts.ratings.conflicts.keptAll, { count: this.#conflicts.length.toLocaleString(texts.panels.locale) }));
  }

  *#keeping(side) {
    // What the reader decides is a rating of the reader, given now: no later import undoes it.
    const timestamp = new Date().toISOString();
    for (let start = 0; start < this.#conflicts.length; start += BATCH) {
      const batch = this.#conflicts.slice(start, start + BATCH);
      this.#app.ratings.putAll(batch.map(({ imageId, [side]: { rating } }) => [imageId, { rating, timestamp }]), { quiet: true });
      batch.forEach((conflict) => { conflict.kept = side; });
      yield;
    }
  }
}
