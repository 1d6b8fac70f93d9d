/** The panes, their modes (single, slider, side by side, difference) and the controls that stand on them. */

import { Divider } from "./divider.js";
import { el } from "./dom.js";
import { Pane } from "./pane.js";
import { attributionOf } from "./pane-texts.js";
import { createPlayerBar } from "./player-bar.js";
import { Preloader } from "./preload.js";
import { fill } from "./texts.js";
import { clampZoom, placed, showsPixels } from "./zoom-math.js";

const LARGEST_GAIN = 16;
const FIRST_GAIN = 2;

/** The stage. Its `element` says "draw" whenever a picture was put into a pane, placed or taken away. */
export class Stage {
  #app;
  #boxes = { left: { width: 0, height: 0 }, right: { width: 0, height: 0 } };
  #attribution = el("p", { class: "stage-attribution" });

  /** @param {object} app */
  constructor(app) {
    this.#app = app;
    const on = { place: (picture, side) => this.#place(picture, side), changed: () => this.#say() };
    this.preloaders = { left: new Preloader(), right: new Preloader() };
    this.panes = {
      left: new Pane("left", app, this.preloaders.left, on),
      right: new Pane("right", app, this.preloaders.right, on),
    };
    this.#build();
    const observer = new ResizeObserver((changes) => this.#onResize(changes));
    this.#sides.forEach((pane) => observer.observe(pane.frame));
  }

  get #sides() {
    return Object.values(this.panes);
  }

  /** Sets `canvas` (what pointers act on), `slots` (boxes over the frames), `controls`, `footer` and `element`. */
  #build() {
    const { left, right } = this.panes;
    this.slots = el("div", { class: "slots" }, ...this.#sides.map(({ note, side }) =>
      el("div", { class: "slot", dataset: { side } }, note)));
    const pictures = el("div", { class: "pictures" }, left.frame, right.frame);
    this.canvas = el("div", { class: "canvas" }, pictures, this.slots);
    const divider = new Divider(this.#app, this.canvas);
    this.canvas.append(divider.element);
    const gain = gainControl(this.#app.texts.viewer, pictures);
    this.controls = el("div", { class: "stage-controls" }, divider.control, gain);
    this.footer = el("div", { class: "stage-footer" }, createPlayerBar(this.#app), this.#attribution, this.controls);
    this.element = el("div", { class: "stage", dataset: { mode: "single" } },
      left.caption, this.canvas, right.caption, this.footer);
  }

  /** @returns {{width: number, height: number}} of the pictures, in image pixels; 1 by 1 without any */
  imageSize() {
    const picture = this.panes.left.picture ?? this.panes.right.picture;
    return picture === null ? { width: 1, height: 1 } : { width: picture.naturalWidth, height: picture.naturalHeight };
  }

  /** @param {"left"|"right"} side @returns {{width: number, height: number}} of its frame, in CSS pixels */
  box(side) {
    return this.#boxes[side];
  }

  /** Place the pictures after a change of zoom or size. */
  draw() {
    for (const { picture, side } of this.#sides) if (picture !== null) this.#place(picture, side);
    this.#say();
  }

  /** @param {"single"|"slider"|"side"|"difference"} mode */
  setMode(mode) {
    this.element.dataset.mode = mode;
  }

  /** @param {object[]} images whose attribution is shown */
  setAttribution(images) {
    const text = [...new Set(images.map((image) => attributionOf(this.#app, image)))].join(" · ");
    if (this.#attribution.textContent !== text) this.#attribution.textContent = text;
  }

  /**
   * Where a pointer is.
   * @param {{clientX: number, clientY: number}} event
   * @returns {{side: "left"|"right", x: number, y: number}} in CSS pixels of that side's frame
   */
  pointIn({ clientX, clientY }) {
    const right = this.panes.right.frame.getBoundingClientRect();
    const inRight = this.element.dataset.mode === "side" &&
      clientX >= right.left && clientX <= right.right && clientY >= right.top && clientY <= right.bottom;
    const side = inRight ? "right" : "left";
    const corner = inRight ? right : this.panes.left.frame.getBoundingClientRect();
    return { side, x: clientX - corner.left, y: clientY - corner.top };
  }

  #place(picture, side) {
    const image = { width: picture.naturalWidth, height: picture.naturalHeight };
    const box = this.#boxes[side];
    const at = onPixels(placed(box, image, clampZoom(this.#app.state.get().zoom, box, image)));
    picture.style.setProperty("width", `${at.width}px`);
    picture.style.setProperty("height", `${at.height}px`);
    picture.style.setProperty("transform", `translate(${at.left}px, ${at.top}px)`);
    picture.classList.toggle("picture-pixels", showsPixels(at, image));
  }

  #say() {
    this.element.dispatchEvent(new Event("draw"));
  }

  #onResize(changes) {
    for (const { target, contentRect } of changes) {
      this.#boxes[target.dataset.side] = { width: contentRect.width, height: contentRect.height };
    }
    this.draw();
  }
}

/** With its edges on pixels of the screen: half-covered pixels of two pictures would show as lines in their difference. */
function onPixels({ left, top, width, height }) {
  const snap = (length) => Math.round(length * window.devicePixelRatio) / window.devicePixelRatio;
  const [x, y] = [snap(left), snap(top)];
  return { left: x, top: y, width: snap(left + width) - x, height: snap(top + height) - y };
}

/** The gain of the difference view: absolute differences are small, so they are multiplied for the eye. */
function gainControl(words, pictures) {
  const output = el("output", { class: "gain-value" });
  const range = el("input", {
    attrs: { type: "range", min: 1, max: LARGEST_GAIN, step: 1, value: FIRST_GAIN },
    on: { input: apply },
  });
  function apply() {
    output.textContent = fill(words.gainValue, { gain: range.value });
    range.setAttribute("aria-valuetext", output.textContent);
    pictures.style.setProperty("--gain", range.value);
  }
  apply();
  return el("label", { class: "stage-range gain" }, el("span", { text: words.gain }), range, output);
}
