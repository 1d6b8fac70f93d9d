/** The cells of the thumbnail list: reused as it scrolls, each loading its picture only when asked to. */

import { el, safeUrl } from "./dom.js";
import { clearText } from "./pane-texts.js";
import { fill } from "./texts.js";

const MARKS = { good: "✓", ok: "○", bad: "✕", unrated: "" };

/**
 * How the cells lie in a list: one row that scrolls to the side in a wide box, else a grid that scrolls down.
 * @param {{width: number, height: number}} box of the list, in CSS pixels
 * @param {number} count of images
 * @param {{width: number, height: number}} cell in CSS pixels; a row's cells are as high as the box
 * @returns {{horizontal: boolean, columns: number, width: number, height: number, length: number, view: number, pitch: number}}
 *   cell size, whole length and visible length along the way of scrolling, and length of one line of cells, in CSS pixels
 */
export function layoutOf(box, count, cell) {
  const horizontal = box.width > 2 * box.height;
  if (horizontal) {
    const { width } = cell;
    return { horizontal, columns: 1, width, height: box.height, length: count * width, view: box.width, pitch: width };
  }
  const columns = Math.max(1, Math.floor(box.width / cell.width));
  return {
    horizontal,
    columns,
    width: box.width / columns,
    height: cell.height,
    length: Math.ceil(count / columns) * cell.height,
    view: box.height,
    pitch: cell.height,
  };
}

/**
 * The images in sight and a little around.
 * @param {ReturnType<layoutOf>} layout
 * @param {number} scrolled in CSS pixels
 * @param {number} count of images
 * @param {number} [spare] lines of cells on either side
 * @returns {{from: number, to: number}} indices, `to` not included
 */
export function rangeOf(layout, scrolled, count, spare = 2) {
  const first = Math.max(0, Math.floor(scrolled / layout.pitch) - spare);
  const last = Math.ceil((scrolled + layout.view) / layout.pitch) + spare;
  return { from: Math.min(count, first * layout.columns), to: Math.min(count, last * layout.columns) };
}

/**
 * Where a cell lies.
 * @param {ReturnType<layoutOf>} layout
 * @param {number} index
 * @returns {{left: number, top: number}} in CSS pixels
 */
export function cellAt(layout, index) {
  const line = Math.floor(index / layout.columns);
  if (layout.horizontal) return { left: line * layout.pitch, top: 0 };
  return { left: (index % layout.columns) * layout.width, top: line * layout.pitch };
}

/**
 * The thumbnail's address of an image: of the view, else any, else the view itself.
 * @param {object} image of the catalogue
 * @param {string|null} view
 * @returns {string|null}
 */
export function thumbUrl(image, view) {
  return safeUrl(image.thumbs[view] ?? Object.values(image.thumbs)[0] ?? image.views[view] ?? Object.values(image.views)[0]);
}

/** A cell. */
export class Cell {
  #app;
  #picture = el("img", { class: "thumb-picture", attrs: { alt: "", decoding: "async", draggable: "false" } });
  #mark = el("span", { class: "thumb-mark" });
  #date = el("span", { class: "thumb-date" });
  #image = null;
  #url = null;
  #loaded = null;
  #marked = null;

  /** @param {object} app */
  constructor(app) {
    this.#app = app;
    const missing = el("span", { class: "thumb-missing", text: app.texts.viewer.noThumbnail });
    this.element = el("div", { class: "thumb", attrs: { role: "option" } },
      el("span", { class: "thumb-frame" }, this.#picture, missing, this.#mark), this.#date);
    this.#picture.fetchPriority = "low";
    this.#picture.addEventListener("load", () => this.#setState("shown"));
    this.#picture.addEventListener("error", () => {
      if (this.#loaded !== null) this.#setState("missing");
    });
  }

  /**
   * Give the cell an image. A picture that is still on its way for another one is cancelled.
   * @param {object} image of the catalogue
   * @param {number} index of the image
   * @param {number} count of images
   * @param {string|null} view
   */
  set(image, index, count, view) {
    const { element } = this;
    const url = thumbUrl(image, view);
    if (url !== this.#url || element.dataset.state === "spare") this.#cancel();
    this.#url = url;
    this.#image = image;
    this.#marked = null;
    this.#date.textContent = image.date;
    element.id = `thumbnail-${index}`;
    element.dataset.index = String(index);
    element.dataset.image = image.id;
    element.setAttribute("aria-posinset", String(index + 1));
    element.setAttribute("aria-setsize", String(count));
  }

  /**
   * Mark what became of the image.
   * @param {"good"|"ok"|"bad"|"unrated"} rating
   * @param {boolean} current whether it is the current one
   * @param {boolean} second whether it is in the right pane
   */
  mark(rating, current, second) {
    const now = `${rating} ${current} ${second}`;
    if (now === this.#marked) return;
    this.#marked = now;
    const words = this.#app.texts.viewer;
    const values = { date: this.#image.date, clear: clearText(this.#app, this.#image), rating: words.rated[rating] };
    const label = fill(words.thumbnail, values);
    this.#mark.textContent = MARKS[rating];
    this.element.dataset.rating = rating;
    this.element.setAttribute("aria-selected", String(current));
    this.element.setAttribute("aria-label", second ? `${label}, ${words.right}` : label);
    this.element.classList.toggle("thumb-second", second);
  }

  /** Load the picture, unless it is there or on its way. */
  load() {
    if (this.#url === null) this.#setState("missing");
    if (this.#url === null || this.#loaded === this.#url) return;
    this.#loaded = this.#url;
    this.#picture.src = this.#url;
  }

  /**
   * Put the cell in its place.
   * @param {ReturnType<layoutOf>} layout
   * @param {number} index
   */
  place(layout, index) {
    const { left, top } = cellAt(layout, index);
    const { style } = this.element;
    style.setProperty("width", `${layout.width}px`);
    style.setProperty("height", `${layout.height}px`);
    style.setProperty("transform", `translate(${left}px, ${top}px)`);
  }

  /** Keep the cell for another image; a picture on its way is cancelled. */
  hide() {
    this.#cancel();
    this.#url = null;
    this.#setState("spare");
    for (const name of ["id", "aria-selected", "data-index", "data-image"]) this.element.removeAttribute(name);
  }

  #cancel() {
    this.#loaded = null;
    this.#setState("waiting");
    if (this.#picture.hasAttribute("src")) this.#picture.removeAttribute("src");
  }

  /** The style of a state changes visibility only, so that nothing is laid out while the list scrolls. */
  #setState(state) {
    this.element.dataset.state = state;
  }
}
