/**
 * Where a picture lies in its box at a zoom. Pure: no page, no state.
 *
 * A box and an image are `{width, height}`, in CSS pixels and image pixels. A zoom is `{scale, x, y}`: the scale relative
 * to the fitted picture (1 = fitted) and the image fraction that stands in the middle of the box.
 */

/** Largest magnification, in CSS pixels per image pixel, that `maxScale` allows. */
const LARGEST_PIXEL = 16;
const LEAST_MAX_SCALE = 8;
const GREATEST_MAX_SCALE = 64;

/** The zoom of a fitted picture. */
export const FITTED = Object.freeze({ scale: 1, x: 0.5, y: 0.5 });

/**
 * The size of a picture that just fits its box.
 * @param {{width: number, height: number}} box in CSS pixels
 * @param {{width: number, height: number}} image in image pixels
 * @returns {{width: number, height: number}} in CSS pixels
 */
export function fitted(box, image) {
  if (!(image.width > 0) || !(image.height > 0)) return { width: 0, height: 0 };
  const factor = Math.min(box.width / image.width, box.height / image.height);
  return { width: image.width * factor, height: image.height * factor };
}

/**
 * The largest scale of a picture: 16 CSS pixels per image pixel, between 8 and 64 times fitted.
 * @param {{width: number, height: number}} box in CSS pixels
 * @param {{width: number, height: number}} image in image pixels
 * @returns {number}
 */
export function maxScale(box, image) {
  const { width } = fitted(box, image);
  if (!(width > 0)) return LEAST_MAX_SCALE;
  return clamp((LARGEST_PIXEL * image.width) / width, LEAST_MAX_SCALE, GREATEST_MAX_SCALE);
}

/**
 * Where the picture lies in its box.
 * @param {{width: number, height: number}} box in CSS pixels
 * @param {{width: number, height: number}} image in image pixels
 * @param {{scale: number, x: number, y: number}} zoom
 * @returns {{left: number, top: number, width: number, height: number}} in CSS pixels
 */
export function placed(box, image, zoom) {
  const fit = fitted(box, image);
  const width = fit.width * zoom.scale;
  const height = fit.height * zoom.scale;
  return { left: box.width / 2 - zoom.x * width, top: box.height / 2 - zoom.y * height, width, height };
}

/**
 * The nearest zoom that is allowed: the picture fills the box or stands in its middle.
 * @param {{scale: number, x: number, y: number}} zoom
 * @param {{width: number, height: number}} box in CSS pixels
 * @param {{width: number, height: number}} image in image pixels
 * @returns {{scale: number, x: number, y: number}}
 */
export function clampZoom(zoom, box, image) {
  const scale = clamp(Number.isFinite(zoom.scale) ? zoom.scale : 1, 1, maxScale(box, image));
  const fit = fitted(box, image);
  return {
    scale,
    x: clampCentre(zoom.x, box.width, fit.width * scale),
    y: clampCentre(zoom.y, box.height, fit.height * scale),
  };
}

/**
 * The zoom after a change of scale that leaves what is under a point where it is.
 * @param {{scale: number, x: number, y: number}} zoom
 * @param {number} factor of the scale
 * @param {{x: number, y: number}} point in the box, in CSS pixels
 * @param {{width: number, height: number}} box in CSS pixels
 * @param {{width: number, height: number}} image in image pixels
 * @returns {{scale: number, x: number, y: number}}
 */
export function zoomAt(zoom, factor, point, box, image) {
  const fit = fitted(box, image);
  if (!(fit.width > 0)) return zoom;
  const before = placed(box, image, zoom);
  const scale = clamp(zoom.scale * factor, 1, maxScale(box, image));
  const x = (point.x - before.left) / before.width + (box.width / 2 - point.x) / (fit.width * scale);
  const y = (point.y - before.top) / before.height + (box.height / 2 - point.y) / (fit.height * scale);
  return clampZoom({ scale, x, y }, box, image);
}

/**
 * The zoom after the picture was dragged.
 * @param {{scale: number, x: number, y: number}} zoom
 * @param {number} dx to the right, in CSS pixels
 * @param {number} dy down, in CSS pixels
 * @param {{width: number, height: number}} box in CSS pixels
 * @param {{width: number, height: number}} image in image pixels
 * @returns {{scale: number, x: number, y: number}}
 */
export function panned(zoom, dx, dy, box, image) {
  const { width, height } = placed(box, image, zoom);
  if (!(width > 0)) return zoom;
  return clampZoom({ scale: zoom.scale, x: zoom.x - dx / width, y: zoom.y - dy / height }, box, image);
}

/**
 * The image fraction under a point, or null beside the picture.
 * @param {{x: number, y: number}} point in the box, in CSS pixels
 * @param {{width: number, height: number}} box in CSS pixels
 * @param {{width: number, height: number}} image in image pixels
 * @param {{scale: number, x: number, y: number}} zoom
 * @returns {{x: number, y: number}|null} 0 to 1 from the upper left corner
 */
export function fractionAt(point, box, image, zoom) {
  const at = placed(box, image, zoom);
  if (!(at.width > 0)) return null;
  const x = (point.x - at.left) / at.width;
  const y = (point.y - at.top) / at.height;
  return x >= 0 && x <= 1 && y >= 0 && y <= 1 ? { x, y } : null;
}

/**
 * Whether a picture is drawn with more than two CSS pixels per image pixel, so that its pixels should be seen.
 * @param {{width: number}} at as `placed` gives it
 * @param {{width: number}} image in image pixels
 * @returns {boolean}
 */
export function showsPixels(at, image) {
  return at.width > 2 * image.width;
}

function clampCentre(centre, boxLength, length) {
  if (!(length > boxLength) || !Number.isFinite(centre)) return 0.5;
  const margin = boxLength / (2 * length);
  return clamp(centre, margin, 1 - margin);
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
