/**
 * Cuts a single-file catalogue into its locations while it arrives, so that its tens of megabytes are never held or
 * parsed as one. Pure: bytes in, bytes out.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const COMMA = 0x2c;
const LAST_SPACE = 0x20;
const BYTE_ORDER_MARK = 0xfeff;
/** Bytes before a list in which its key is looked for. */
const KEY_ROOM = 64;
const LOCATIONS_KEY = /"locations"\s*:\s*$/;

/** Feeds on chunks; hands over each location's JSON as soon as it is whole. */
export class CatalogScan {
  /**
   * @param {function(Uint8Array): void} onLocation - gets the bytes of one element of `locations`
   */
  constructor(onLocation) {
    this.onLocation = onLocation;
    this.depth = 0;
    this.inString = false;
    /** The byte before the chunk's first ended an odd run of backslashes. */
    this.escaped = false;
    /** Depth of the elements of `locations`; 0 while outside of it. */
    this.inside = 0;
    this.isElement = false;
    this.element = [];
    this.rest = [];
    this.started = false;
    this.hadLocations = false;
    this.elements = 0;
    this.commas = 0;
  }

  /** @param {Uint8Array} chunk */
  push(chunk) {
    let from = 0;
    let at = 0;
    while (at < chunk.length) {
      if (this.inString) {
        at = this.#endOfString(chunk, at);
        continue;
      }
      const byte = chunk[at];
      if (byte <= LAST_SPACE) {
        at += 1;
      } else if (byte === QUOTE) {
        from = this.#begin(chunk, from, at);
        this.inString = true;
        this.escaped = false;
        at += 1;
      } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        from = this.#begin(chunk, from, at);
        this.depth += 1;
        at += 1;
        if (byte === OPEN_ARRAY && this.depth === 2 && this.inside === 0) from = this.#enter(chunk, from, at);
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (this.inside > 0 && this.depth === this.inside) {
          from = this.#endOfElement(chunk, from, at);
          this.inside = 0;
        }
        this.depth -= 1;
        at += 1;
      } else if (byte === COMMA && this.inside > 0 && this.depth === this.inside) {
        this.#endOfElement(chunk, from, at);
        this.commas += 1;
        at += 1;
        from = at;
      } else {
        from = this.#begin(chunk, from, at);
        at += 1;
      }
    }
    this.#keep(chunk, from, chunk.length);
  }

  /**
   * @returns {{isWhole: boolean, hadLocations: boolean, isListWhole: boolean, rest: string}} `isListWhole` says
   *   whether commas part the elements; `rest` is the document with an empty list of locations
   */
  finish() {
    const isWhole = this.started && this.depth === 0 && !this.inString;
    const isListWhole = this.commas === Math.max(0, this.elements - 1);
    return { isWhole, hadLocations: this.hadLocations, isListWhole, rest: this.#restText() };
  }

  #endOfString(chunk, start) {
    let at = start;
    if (this.escaped) {
      this.escaped = false;
      at += 1;
    }
    for (;;) {
      const quote = chunk.indexOf(QUOTE, at);
      const end = quote < 0 ? chunk.length : quote;
      let slashes = 0;
      while (end - slashes > at && chunk[end - slashes - 1] === BACKSLASH) slashes += 1;
      if (quote < 0) {
        this.escaped = slashes % 2 === 1;
        return chunk.length;
      }
      if (slashes % 2 === 0) {
        this.inString = false;
        return quote + 1;
      }
      at = quote + 1;
    }
  }

  /** A value begins: inside `locations` the bytes before it (spaces) are nobody's. */
  #begin(chunk, from, at) {
    this.started = true;
    if (this.inside === 0 || this.isElement || this.depth !== this.inside) return from;
    this.isElement = true;
    return at;
  }

  #enter(chunk, from, at) {
    this.#keep(chunk, from, at);
    if (!LOCATIONS_KEY.test(this.#tail())) return at;
    this.inside = this.depth;
    this.hadLocations = true;
    return at;
  }

  #endOfElement(chunk, from, at) {
    if (this.isElement) {
      this.element.push(chunk.slice(from, at));
      const element = this.element;
      this.element = [];
      this.isElement = false;
      this.elements += 1;
      this.onLocation(joined(element));
    }
    return at;
  }

  #keep(chunk, from, to) {
    if (to <= from) return;
    if (this.inside === 0) this.rest.push(chunk.slice(from, to));
    else if (this.isElement) this.element.push(chunk.slice(from, to));
  }

  /** The text before the bracket that was read last. */
  #tail() {
    let first = this.rest.length;
    for (let length = 0; first > 0 && length <= KEY_ROOM; length += this.rest[first].length) first -= 1;
    return new TextDecoder().decode(joined(this.rest.slice(first)).subarray(-KEY_ROOM - 1, -1));
  }

  #restText() {
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(joined(this.rest));
    return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
  }
}

function joined(parts) {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
