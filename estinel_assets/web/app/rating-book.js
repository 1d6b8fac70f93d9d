/** Ratings in memory, by image id, with their stored form kept up to date piece by piece. Pure. */
import { NO_TIME, RATINGS, compareEntries, instant, isUserId } from "./rating-merge.js";
import { ChunkedText } from "./rating-text.js";

/** @typedef {import("./rating-merge.js").Entry} Entry */

/** Entries by image id. What stands in a stored text and is no rating is kept as it is. */
export class RatingBook {
  /** How many images have which rating. */
  counts = { good: 0, ok: 0, bad: 0 };
  #records = new Map(); // image id -> {entry: Entry|null, raw: what stands there where entry is null, chunk}
  #text = new ChunkedText();

  /** How many image ids are known. @returns {number} */
  get size() {
    return this.#records.size;
  }

  /**
   * What stands for an image, also where its rating was taken back.
   * @param {string} imageId
   * @returns {Entry|null}
   */
  entry(imageId) {
    return this.#records.get(imageId)?.entry ?? null;
  }

  /**
   * Every entry, also those that were taken back.
   * @yields {[string, Entry]}
   */
  *entries() {
    for (const [imageId, { entry }] of this.#records) {
      if (entry) {
        yield [imageId, entry];
      }
    }
  }

  /**
   * Put an entry in the place of the one that stands.
   * @param {string} imageId
   * @param {Entry} entry
   */
  put(imageId, entry) {
    this.#put(imageId, entry, undefined);
  }

  /**
   * Take in what stands in a stored text, if it is newer.
   * @param {string} imageId
   * @param {unknown} raw
   * @param {string} own our user id
   * @returns {number} above zero if it was taken, below if ours stands against it, 0 if both are equal
   */
  takeIn(imageId, raw, own) {
    const entry = entryOf(raw, own);
    const record = this.#records.get(imageId);
    if (entry === null) {
      if (record === undefined) {
        this.#put(imageId, null, raw);
      }
      return record?.entry ? -1 : 0;
    }
    const order = record?.entry ? compareEntries(entry, record.entry) : 1;
    if (order > 0) {
      this.#put(imageId, entry, undefined);
    }
    return order;
  }

  /**
   * Write the stored form.
   * @param {number} longest in characters
   * @returns {Generator<undefined, string|null, void>} see `ChunkedText.write`
   */
  write(longest) {
    return this.#text.write((imageId) => {
      const { entry, raw } = this.#records.get(imageId);
      return entry ?? raw;
    }, longest);
  }

  #put(imageId, entry, raw) {
    const former = this.#records.get(imageId);
    const chunk = former === undefined ? this.#text.add(imageId) : former.chunk;
    this.#text.change(chunk);
    this.#count(former?.entry, -1);
    this.#count(entry, 1);
    this.#records.set(imageId, { entry, raw, chunk });
  }

  #count(entry, by) {
    if (entry && entry.rating !== null) {
      this.counts[entry.rating] += by;
    }
  }
}

function entryOf(raw, own) {
  if (typeof raw !== "object" || raw === null || !(raw.rating === null || RATINGS.includes(raw.rating))) {
    return null;
  }
  const entry = { rating: raw.rating, timestamp: instant(raw.timestamp) ?? NO_TIME };
  if (isUserId(raw.user) && raw.user !== own) {
    entry.user = raw.user;
  }
  return entry;
}
