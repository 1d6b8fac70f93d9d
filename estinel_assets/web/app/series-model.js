/** The numbers of the time series of clear fraction. Pure. */
import { dayMs } from "./days.js";

const DAY_MS = 86400000;
/** Days on each side of a point of the median line. */
const HALF_WINDOW = 45;
/** Fewer images than this in the window give no median. */
const LEAST = 3;

/** @typedef {{image: object, ms: number, clear: number}} Point */

/**
 * Images with a clear fraction, as points.
 * @param {object[]} images - oldest first
 * @returns {Point[]} `clear` from 0 to 1; from the cloud fraction where only that is given
 */
export function seriesPoints(images) {
  const points = [];
  for (const image of images) {
    const clear = clearOf(image);
    if (clear !== null) points.push({ image, ms: dayMs(image.date), clear });
  }
  return points;
}

/**
 * Clear fraction of an image.
 * @param {{clear: number|null, cloud: number|null}} image
 * @returns {number|null} 0 to 1
 */
export function clearOf(image) {
  if (image.clear !== null) return image.clear;
  return image.cloud === null ? null : 1 - image.cloud;
}

/**
 * The median of 90 days around evenly spaced times, in pieces without gaps.
 * @param {Point[]} points - oldest first
 * @param {number} samples - how many times
 * @returns {{ms: number, clear: number}[][]}
 */
export function medianLines(points, samples) {
  if (points.length < LEAST) return [];
  const first = points[0].ms;
  const last = points[points.length - 1].ms;
  const lines = [];
  let line = [];
  let [from, to] = [0, 0];
  for (let sample = 0; sample <= samples; sample += 1) {
    const ms = first + ((last - first) * sample) / samples;
    while (from < points.length && points[from].ms < ms - HALF_WINDOW * DAY_MS) from += 1;
    while (to < points.length && points[to].ms <= ms + HALF_WINDOW * DAY_MS) to += 1;
    if (to - from >= LEAST) {
      line.push({ ms, clear: median(points.slice(from, to).map((point) => point.clear)) });
    } else if (line.length > 0) {
      lines.push(line);
      line = [];
    }
  }
  if (line.length > 0) lines.push(line);
  return lines.filter((one) => one.length > 1);
}

/**
 * Ticks of a time axis: starts of months, quarters or years, at most so many.
 * @param {number} first - milliseconds since 1970
 * @param {number} last
 * @param {number} most
 * @returns {{ms: number, year: number, month: number}[]} month 0 to 11
 */
export function timeTicks(first, last, most) {
  const years = (last - first) / (365.25 * DAY_MS);
  const steps = [1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 12000];
  const months = steps.find((step) => (years * 12) / step <= most) ?? steps[steps.length - 1];
  const start = new Date(first);
  let index = Math.ceil((start.getUTCFullYear() * 12 + start.getUTCMonth()) / months) * months;
  const ticks = [];
  for (;;) {
    const ms = Date.UTC(Math.floor(index / 12), index % 12, 1);
    if (!(ms <= last) || ticks.length > most + 2) return ticks;
    if (ms >= first) ticks.push({ ms, year: Math.floor(index / 12), month: index % 12 });
    index += months;
  }
}

/**
 * The point nearest to a place of the chart.
 * @param {{x: number, y: number}[]} places - of the points, x rising
 * @param {number} x - in the same units
 * @param {number} y
 * @returns {number} index, -1 where there is none
 */
export function nearestPlace(places, x, y) {
  let best = -1;
  let least = Infinity;
  for (let index = lowerBound(places, x - 24); index < places.length; index += 1) {
    if (places[index].x > x + 24 && best >= 0) break;
    const across = places[index].x - x;
    // Along the time axis counts more: the hand follows the days.
    const distance = across * across + ((places[index].y - y) * (places[index].y - y)) / 4;
    if (distance < least) [least, best] = [distance, index];
    if (places[index].x > x + 24) break;
  }
  const before = lowerBound(places, x - 24) - 1;
  return best < 0 ? before : best;
}

function lowerBound(places, x) {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle].x < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

function median(values) {
  const sorted = values.sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
