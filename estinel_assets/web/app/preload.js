/**
 * Pictures loaded ahead: a bounded number, the shown one first, those that are no longer wanted dropped. Only the
 * nearest are decoded: browsers keep what was decoded long after the page let go of it.
 */

/** Pixels that one preloader may hold decoded: 16 million are 64 MB. */
const MOST_PIXELS = 16e6;

/** Pictures that are decoded: the shown one, the next two and the one before. */
const DECODED = 4;

/** The picture of an address was dropped before it was decoded. */
class DroppedError extends Error {}

/**
 * The images to load beside the current one, nearest first.
 * @template T
 * @param {T[]} images in the order of stepping
 * @param {number} index of the current one
 * @param {number} direction of the last step: 1 forward, -1 backward
 * @param {{ahead?: number, behind?: number}} [numbers] of images in and against the direction
 * @returns {T[]} without the current one
 */
export function ahead(images, index, direction, { ahead: forward = 6, behind = 2 } = {}) {
  const sign = direction < 0 ? -1 : 1;
  const offsets = [];
  for (let distance = 1; distance <= Math.max(forward, behind); distance += 1) {
    if (distance <= forward) offsets.push(distance * sign);
    if (distance <= behind) offsets.push(-distance * sign);
  }
  return offsets.map((offset) => images[index + offset]).filter((image) => image !== undefined);
}

/**
 * How many pictures of a size may be held decoded.
 * @param {{width: number, height: number}} image in pixels
 * @param {number} most of small pictures
 * @returns {number} 2 at least: the shown one and the next
 */
export function affordable(image, most) {
  const pixels = Math.max(1, image.width * image.height);
  return Math.min(most, Math.max(2, Math.floor(MOST_PIXELS / pixels)));
}

/**
 * Load one picture.
 * @param {string} url
 * @param {"high"|"low"} priority of the request
 * @returns {{image: HTMLImageElement, loaded: Promise<void>, cancel: () => void}} the promise rejects where it is no
 *   picture, and when it is cancelled
 */
function load(url, priority) {
  const image = new Image();
  image.decoding = "sync";
  image.draggable = false;
  image.fetchPriority = priority;
  let cancel;
  const loaded = new Promise((resolve, reject) => {
    image.addEventListener("load", () => resolve(), { once: true });
    image.addEventListener("error", () => reject(noPicture()), { once: true });
    cancel = () => {
      image.removeAttribute("src");
      reject(new DroppedError(url));
    };
  });
  image.src = url;
  return { image, loaded, cancel };
}

async function decode(image) {
  await image.decode();
  if (!(image.naturalWidth > 0)) throw noPicture();
  return image;
}

function noPicture() {
  return new DOMException("It is no picture.", "EncodingError");
}

/** Pictures kept. Each element belongs to one place on the page, so two panes need two preloaders. */
export class Preloader {
  #entries = new Map();
  #wanted = [];
  #limit;
  #parallel;

  /** @param {{limit?: number, parallel?: number}} [bounds] `limit`: most pictures kept; `parallel`: most loaded ahead at once */
  constructor({ limit = 12, parallel = 3 } = {}) {
    this.#limit = limit;
    this.#parallel = parallel;
  }

  /**
   * Load a picture, or wait for the one that is on its way.
   * @param {string} url
   * @returns {Promise<HTMLImageElement>} decoded; one that failed is tried again
   */
  get(url) {
    const entry = this.#entries.get(url);
    return this.#decoded(entry === undefined || entry.state === "failed" ? this.#start(url, "high") : entry);
  }

  /** @param {string} url @returns {HTMLImageElement|null} the picture, if it is decoded */
  peek(url) {
    const entry = this.#entries.get(url);
    return entry?.state === "ready" ? entry.image : null;
  }

  /**
   * Keep these and load what is missing, the first before all others; drop every other.
   * @param {string[]} urls
   */
  plan(urls) {
    this.#wanted = [...new Set(urls)].slice(0, this.#limit);
    const kept = new Set(this.#wanted);
    for (const url of [...this.#entries.keys()]) if (!kept.has(url)) this.drop(url);
    const [first] = this.#wanted;
    if (first !== undefined && !this.#entries.has(first)) this.#start(first, "high");
    this.#pump();
  }

  /**
   * Forget a picture; its request is cancelled.
   * @param {string} url
   */
  drop(url) {
    const entry = this.#entries.get(url);
    if (entry === undefined) return;
    this.#entries.delete(url);
    if (entry.image.isConnected) return; // on the page: it leaves with its successor
    entry.state = "dropped";
    entry.cancel();
  }

  #start(url, priority) {
    const { image, loaded, cancel } = load(url, priority);
    const entry = { image, cancel, state: "loading", loaded: null, decoded: null };
    entry.loaded = loaded.then(
      () => this.#settle(entry, "loaded"),
      (error) => {
        this.#settle(entry, "failed");
        throw error;
      },
    );
    const pump = () => this.#pump();
    entry.loaded.then(pump, pump);
    this.#entries.set(url, entry);
    return entry;
  }

  /** Decode a picture, once it is loaded. */
  #decoded(entry) {
    entry.decoded ??= entry.loaded
      .then(() => decode(entry.image))
      .then(
        (image) => {
          this.#settle(entry, "ready");
          return image;
        },
        (error) => {
          this.#settle(entry, "failed");
          throw error;
        },
      );
    return entry.decoded;
  }

  #settle(entry, state) {
    if (entry.state === "dropped") throw new DroppedError(entry.image.src);
    entry.state = state;
  }

  #pump() {
    for (const url of this.#wanted.slice(0, DECODED)) {
      const entry = this.#entries.get(url);
      if (entry?.state === "loaded" && entry.decoded === null) this.#decoded(entry).catch(() => {}); // said by `get`
    }
    if (this.#entries.get(this.#wanted[0])?.state === "loading") return; // nothing competes with what is waited for
    let loading = 0;
    for (const entry of this.#entries.values()) if (entry.state === "loading") loading += 1;
    for (const url of this.#wanted) {
      if (loading >= this.#parallel) return;
      if (this.#entries.has(url)) continue;
      this.#start(url, "low");
      loading += 1;
    }
  }
}
