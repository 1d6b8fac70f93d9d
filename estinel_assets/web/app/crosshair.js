/** The crosshair: one place in both pictures, with its pixel, projected coordinates and longitude and latitude. */

import { el } from "./dom.js";
import { pixelToMap, toLonLat } from "./projection.js";
import { fill } from "./texts.js";
import { clampZoom, fractionAt, placed } from "./zoom-math.js";

const LONLAT_DIGITS = 5; // about 1 m
const PROJECTED_DIGITS = 0;

/**
 * The coordinates of a place in a picture.
 * @param {{x: number, y: number}} fraction of the picture, from its upper left corner
 * @param {{epsg: number, transform: number[], shape: [number, number]}|null} grid of the site
 * @param {{width: number, height: number}} image in image pixels, for a site without a grid
 * @returns {{column: number, row: number, epsg: number|null, x: number|null, y: number|null, lon: number|null, lat: number|null}}
 *   pixels counted from 0; x and y in the units of the grid's CRS; degrees
 */
export function positionOf(fraction, grid, image) {
  const [rows, columns] = grid ? grid.shape : [image.height, image.width];
  const across = fraction.x * columns;
  const down = fraction.y * rows;
  const position = {
    column: Math.min(columns - 1, Math.floor(across)),
    row: Math.min(rows - 1, Math.floor(down)),
    epsg: null, x: null, y: null, lon: null, lat: null,
  };
  if (!grid) return position;
  const [x, y] = pixelToMap(grid, across, down);
  const lonlat = toLonLat(grid.epsg, x, y);
  return { ...position, epsg: grid.epsg, x, y, lon: lonlat?.[0] ?? null, lat: lonlat?.[1] ?? null };
}

/**
 * A position in words.
 * @param {object} position as `positionOf` gives it
 * @param {object} words texts of the viewer
 * @returns {{pixel: string, projected: string|null, lonlat: string|null}}
 */
export function positionTexts(position, words) {
  const { column, row, epsg, x, y, lon, lat } = position;
  const degrees = (value) => Math.abs(value).toFixed(LONLAT_DIGITS);
  const place = epsg === null ? null : { x: x.toFixed(PROJECTED_DIGITS), y: y.toFixed(PROJECTED_DIGITS), epsg };
  const known = lon !== null && lat !== null;
  return {
    pixel: fill(words.pixel, { column, row }),
    projected: place === null ? null : fill(known ? words.projected : words.projectedOther, place),
    lonlat: !known ? null : fill(words.lonlat, {
      lat: fill(lat < 0 ? words.south : words.north, { degrees: degrees(lat) }),
      lon: fill(lon < 0 ? words.west : words.east, { degrees: degrees(lon) }),
    }),
  };
}

/**
 * Draw the crosshair on a stage while `state.crosshair` is set: under the pointer, or in the middle of the view without one.
 * @param {import("./stage.js").Stage} stage
 * @param {object} app
 */
export function mountCrosshair(stage, app) {
  const crosshair = new Crosshair(stage, app);
  const { canvas, element } = stage;
  canvas.addEventListener("pointermove", (event) => crosshair.follow(event));
  canvas.addEventListener("pointerdown", (event) => crosshair.follow(event));
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") crosshair.follow(null); // a tap sets the place
  });
  element.addEventListener("draw", () => crosshair.draw());
  app.state.on(["crosshair", "site", "mode"], () => crosshair.drawSoon());
  crosshair.draw();
}

class Crosshair {
  #stage;
  #app;
  #crosses;
  #readout = el("p", { class: "crosshair-readout", attrs: { hidden: true } });
  #pointer = null; // client coordinates, so that it stays where it is while the picture moves
  #frame = 0;

  constructor(stage, app) {
    this.#stage = stage;
    this.#app = app;
    this.#crosses = [...stage.slots.children].map(addCross);
    stage.footer.before(this.#readout);
  }

  /** @param {{clientX: number, clientY: number}|null} pointer */
  follow(pointer) {
    this.#pointer = pointer === null ? null : { clientX: pointer.clientX, clientY: pointer.clientY };
    if (this.#app.state.get().crosshair) this.drawSoon();
  }

  drawSoon() {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const { crosshair, site } = this.#app.state.get();
    const image = this.#stage.imageSize();
    const seen = Object.values(this.#stage.panes).some((pane) => pane.picture !== null);
    const fraction = crosshair && seen ? this.#place(image) : null;
    for (const cross of this.#crosses) this.#drawCross(cross, fraction, image);
    this.#readout.hidden = !crosshair;
    if (fraction === null) this.#readout.replaceChildren();
    else this.#write(fraction, site?.grid ?? null, image);
  }

  /** The image fraction of the crosshair, or null beside the picture. */
  #place(image) {
    if (this.#pointer === null) {
      const { x, y } = this.#zoomIn(this.#stage.box("left"), image);
      return { x, y };
    }
    const point = this.#stage.pointIn(this.#pointer);
    const box = this.#stage.box(point.side);
    return fractionAt(point, box, image, this.#zoomIn(box, image));
  }

  #drawCross({ side, cross, across, down }, fraction, image) {
    const box = this.#stage.box(side);
    cross.hidden = fraction === null || box.width === 0;
    if (cross.hidden) return;
    const at = placed(box, image, this.#zoomIn(box, image));
    across.style.setProperty("transform", `translateY(${at.top + fraction.y * at.height}px)`);
    down.style.setProperty("transform", `translateX(${at.left + fraction.x * at.width}px)`);
  }

  #write(fraction, grid, image) {
    const words = this.#app.texts.viewer;
    const { pixel, projected, lonlat } = positionTexts(positionOf(fraction, grid, image), words);
    const parts = [lonlat, pixel, projected, grid ? null : words.noGrid].filter((part) => part !== null);
    this.#readout.replaceChildren(...parts.map((part) => el("span", { class: "crosshair-part", text: part })));
  }

  #zoomIn(box, image) {
    return clampZoom(this.#app.state.get().zoom, box, image);
  }
}

function addCross(slot) {
  const across = el("div", { class: "cross-line cross-across" });
  const down = el("div", { class: "cross-line cross-down" });
  const cross = el("div", { class: "cross", attrs: { "aria-hidden": "true", hidden: true } }, across, down);
  slot.append(cross);
  return { side: slot.dataset.side, cross, across, down };
}
