/** From what a catalogue's JSON says to what the page works with. Pure; whatever is malformed is left out and counted. */

const HTTP = /^https?:\/\//i;
const WRITTEN = /^(https?|file):/i;
const SCHEME = /^[a-z][a-z0-9+.-]*:/i;
const PLAIN_PATH = /^[A-Za-z0-9_\-./~]*$/;
const DATE = /^(\d{4})-(\d{2})-(\d{2})(?:$|[T ])/;
const VIEW_NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._+-]{0,39}$/u;
const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const MAX_ID = 500;

/** What was left out, and why: counted by word. */
export class LeftOut {
  constructor() {
    this.sites = 0;
    /** Images by reason: a key of `texts.core.problem`. @type {Map<string, number>} */
    this.images = new Map();
    /** Fields with an unknown value, by the field's name. @type {Map<string, number>} */
    this.fields = new Map();
  }

  /** @param {string} reason - a key of `texts.core.problem` */
  image(reason) {
    this.images.set(reason, (this.images.get(reason) ?? 0) + 1);
  }

  /** @param {string} name - the field's name */
  field(name) {
    this.fields.set(name, (this.fields.get(name) ?? 0) + 1);
  }
}

/**
 * Make the function that turns a catalogue's addresses into ones that a browser can open.
 * @param {unknown} root - what the catalogue's addresses begin with; what follows is read relative to the store
 *   that the catalogue was read from
 * @param {string} catalogUrl - where the document was read from (http or https)
 * @returns {function(unknown): (string|null)} null for what cannot be opened
 */
export function addressReader(root, catalogUrl) {
  const store = new URL("../", catalogUrl).href;
  const start = typeof root === "string" && root !== "" ? `${root.replace(/\/+$/, "")}/` : null;
  // Addresses of http and file are percent-encoded as they stand; those of object stores carry their keys plainly.
  const isWritten = start !== null && WRITTEN.test(start);
  return (address) => {
    if (typeof address !== "string" || address === "") return null;
    if (start !== null && address.startsWith(start)) {
      const rest = address.slice(start.length);
      if (isWritten || PLAIN_PATH.test(rest)) return store + rest;
      return store + rest.split("/").map(encodeURIComponent).join("/");
    }
    if (HTTP.test(address)) return address;
    if (SCHEME.test(address)) return null;
    try {
      const url = new URL(address, catalogUrl);
      return HTTP.test(url.href) ? url.href : null;
    } catch {
      return null;
    }
  };
}

/**
 * Read one image's entry.
 * @param {unknown} raw
 * @param {string} siteId
 * @param {function(unknown): (string|null)} address - from `addressReader`
 * @param {LeftOut} leftOut
 * @returns {object|null} Image: {id, siteId, date, views, thumbs, download, item, clear, cloud, valid, attribution};
 *   fractions are 0 to 1, null where unknown
 */
export function readImage(raw, siteId, address, leftOut) {
  if (!isRecord(raw)) return drop(leftOut, "notEntry");
  const id = readId(raw.id);
  if (id === null) return drop(leftOut, "noId");
  const date = readDate(raw.date);
  if (date === null) return drop(leftOut, "noDate");
  const views = readViews(raw.url, address, leftOut);
  if (views === null) return drop(leftOut, "noAddress");
  const thumbs = readViews(raw.thumbnail, address, leftOut) ?? byName();
  const anyThumb = Object.values(thumbs)[0];
  for (const name of Object.keys(views)) thumbs[name] ??= anyThumb ?? views[name];
  return {
    id,
    siteId,
    date,
    views,
    thumbs,
    download: readAddress(raw, "download", address, leftOut),
    item: readAddress(raw, "stac-item", address, leftOut),
    clear: readFraction(raw, "clear_fraction", leftOut),
    cloud: readFraction(raw, "cloud_fraction", leftOut),
    valid: readFraction(raw, "valid_fraction", leftOut),
    attribution: readText(raw, "attribution", leftOut),
  };
}

function drop(leftOut, reason) {
  leftOut.image(reason);
  return null;
}

/**
 * Read a site's images, oldest first. Works in slices, so that a long list does not hold up the page.
 * @param {unknown} raw - the list
 * @param {string} siteId
 * @param {function(unknown): (string|null)} address
 * @param {LeftOut} leftOut
 * @param {function(): Promise<void>} [pause] - waits a moment; called about every 10 ms
 * @returns {Promise<object[]>}
 */
export async function readImages(raw, siteId, address, leftOut, pause = null) {
  if (raw !== undefined && raw !== null && !Array.isArray(raw)) leftOut.field("images");
  const entries = Array.isArray(raw) ? raw : [];
  const images = [];
  const ids = new Set();
  let since = performance.now();
  for (let index = 0; index < entries.length; index += 1) {
    const image = readImage(entries[index], siteId, address, leftOut);
    if (image !== null && ids.has(image.id)) leftOut.image("sameId");
    else if (image !== null) {
      ids.add(image.id);
      images.push(image);
    }
    if (pause !== null && index % 64 === 63 && performance.now() - since > 10) {
      await pause();
      since = performance.now();
    }
  }
  return images.sort(byDate);
}

function byDate(a, b) {
  if (a.date !== b.date) return a.date < b.date ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

/**
 * Read what a location says of itself, without its images.
 * @param {unknown} raw
 * @param {function(unknown): (string|null)} address
 * @param {LeftOut} leftOut
 * @returns {object|null} SiteSummary, as an index tells it; null (and counted) where it is no site
 */
export function readSummary(raw, address, leftOut) {
  const id = isRecord(raw) ? readId(raw.id ?? raw.name) : null;
  if (id === null) {
    leftOut.sites += 1;
    return null;
  }
  return {
    id,
    name: readText(raw, "name", leftOut) ?? id,
    lon: readNumber(raw, "lon", -180, 360, leftOut),
    lat: readNumber(raw, "lat", -90, 90, leftOut),
    purpose: readPurposes(raw, leftOut),
    grid: readGrid(raw, leftOut),
    nImages: readNumber(raw, "n_images", 0, 1e9, leftOut) ?? 0,
    first: readDate(raw.first),
    newest: readDate(raw.newest),
    newestImage: isRecord(raw.newest_image) ? readImage(raw.newest_image, id, address, new LeftOut()) : null,
    faults: readNumber(raw, "faults", 0, 1e9, leftOut) ?? 0,
  };
}

/**
 * Sum a location of a single-file catalogue up, as an index would.
 * @param {unknown} raw - the location with its images
 * @returns {object} what `readSummary` reads
 */
export function summaryOf(raw) {
  if (!isRecord(raw)) return raw;
  const { images, ...rest } = raw;
  let first = null;
  let newest = null;
  let count = 0;
  let newestImage = null;
  for (const image of Array.isArray(images) ? images : []) {
    const date = isRecord(image) ? readDate(image.date) : null;
    if (date === null) continue;
    count += 1;
    if (first === null || date < first) first = date;
    if (newest === null || date >= newest) [newest, newestImage] = [date, image];
  }
  return { ...rest, n_images: count, first, newest, newest_image: newestImage };
}

/**
 * Read what became of each solar day.
 * @param {unknown} raw - {date: reason word}
 * @param {LeftOut} leftOut
 * @returns {Map<string, string>}
 */
export function readDays(raw, leftOut) {
  const days = new Map();
  if (raw === undefined || raw === null) return days;
  if (!isRecord(raw)) leftOut.field("days");
  else {
    for (const [date, reason] of Object.entries(raw)) {
      if (readDate(date) !== null && typeof reason === "string") days.set(date, reason);
      else leftOut.field("days");
    }
  }
  return days;
}

/**
 * Read what the reasons mean.
 * @param {unknown} raw - {word: {fault, meaning}}
 * @returns {Object<string, {fault: boolean, meaning: string}>}
 */
export function readReasons(raw) {
  if (!isRecord(raw)) return {};
  const known = Object.entries(raw).filter(([word, value]) => word !== "__proto__" && isRecord(value));
  return Object.fromEntries(
    known.map(([word, { fault, meaning }]) => [
      word,
      { fault: fault === true, meaning: typeof meaning === "string" ? meaning : word },
    ]),
  );
}

function readViews(raw, address, leftOut) {
  if (typeof raw === "string") {
    const url = address(raw);
    return url === null ? null : byName({ image: url });
  }
  if (!isRecord(raw)) return null;
  const views = byName();
  let count = 0;
  for (const key of Object.keys(raw)) {
    const bare = key.startsWith("view_") ? key.slice(5) : key;
    const name = bare === "hist" ? "histeq" : bare;
    const url = VIEW_NAME.test(name) ? address(raw[key]) : null;
    if (url === null) leftOut.field("url");
    else {
      views[name] = url;
      count += 1;
    }
  }
  return count > 0 ? views : null;
}

/** A record without inherited names: a view may be called "constructor". */
function byName(entries = {}) {
  return Object.assign(Object.create(null), entries);
}

function readAddress(raw, name, address, leftOut) {
  const value = raw[name];
  if (value === undefined || value === null || value === "") return null;
  const url = address(value);
  if (url === null) leftOut.field(name);
  return url;
}

function readFraction(raw, name, leftOut) {
  return readNumber(raw, name, 0, 1, leftOut);
}

function readNumber(raw, name, low, high, leftOut) {
  const value = raw[name];
  if (value === undefined || value === null) return null;
  if (typeof value === "number" && value >= low && value <= high) return value;
  leftOut.field(name);
  return null;
}

function readText(raw, name, leftOut) {
  const value = raw[name];
  if (value === undefined || value === null) return null;
  if (typeof value === "string" && value.trim() !== "") return value.trim();
  if (typeof value !== "string") leftOut.field(name);
  return null;
}

function readId(value) {
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  return typeof value === "string" && value !== "" && value.length <= MAX_ID ? value : null;
}

function readDate(value) {
  const parts = typeof value === "string" ? DATE.exec(value) : null;
  if (parts === null) return null;
  const [, year, month, day] = parts.map(Number);
  if (month < 1 || month > 12 || day < 1 || day > DAYS[month - 1]) return null;
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  return month === 2 && day === 29 && !isLeap ? null : value.slice(0, 10);
}

function readPurposes(raw, leftOut) {
  const { purpose } = raw;
  if (purpose === undefined || purpose === null || purpose === "") return [];
  const list = Array.isArray(purpose) ? purpose : [purpose];
  const names = list.filter((name) => typeof name === "string" && name.trim() !== "").map((name) => name.trim());
  if (names.length < list.length) leftOut.field("purpose");
  return [...new Set(names)];
}

function readGrid(raw, leftOut) {
  const { grid } = raw;
  if (grid === undefined || grid === null) return null;
  const isGrid =
    isRecord(grid) &&
    Number.isInteger(grid.epsg) &&
    isNumbers(grid.transform, 6) &&
    isNumbers(grid.shape, 2) &&
    grid.shape.every((length) => length > 0);
  if (isGrid) return { epsg: grid.epsg, transform: grid.transform.slice(0, 6), shape: grid.shape };
  leftOut.field("grid");
  return null;
}

function isNumbers(value, count) {
  return Array.isArray(value) && value.length >= count && value.every((number) => Number.isFinite(number));
}

/**
 * Whether a value is a JSON object.
 * @param {unknown} value
 * @returns {boolean}
 */
export function isRecord(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
