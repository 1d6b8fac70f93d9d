/**
 * The reader's ratings: in memory, and in the browser's storage under the keys and in the form of the
 * page that this one replaces, `image_ratings` and `user_id`, so that either can follow the other.
 *
 * A rating that was taken back stays as one that is null, with its time: the other page shows it as
 * unrated, and another tab does not bring the former rating back. Several tabs merge what each of
 * them writes by newest time. Where storage is full or forbidden, ratings are kept in memory and
 * `problem` says so. Many ratings are read and written in slices of some milliseconds.
 */
import { RatingBook } from "./rating-book.js";
import { RATINGS } from "./rating-merge.js";
import { openUser, problemOf } from "./rating-storage.js";
import { entriesOf } from "./rating-text.js";
import { runAtOnce, runInSlices } from "./slices.js";

export { safeLocalStorage } from "./rating-storage.js";

/** @typedef {import("./rating-merge.js").Entry} Entry */

const STORED = "image_ratings";
const UNREADABLE = "image_ratings_unreadable";
/** Texts up to this length are read and written at once, in characters. */
const SMALL = 250_000;
const ENTRY_LENGTH = 100;
/** No browser keeps more for a page, in characters; trying would only take time. */
const LONGEST = 5 * 1024 * 1024;
const WRITE_AFTER_MS = 150;
const READ_AFTER_MS = 60;
/** Full storage is tried again after this time, in milliseconds. */
const TRY_FULL_MS = 30_000;
/** Changes of more images than this are told as a change of many. */
const MANY = 100;

/**
 * Open the ratings.
 * @param {Storage|null} storage null keeps them in memory only
 * @param {{now?: () => number, random?: () => number, page?: EventTarget|null}} [parts] clock
 *   (milliseconds since 1970), random numbers in [0, 1), and what tells of other tabs and of leaving
 * @returns {RatingStore}
 */
export function createRatings(storage, { now = Date.now, random = Math.random, page = globalThis } = {}) {
  const store = new RatingStore(storage, now, random);
  if (storage !== null && page?.addEventListener) {
    page.addEventListener("storage", (event) => store.heard(event));
    page.addEventListener("pagehide", () => store.flush());
  }
  return store;
}

/** See the module; made by `createRatings`. */
export class RatingStore {
  /** Our user id, such as `user_1733270400000_x1y2z3`. */
  userId;
  /** What keeps ratings from being stored: null, "full", "forbidden", "unreadable". */
  problem = null;
  /** Resolves once everything that was stored before is read. @type {Promise<void>} */
  ready;

  #storage;
  #now;
  #book = new RatingBook();
  #listeners = new Set();
  #known = null; // the stored text as we last saw it
  #dirty = false;
  #timer = 0;
  #working = Promise.resolve();
  #fullSince = -Infinity;

  constructor(storage, now, random) {
    this.#storage = storage;
    this.#now = now;
    this.problem = storage === null ? "forbidden" : null;
    const user = openUser(storage, now, random);
    this.userId = user.userId;
    this.problem ??= user.problem;
    const text = this.#read();
    if (text === null || text.length <= SMALL) {
      runAtOnce(this.#absorb(text));
      this.ready = Promise.resolve();
    } else {
      const reading = this.#absorb(text);
      this.ready = this.#queue(() => reading);
    }
  }

  /**
   * The rating of an image.
   * @param {string} imageId
   * @returns {Entry|null} null for an unrated image; do not change it
   */
  get(imageId) {
    const entry = this.#book.entry(imageId);
    return entry !== null && entry.rating !== null ? entry : null;
  }

  /** How many images are rated. @returns {number} */
  get size() {
    const { good, ok, bad } = this.#book.counts;
    return good + ok + bad;
  }

  /**
   * What stands for an image, also where its rating was taken back.
   * @param {string} imageId
   * @returns {Entry|null}
   */
  entry(imageId) {
    return this.#book.entry(imageId);
  }

  /**
   * Rate an image.
   * @param {{id: string}|string} image
   * @param {"good"|"ok"|"bad"|null} rating null takes the rating back
   */
  rate(image, rating) {
    const imageId = typeof image === "string" ? image : image.id;
    if (rating !== null && !RATINGS.includes(rating)) {
      throw new RangeError(`no rating: ${rating}`);
    }
    const former = this.entry(imageId);
    if (former === null && rating === null) {
      return;
    }
    // What the reader says now is newer than anything, whatever a clock said before.
    const least = former === null ? 0 : Date.parse(former.timestamp) + 1;
    this.putAll([[imageId, { rating, timestamp: new Date(Math.max(this.#now(), least)).toISOString() }]]);
  }

  /**
   * Put entries in the place of those that stand.
   * @param {Iterable<[string, Entry]>} entries by image id
   * @param {{quiet?: boolean}} [how] `quiet` tells nobody: for slices of a longer change, before `told`
   */
  putAll(entries, { quiet = false } = {}) {
    const ids = new Set();
    for (const [imageId, entry] of entries) {
      this.#book.put(imageId, entry);
      ids.add(imageId);
    }
    if (ids.size > 0) {
      this.#save();
    }
    if (!quiet) {
      this.told(ids.size > MANY ? null : ids);
    }
  }

  /**
   * Tell the listeners of a change.
   * @param {Set<string>|null} ids of the images; null for many
   */
  told(ids) {
    for (const listener of [...this.#listeners]) {
      listener({ ids });
    }
  }

  /**
   * Every rating.
   * @returns {Map<string, Entry>} by image id; a copy
   */
  all() {
    const found = new Map();
    for (const [imageId, entry] of this.entries()) {
      if (entry.rating !== null) {
        found.set(imageId, entry);
      }
    }
    return found;
  }

  /**
   * Every rating and every one that was taken back.
   * @returns {Generator<[string, Entry]>}
   */
  entries() {
    return this.#book.entries();
  }

  /**
   * Let exactly these ratings stand; all others are taken back.
   * @param {Map<string, Entry>} entries by image id
   */
  replaceAll(entries) {
    const timestamp = new Date(this.#now()).toISOString();
    const gone = [...this.entries()].filter(([imageId, entry]) => entry.rating !== null && !entries.has(imageId));
    this.putAll(gone.map(([imageId]) => [imageId, { rating: null, timestamp }]), { quiet: true });
    this.putAll(entries, { quiet: true });
    this.told(null);
  }

  /**
   * How a site's images are rated.
   * @param {{images: {id: string}[]}} site
   * @returns {{good: number, ok: number, bad: number, unrated: number, total: number}}
   */
  statistics(site) {
    const found = { good: 0, ok: 0, bad: 0, unrated: 0, total: site.images.length };
    for (const image of site.images) {
      found[this.get(image.id)?.rating ?? "unrated"] += 1;
    }
    return found;
  }

  /**
   * How the images of all sites are rated; ratings of images that the catalogue lacks count, too.
   * @param {{sites: {nImages: number}[]}} catalog
   * @returns {{good: number, ok: number, bad: number, unrated: number, total: number}}
   */
  overall(catalog) {
    const total = catalog.sites.reduce((sum, site) => sum + site.nImages, 0);
    const { good, ok, bad } = this.#book.counts;
    return { good, ok, bad, unrated: Math.max(0, total - good - ok - bad), total };
  }

  /**
   * Hear of changes, also of `problem`.
   * @param {(change: {ids: Set<string>|null}) => void} listener
   * @returns {() => void} removes it
   */
  on(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Store at once what is not stored yet. */
  flush() {
    if (this.#dirty) {
      runAtOnce(this.#write());
    }
  }

  /**
   * Another tab wrote.
   * @param {StorageEvent} event
   */
  heard(event) {
    if ((event.storageArea ?? this.#storage) !== this.#storage || (event.key !== STORED && event.key !== null)) {
      return;
    }
    if (event.newValue === null) {
      this.#forget(); // somebody cleared all ratings, or the storage
      return;
    }
    setTimeout(() => this.#queue(() => this.#follow()), READ_AFTER_MS);
  }

  #read() {
    try {
      return this.#storage?.getItem(STORED) ?? null;
    } catch (error) {
      this.problem = problemOf(error);
      return null;
    }
  }

  /** Take in the newer entries of a stored text. Returns whether we know more than it. */
  *#absorb(text, book = this.#book) {
    if (book !== this.#book) {
      return false; // somebody cleared all ratings before this began
    }
    this.#known = text;
    let theirs = 0;
    let newer = false;
    let older = false;
    try {
      for (const piece of text === null ? [] : entriesOf(text)) {
        for (const [imageId, raw] of piece) {
          const order = book.takeIn(imageId, raw, this.userId);
          newer ||= order > 0;
          older ||= order < 0;
        }
        theirs += piece.length;
        yield;
        if (book !== this.#book) {
          return false; // somebody cleared all ratings meanwhile
        }
      }
    } catch (error) {
      if (!(error instanceof SyntaxError)) {
        throw error;
      }
      this.#setAside(text);
    }
    if (newer) {
      this.told(null);
    }
    return older || this.#book.size > theirs;
  }

  #save() {
    this.#dirty = true;
    if (this.#storage === null) {
      return;
    }
    if ((this.#known?.length ?? 0) <= SMALL && this.#book.size * ENTRY_LENGTH <= SMALL) {
      runAtOnce(this.#write());
    } else if (this.#timer === 0) {
      this.#timer = setTimeout(() => this.#queue(() => this.#write()), WRITE_AFTER_MS);
    }
  }

  *#write() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (!this.#dirty || this.#storage === null || this.#now() - this.#fullSince < TRY_FULL_MS) {
      return;
    }
    const stored = this.#read();
    if (stored !== null && stored !== this.#known) {
      yield* this.#absorb(stored); // another tab was faster than its message
    }
    this.#dirty = false;
    const book = this.#book;
    const text = yield* book.write(LONGEST);
    yield;
    if (text !== stored && this.#storage !== null && book === this.#book) {
      this.#store(text);
    }
  }

  #store(text) {
    const former = this.problem;
    try {
      if (text === null) {
        throw new DOMException("too much", "QuotaExceededError");
      }
      this.#storage.setItem(STORED, text);
      this.#known = text;
      this.#fullSince = -Infinity;
      this.problem = former === "unreadable" ? former : null;
    } catch (error) {
      this.#dirty = true;
      this.problem = problemOf(error);
      this.#fullSince = this.#now();
    }
    if (this.problem !== former) {
      this.told(new Set());
    }
  }

  *#follow() {
    const text = this.#read();
    if (text === null || text === this.#known) {
      return;
    }
    if (yield* this.#absorb(text)) {
      this.#save();
    }
  }

  #forget() {
    this.#book = new RatingBook();
    this.#known = null;
    this.#dirty = false;
    this.told(null);
  }

  /** Keep a text that we cannot read; nothing is written over it where that fails. */
  #setAside(text) {
    this.problem = "unreadable";
    try {
      this.#storage.setItem(UNREADABLE, text);
    } catch (error) {
      problemOf(error);
      this.#storage = null;
    }
  }

  /** Run a piece of work in slices, after those that were asked for before. */
  #queue(work) {
    this.#working = this.#working.then(() => runInSlices(work()));
    return this.#working;
  }
}
