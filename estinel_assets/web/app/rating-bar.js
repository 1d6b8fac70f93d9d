/** The bar below the image: its rating, what others think of it, and going on after rating. */
import { button, el, replaceChildren } from "./dom.js";
import { RATINGS } from "./rating-merge.js";
import { rateCurrent, toggleRateNext } from "./rating-actions.js";
import { currentImage } from "./state.js";
import { fill, texts } from "./texts.js";

const KEYS = { good: "1", ok: "2", bad: "3", unrated: "0" };

/**
 * Build the bar and keep it in step.
 * @param {HTMLElement} element
 * @param {object} app
 */
export function mountBar(element, app) {
  const words = texts.ratings;
  const buttons = new Map(RATINGS.map((rating) => [rating, button({
    label: words.rate[rating], text: words.names[rating], pressed: false, key: KEYS[rating],
    class: `rating-button rating-${rating}`, on: () => rateCurrent(app, toggled(app, rating)),
  })]));
  const clear = button({ label: words.clear, text: words.clear, key: KEYS.unrated, class: "rating-clear", on: () => rateCurrent(app, null) });
  const goOn = button({ label: words.rateNext, text: words.rateNext, pressed: false, key: "N", class: "rating-next", on: () => toggleRateNext(app) });
  const which = el("span", { class: "rating-which small muted" });
  const others = el("p", { class: "rating-others small muted" });
  const problem = el("p", { class: "rating-problem small", attrs: { role: "alert", hidden: true } });
  const bar = el("div", { class: "rating-bar", attrs: { role: "group" } },
    which, el("div", { class: "segmented rating-choice" }, ...buttons.values()), clear, goOn, others);
  replaceChildren(element, bar, problem);

  const consensus = new Consensus(app, () => update());
  function update() {
    const state = app.state.get();
    const image = currentImage(state);
    const rating = image === null ? null : app.ratings.get(image.id);
    for (const [name, one] of buttons) {
      one.disabled = image === null;
      one.setAttribute("aria-pressed", String(rating?.rating === name));
    }
    clear.disabled = rating === null;
    bar.setAttribute("aria-label", image === null ? words.label : fill(words.labelOf, { date: image.date }));
    which.textContent = image === null || state.mode === "single" ? "" : fill(words.left, { date: image.date });
    goOn.setAttribute("aria-pressed", String(state.rateNext));
    others.textContent = image === null ? "" : [foreign(rating), consensus.textOf(image)].filter(Boolean).join(" ");
    // The bar keeps its height from image to image where some have a consensus.
    others.toggleAttribute("data-kept", consensus.any);
    showProblem(problem, app);
  }
  app.state.on(["imageId", "site", "shown", "rateNext", "mode"], update);
  app.ratings.on(update);
  update();
}

function toggled(app, rating) {
  const image = currentImage(app.state.get());
  return image !== null && app.ratings.get(image.id)?.rating === rating ? null : rating;
}

function foreign(rating) {
  return rating?.user === undefined ? "" : fill(texts.ratings.from, { user: rating.user });
}

function showProblem(element, app) {
  const text = app.ratings.problem === null ? "" : texts.ratings.storage[app.ratings.problem];
  if (element.textContent !== text) {
    element.textContent = text;
    element.hidden = text === "";
  }
}

/** What all raters together think of a site's images, as the pipeline published it. */
export class Consensus {
  #app;
  /** Whether any image of the site has one. */
  any = false;
  #found = {};
  #siteId = null;
  #changed;

  /**
   * Follow the site that is shown.
   * @param {object} app
   * @param {() => void} changed called when another site's consensus is there
   */
  constructor(app, changed) {
    this.#app = app;
    this.#changed = changed;
    app.state.on(["site", "siteId"], () => this.#follow());
    this.#follow();
  }

  /**
   * The consensus of an image.
   * @param {{id: string}} image
   * @returns {{consensus: string, good: number, ok: number, bad: number, raters: number}|null}
   */
  of(image) {
    const found = Object.hasOwn(this.#found, image.id) ? this.#found[image.id] : null;
    return found !== null && typeof found === "object" && Object.hasOwn(texts.ratings.consensus, found.consensus) ? found : null;
  }

  /**
   * The consensus of an image in words; empty where there is none.
   * @param {{id: string}} image
   * @returns {string}
   */
  textOf(image) {
    const found = this.of(image);
    if (found === null) {
      return "";
    }
    const words = texts.ratings;
    const votes = RATINGS.filter((name) => Number.isInteger(found[name]) && found[name] > 0).map((name) => `${found[name]} ${words.names[name]}`);
    return fill(words.others, { consensus: words.consensus[found.consensus], votes: votes.join(", ") });
  }

  async #follow() {
    const siteId = this.#app.state.get().site?.id ?? null;
    if (siteId === this.#siteId) {
      return;
    }
    this.#siteId = siteId;
    this.#found = {};
    this.any = false;
    if (siteId === null || !this.#app.catalog) {
      return;
    }
    let read;
    try {
      read = await this.#app.catalog.ratings(siteId);
    } catch {
      return; // a catalogue without them is a catalogue, too
    }
    if (siteId === this.#siteId && typeof read === "object" && read !== null) {
      this.#found = read.images ?? read;
      this.any = Object.keys(this.#found).length > 0;
      this.#changed();
    }
  }
}
