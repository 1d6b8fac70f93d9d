/** The divider of the slider mode: dragged, moved by keys, or set by a slider control. */

import { el } from "./dom.js";
import { fill } from "./texts.js";

const STEP = 0.02;
const LARGE_STEP = 0.1;

/** The divider: `element` is the line on the pictures, `control` a labelled range input. */
export class Divider {
  #canvas;
  #words;
  #range;
  #at;

  /**
   * @param {object} app
   * @param {HTMLElement} canvas the box that it divides; gets the custom property --divider
   */
  constructor(app, canvas) {
    this.#canvas = canvas;
    this.#words = app.texts.viewer;
    const move = () => this.#set(Number(this.#range.value) / 100);
    this.#range = el("input", { attrs: { type: "range", min: 0, max: 100, step: 1 }, on: { input: move } });
    this.control = el("label", { class: "stage-range divider-range" },
      el("span", { text: this.#words.dividerRange }), this.#range);
    this.element = this.#line();
    this.#set(0.5);
  }

  #line() {
    const attrs = {
      role: "separator",
      tabindex: 0,
      "aria-label": this.#words.divider,
      "aria-orientation": "vertical",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    };
    const on = {
      keydown: (event) => this.#onKey(event),
      pointerdown: (event) => this.#onDown(event),
      pointermove: (event) => this.#onMove(event),
      dblclick: (event) => event.stopPropagation(),
    };
    return el("div", { class: "divider", title: this.#words.divider, attrs, on }, el("span", { class: "divider-grip" }));
  }

  #set(fraction) {
    this.#at = Math.min(1, Math.max(0, fraction));
    const percent = Math.round(this.#at * 100);
    this.#canvas.style.setProperty("--divider", `${this.#at * 100}%`);
    this.element.setAttribute("aria-valuenow", String(percent));
    this.element.setAttribute("aria-valuetext", fill(this.#words.dividerValue, { percent }));
    this.#range.value = String(percent);
  }

  #onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = this.#at;
    const step = event.shiftKey ? LARGE_STEP : STEP;
    const places = {
      ArrowLeft: at - step,
      ArrowDown: at - step,
      ArrowRight: at + step,
      ArrowUp: at + step,
      PageDown: at - LARGE_STEP,
      PageUp: at + LARGE_STEP,
      Home: 0,
      End: 1,
    };
    if (!(event.key in places)) return;
    event.preventDefault();
    event.stopPropagation(); // these keys step through images elsewhere
    this.#set(places[event.key]);
  }

  #onDown(event) {
    event.stopPropagation();
    if (event.button === 0) this.element.setPointerCapture(event.pointerId);
  }

  #onMove(event) {
    if (!this.element.hasPointerCapture(event.pointerId)) return;
    const box = this.#canvas.getBoundingClientRect();
    if (box.width > 0) this.#set((event.clientX - box.left) / box.width);
  }
}
