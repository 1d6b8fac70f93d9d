/** The panel of ratings: how many there are, export, import from a file or an address, conflicts. */
import { button, el, replaceChildren, safeUrl } from "./dom.js";
import { Consensus } from "./rating-bar.js";
import { ConflictTable } from "./rating-conflicts.js";
import { RATINGS } from "./rating-merge.js";
import { exportRatings, importRatings, saveFile } from "./rating-transfer.js";
import { fill, texts } from "./texts.js";

const LISTED = 20;
const ROWS = [...RATINGS, "unrated", "total"];

/**
 * Build the panel while it is open, and empty it when it closes.
 * @param {HTMLElement} element
 * @param {object} app
 */
export function mount(element, app) {
  let panel = null;
  const conflicts = new ConflictTable(app); // they outlive the panel: a reader decides when it suits
  const consensus = new Consensus(app, () => panel?.update());
  function follow() {
    const open = app.state.get().panel === "ratings";
    if (open && panel === null) {
      panel = new Panel(element, app, conflicts, consensus);
    } else if (!open && panel !== null) {
      panel.close();
      panel = null;
    }
  }
  app.state.on(["panel"], follow);
  follow();
}

class Panel {
  #element;
  #app;
  #conflicts;
  #consensus;
  #cells = new Map();
  #site = el("th", { attrs: { scope: "col" } });
  #others = el("p", { class: "small muted" });
  #status = el("div", { class: "rating-status", attrs: { role: "status" } });
  #open;
  #busy = false;
  #planned = 0;
  #offs;

  constructor(element, app, conflicts, consensus) {
    this.#element = element;
    this.#app = app;
    this.#conflicts = conflicts;
    this.#consensus = consensus;
    const words = texts.ratings;
    this.#open = button({ label: words.conflicts.open, text: words.conflicts.open, on: () => conflicts.show() });
    const user = el("p", { class: "small muted rating-user", text: fill(words.user, { user: app.ratings.userId }) });
    replaceChildren(element, el("div", { class: "rating-panel" },
      this.#statistics(), this.#others, user, this.#transfer(), this.#status, this.#open));
    this.#offs = [
      app.ratings.on(() => this.#plan()),
      app.state.on(["site"], () => this.update()),
      conflicts.on(() => this.#showConflicts()),
    ];
    this.update();
    this.#showConflicts();
  }

  close() {
    this.#offs.forEach((off) => off());
    cancelAnimationFrame(this.#planned);
    this.#element.replaceChildren();
  }

  /** Show the numbers as they are now. */
  update() {
    const { ratings, catalog } = this.#app;
    const site = this.#app.state.get().site;
    const here = site && !site.partial ? ratings.statistics(site) : null;
    const everywhere = catalog ? ratings.overall(catalog) : null;
    this.#site.textContent = site?.name ?? texts.ratings.thisSite;
    for (const row of ROWS) {
      const [one, all] = this.#cells.get(row);
      one.textContent = here === null ? "" : here[row].toLocaleString(texts.panels.locale);
      all.textContent = everywhere === null ? "" : everywhere[row].toLocaleString(texts.panels.locale);
    }
    this.#others.textContent = this.#textOfOthers(site);
  }

  #plan() {
    cancelAnimationFrame(this.#planned);
    this.#planned = requestAnimationFrame(() => this.update());
  }

  #textOfOthers(site) {
    const found = (site?.images ?? []).map((image) => this.#consensus.of(image)).filter((one) => one !== null);
    if (found.length === 0) {
      return texts.ratings.noOthers;
    }
    const count = (name) => found.filter((one) => one.consensus === name).length;
    return fill(texts.ratings.othersHere, { images: found.length, good: count("good"), ok: count("ok"), bad: count("bad"), split: count("split") });
  }

  #statistics() {
    const words = texts.ratings;
    const rows = ROWS.map((row) => {
      const cells = [el("td"), el("td")];
      this.#cells.set(row, cells);
      return el("tr", { class: `rating-row rating-row-${row}` }, el("th", { text: words.names[row], attrs: { scope: "row" } }), ...cells);
    });
    const head = el("tr", {}, el("td"), this.#site, el("th", { text: words.allSites, attrs: { scope: "col" } }));
    return el("table", { class: "rating-statistics" }, el("caption", { text: words.statistics }), el("thead", {}, head), el("tbody", {}, ...rows));
  }

  #transfer() {
    const words = texts.ratings.transfer;
    const file = el("input", {
      attrs: { type: "file", accept: ".json,application/json", "aria-label": words.file, tabindex: -1 }, class: "visually-hidden",
      on: { change: () => this.#importFile(file) },
    });
    const address = el("input", { class: "input", attrs: { type: "url", id: "rating-address", autocomplete: "off", placeholder: words.hint } });
    const form = el("form", {
      class: "rating-address", attrs: { novalidate: true },
      on: { submit: (event) => { event.preventDefault(); this.#importAddress(address.value.trim()); } },
    }, el("label", { text: words.address, attrs: { for: "rating-address" } }), address, submitButton(words.read));
    return el("div", { class: "rating-transfer" },
      button({ label: words.export, text: words.export, icon: "download", on: () => this.#export() }),
      button({ label: words.file, text: words.file, icon: "upload", on: () => file.click() }), file, form);
  }

  async #export() {
    const { ratings, state } = this.#app;
    const words = texts.ratings.transfer;
    if (ratings.size === 0) {
      this.#say(words.nothing);
      return;
    }
    const made = await exportRatings(ratings, state.get().site?.name ?? words.noSite, Date.now());
    saveFile(made.name, made.file);
    this.#say(fill(words.exported, { count: made.count.toLocaleString(texts.panels.locale), file: made.name }));
  }

  async #importFile(input) {
    const file = input.files[0];
    if (file) {
      await this.#import({ file }, file.name);
      input.value = ""; // so that the same file may be chosen again
    }
  }

  async #importAddress(address) {
    const url = safeUrl(address);
    if (url === null || !/^https?:/.test(url) || address === "") {
      this.#say(texts.ratings.refused.address);
      return;
    }
    await this.#import({ url }, withoutQuery(url));
  }

  async #import(from, name) {
    if (this.#busy) {
      return;
    }
    this.#busy = true;
    this.#say(fill(texts.ratings.transfer.reading, { name }));
    try {
      this.#showImported(await importRatings(this.#app.ratings, from, Date.now()), name);
    } finally {
      this.#busy = false;
    }
  }

  #showImported(imported, name) {
    const words = texts.ratings;
    if (imported.kind === "refused") {
      this.#say(fill(words.refused[imported.word], { name, value: imported.value }));
      return;
    }
    if (imported.kind === "problems") {
      const listed = imported.problems.slice(0, LISTED);
      const more = imported.problems.length - listed.length + imported.moreProblems;
      const lines = listed.map(({ at, word, value }) => fill(words.problems[word], { at, value }));
      this.#say(fill(words.transfer.unusable, { name }), [...lines, ...(more > 0 ? [fill(words.transfer.more, { count: more })] : [])]);
      return;
    }
    const { counts, conflicts, userId } = imported;
    const said = Object.fromEntries(Object.entries(counts).map(([key, count]) => [key, count.toLocaleString(texts.panels.locale)]));
    this.#say(fill(words.transfer.imported, { user: userId, conflicts: conflicts.length.toLocaleString(texts.panels.locale), ...said }));
    this.#conflicts.put(conflicts);
    if (conflicts.length > 0) {
      this.#conflicts.show();
    }
  }

  #say(text, lines = []) {
    replaceChildren(this.#status, el("p", { text }),
      lines.length > 0 && el("ul", { class: "rating-problems" }, ...lines.map((line) => el("li", { text: line }))));
  }

  #showConflicts() {
    this.#open.hidden = this.#conflicts.size === 0;
    this.#open.textContent = fill(texts.ratings.conflicts.openCount, { count: this.#conflicts.size.toLocaleString(texts.panels.locale) });
    this.#open.removeAttribute("aria-label");
  }
}

function submitButton(text) {
  const made = button({ label: text, text });
  made.type = "submit";
  return made;
}

function withoutQuery(url) {
  return url.split(/[?#]/, 1)[0];
}
