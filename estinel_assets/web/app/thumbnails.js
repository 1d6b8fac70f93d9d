/** The thumbnails of the shown images: a list of which only the part in sight exists. */

import { el } from "./dom.js";
import { show } from "./state.js";
import { Cell, cellAt, layoutOf, rangeOf } from "./thumbnail-cells.js";

const CELL = { width: 108, height: 128 };
const FAST_PX_PER_MS = 3;
const REST_MS = 90;
const LINE_PX = 32;

/**
 * Show the thumbnails while `state.thumbs` is set.
 * @param {HTMLElement} element a box with a width or a height; its attribute `hidden` is set here
 * @param {object} app
 */
export function mount(element, app) {
  let list = null;
  function update() {
    const { thumbs, shown } = app.state.get();
    const wanted = thumbs && shown.length > 0;
    element.hidden = !wanted;
    if (wanted && list === null) list = new ThumbnailList(element, app);
    if (!wanted && list !== null) {
      list.close();
      list = null;
    }
  }
  app.state.on(["thumbs", "shown"], update);
  update();
}

/** A list that fills an element until it is closed. */
class ThumbnailList {
  #app;
  #element;
  #sizer = el("div", { class: "thumbnails-sizer", attrs: { role: "presentation" } });
  #box;
  #cells = new Map(); // by index
  #spare = [];
  #size;
  #layout;
  #frame = 0;
  #rest = 0;
  #last = { at: 0, time: 0 };
  #offs;

  constructor(element, app) {
    this.#app = app;
    this.#element = element;
    const attrs = { role: "listbox", tabindex: 0, "aria-label": app.texts.viewer.thumbnails };
    const on = { click: (event) => this.#onClick(event), keydown: (event) => this.#onKey(event) };
    this.#box = el("div", { class: "thumbnails-list", attrs, on }, this.#sizer);
    this.#box.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.#box.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    element.replaceChildren(this.#box);
    const observer = new ResizeObserver(() => this.#onResize());
    observer.observe(this.#box);
    this.#offs = [
      app.state.on(["shown", "view"], () => this.#relayout()),
      app.state.on(["imageId", "secondId", "mode"], () => this.#follow()),
      app.ratings.on(() => this.#render(false)),
      () => observer.disconnect(),
    ];
    this.#size = this.#measure();
    this.#relayout();
  }

  /** Take away everything, listeners and observers included; pictures on their way are cancelled. */
  close() {
    this.#offs.forEach((off) => off());
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#rest);
    this.#recycle(0, 0);
    this.#element.replaceChildren();
  }

  #measure() {
    return { width: this.#box.clientWidth, height: this.#box.clientHeight };
  }

  #scrolled() {
    return this.#layout.horizontal ? this.#box.scrollLeft : this.#box.scrollTop;
  }

  #relayout() {
    const { shown } = this.#app.state.get();
    this.#layout = layoutOf(this.#size, shown.length, CELL);
    const { horizontal, length } = this.#layout;
    this.#box.classList.toggle("thumbnails-row", horizontal);
    this.#sizer.style.setProperty("width", horizontal ? `${length}px` : "100%");
    this.#sizer.style.setProperty("height", horizontal ? "100%" : `${length}px`);
    this.#recycle(0, shown.length);
    this.#reveal();
    this.#render(true);
  }

  #follow() {
    this.#reveal();
    this.#render(false);
  }

  /** Draw the cells in sight. `afresh`: the images or the layout changed, so that every cell is set again. */
  #render(afresh) {
    const { shown, imageId, secondId, mode, view } = this.#app.state.get();
    const at = this.#scrolled(); // read once, before anything is written: a read after a write lays the page out
    const { from, to } = rangeOf(this.#layout, at, shown.length);
    this.#recycle(from, to);
    let active = null;
    for (let index = from; index < to; index += 1) {
      const image = shown[index];
      const known = this.#cells.get(index);
      const cell = known ?? this.#cellOf(index);
      if (known === undefined || afresh) {
        cell.set(image, index, shown.length, view);
        cell.place(this.#layout, index);
      }
      const rating = this.#app.ratings.get(image.id)?.rating ?? "unrated";
      cell.mark(rating, image.id === imageId, mode !== "single" && image.id === secondId);
      if (image.id === imageId) active = cell.element.id;
    }
    if (active === null) this.#box.removeAttribute("aria-activedescendant");
    else this.#box.setAttribute("aria-activedescendant", active);
    this.#loadWhenSlow(at);
  }

  #recycle(from, to) {
    for (const [index, cell] of this.#cells) {
      if (index >= from && index < to) continue;
      this.#cells.delete(index);
      cell.hide();
      this.#spare.push(cell);
    }
  }

  /** A cell for an image that came into sight, after the one before it: screen readers read in the order of days. */
  #cellOf(index) {
    const cell = this.#spare.pop() ?? new Cell(this.#app);
    const before = this.#cells.get(index - 1);
    if (before === undefined) this.#sizer.prepend(cell.element);
    else before.element.after(cell.element);
    this.#cells.set(index, cell);
    return cell;
  }

  /** What is flown past is not loaded: a picture that is asked for is one that somebody may look at. */
  #loadWhenSlow(at) {
    const now = performance.now();
    const speed = Math.abs(at - this.#last.at) / Math.max(1, now - this.#last.time);
    this.#last = { at, time: now };
    clearTimeout(this.#rest);
    if (speed < FAST_PX_PER_MS) this.#load();
    else this.#rest = setTimeout(() => this.#load(), REST_MS);
  }

  #load() {
    for (const cell of this.#cells.values()) cell.load();
  }

  /** Scroll as little as shows the current image with a neighbour, or to its middle from far away. */
  #reveal() {
    const { shown, imageId } = this.#app.state.get();
    const index = shown.findIndex((image) => image.id === imageId);
    if (index < 0) return;
    const { horizontal, pitch, view } = this.#layout;
    const { left, top } = cellAt(this.#layout, index);
    const start = horizontal ? left : top;
    const now = this.#scrolled();
    const low = start - pitch;
    const high = start + 2 * pitch - view;
    let next = Math.min(Math.max(now, high), low);
    if (high > low || Math.abs(next - now) > view) next = start + pitch / 2 - view / 2;
    if (next === now) return;
    if (horizontal) this.#box.scrollLeft = next;
    else this.#box.scrollTop = next;
  }

  #choose(index, second) {
    const { shown } = this.#app.state.get();
    const image = shown[Math.min(shown.length - 1, Math.max(0, index))];
    if (image !== undefined) show(this.#app, image.id, { second });
  }

  #onResize() {
    const next = this.#measure();
    if (next.width === this.#size.width && next.height === this.#size.height) return;
    this.#size = next;
    this.#relayout();
  }

  #onScroll() {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render(false);
    });
  }

  #onWheel(event) {
    if (!this.#layout.horizontal || event.ctrlKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
    event.preventDefault();
    this.#box.scrollBy({ left: event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * LINE_PX : event.deltaY });
  }

  #onClick(event) {
    const cell = event.target.closest("[data-index]");
    if (cell !== null) this.#choose(Number(cell.dataset.index), event.shiftKey || event.ctrlKey);
  }

  #onKey(event) {
    if (event.altKey || event.metaKey) return;
    const { shown, mode, imageId, secondId } = this.#app.state.get();
    const { columns, view, pitch } = this.#layout;
    const second = (event.shiftKey || event.ctrlKey) && mode !== "single";
    const index = shown.findIndex((image) => image.id === (second ? secondId : imageId));
    const page = Math.max(1, Math.floor(view / pitch) - 1) * columns;
    const moves = {
      ArrowLeft: index - 1,
      ArrowRight: index + 1,
      ArrowUp: index - columns,
      ArrowDown: index + columns,
      PageUp: index - page,
      PageDown: index + page,
      Home: 0,
      End: shown.length - 1,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    event.stopPropagation(); // these keys mean other things elsewhere on the page
    this.#choose(moves[event.key], second);
  }
}
