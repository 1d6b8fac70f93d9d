/** Which images and sites are shown. Pure: nothing here knows the page. */
import { RATINGS } from "./state.js";
import { texts } from "./texts.js";

/** Meteorological seasons: name, months 1 to 12. */
export const SEASONS = [
  ["djf", [1, 2, 12]],
  ["mam", [3, 4, 5]],
  ["jja", [6, 7, 8]],
  ["son", [9, 10, 11]],
];

/**
 * The site's images that pass the filters, oldest first.
 * @param {{images: object[]}|null} site
 * @param {object} state - ratingsShown, from, to (YYYY-MM-DD, both included), months (1 to 12; [] = all),
 *   maxCloud (fraction 0 to 1; an image whose cloud fraction is unknown passes)
 * @param {{get: function(string): ({rating: string}|null)}} ratings
 * @returns {object[]} the site's own list where nothing is left out
 */
export function shownImages(site, state, ratings) {
  if (site === null) return [];
  const { from, to, maxCloud } = state;
  const byRating = !RATINGS.every((rating) => state.ratingsShown.includes(rating));
  const months = state.months.length > 0 && state.months.length < 12 ? new Set(state.months) : null;
  if (!byRating && !from && !to && months === null && maxCloud === null) return site.images;
  return site.images.filter((image) => {
    if (from && image.date < from) return false;
    if (to && image.date > to) return false;
    if (months !== null && !months.has(Number(image.date.slice(5, 7)))) return false;
    if (maxCloud !== null && image.cloud !== null && image.cloud > maxCloud + 1e-9) return false;
    return !byRating || state.ratingsShown.includes(ratings.get(image.id)?.rating ?? "unrated");
  });
}

/**
 * The sites that pass the search and the purposes, in the chosen order.
 * @param {object[]} sites
 * @param {object} state - search (any part of the name or id, accents and case ignored), purposes ([] = all), sort
 * @returns {object[]}
 */
export function shownSites(sites, state) {
  const words = plainText(state.search).split(/\s+/).filter(Boolean);
  const purposes = new Set(state.purposes);
  const passing = sites.filter((site) => {
    if (purposes.size > 0 && !sitePurposes(site).some((purpose) => purposes.has(purpose))) return false;
    if (words.length === 0) return true;
    const text = plainText(`${site.name} ${site.id}`);
    return words.every((word) => text.includes(word));
  });
  return passing.sort(state.sort === "name" ? byName : byNewest);
}

/**
 * The purposes that the sites have, by name; sites without one count under "(undefined)", which comes last.
 * @param {object[]} sites
 * @returns {{name: string, count: number}[]}
 */
export function purposesOf(sites) {
  const counts = new Map();
  for (const site of sites) {
    for (const name of sitePurposes(site)) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const last = texts.core.sites.noPurpose;
  return [...counts]
    .map(([name, count]) => ({ name, count }))
    .sort((a, b) => Number(a.name === last) - Number(b.name === last) || compareNames(a.name, b.name));
}

/**
 * How many filters differ from showing everything.
 * @param {object} state
 * @returns {number}
 */
export function activeFilters(state) {
  return [
    !RATINGS.every((rating) => state.ratingsShown.includes(rating)),
    Boolean(state.from),
    Boolean(state.to),
    state.months.length > 0 && state.months.length < 12,
    state.maxCloud !== null,
  ].filter(Boolean).length;
}

/** What a reset of the filters sets. */
export const NO_FILTERS = Object.freeze({ ratingsShown: RATINGS, from: null, to: null, months: [], maxCloud: null });

/**
 * The image of a day, else the one of the nearest day; of two as near the later.
 * @param {object[]} shown - oldest first
 * @param {string} date - YYYY-MM-DD
 * @returns {object|null}
 */
export function nearest(shown, date) {
  const after = following(shown, date);
  if (after === null || after.date === date) return after;
  const before = shown[shown.indexOf(after) - 1];
  if (before === undefined) return after;
  const daysTo = (image) => Math.abs(Date.parse(image.date) - Date.parse(date));
  return daysTo(before) < daysTo(after) ? before : after;
}

/**
 * Where to go when an image is no longer among the shown: to the next one in time, else the last.
 * @param {object[]} shown - oldest first
 * @param {string} date - YYYY-MM-DD
 * @returns {object|null}
 */
export function following(shown, date) {
  if (shown.length === 0) return null;
  let low = 0;
  let high = shown.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (shown[middle].date < date) low = middle + 1;
    else high = middle;
  }
  return shown[Math.min(low, shown.length - 1)];
}

function sitePurposes(site) {
  return site.purpose.length > 0 ? site.purpose : [texts.core.sites.noPurpose];
}

function plainText(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function compareNames(a, b) {
  return collator.compare(a, b);
}

function byName(a, b) {
  return compareNames(a.name, b.name) || compareNames(a.id, b.id);
}

function byNewest(a, b) {
  if (a.newest === b.newest) return byName(a, b);
  if (a.newest === null) return 1;
  if (b.newest === null) return -1;
  return a.newest < b.newest ? 1 : -1;
}
