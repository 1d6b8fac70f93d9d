/**
 * Pictures decoded ahead: a bounded number, the shown one first, those that are no longer wanted dropped.
 */

/** Pixels that one preloader may hold decoded: 16 million are 64 MB. */
const MOST_PIXELS = 16e6;

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
 * Load one picture and decode it.
 * @param {string} url
 * @param {"high"|"low"} priority of the request
 * @returns {{image: HTMLImageElement, promise: Promise<HTMLImageElement>}} the promise rejects where it is no picture
 */
function load(url, priority) {
  const image = new Image();
  image.decoding = "sync";
  image.draggable = false;
  image.fetchPriority = priority;
  image.src = url;
  const promise = image.decode().then(() => {
    if (!(image.naturalWidth > 0)) throw new DOMException("The picture has no size.", "EncodingError");
    return image;
  });
  return { image, promise };
}

/** Pictures kept decoded. Each element belongs to one place on the page, so two panes need two preloaders. */
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
    return (entry === undefined || entry.state === "failed" ? this.#start(url, "high") : entry).promise;
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
    entry.image.removeAttribute("src");
  }

  #start(url, priority) {
    const { image, promise } = load(url, priority);
    const entry = { image, state: "loading", promise: null };
    const settle = (state) => {
      if (entry.state === "dropped") throw new DroppedError(url);
      entry.state = state;
    };
    entry.promise = promise.then(
      (decoded) => {
        settle("ready");
        return decoded;
      },
      (error) => {
        settle("failed");
        throw error;
      },
    );
    const pump = () => this.#pump();
    entry.promise.then(pump, pump);
    this.#entries.set(url, entry);
    return entry;
  }

  #pump() {
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
