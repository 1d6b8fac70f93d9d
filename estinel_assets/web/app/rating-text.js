/**
 * The stored form of ratings: one JSON object of `{image id: {rating, timestamp}}`, read and written
 * piece by piece, because the whole of a hundred thousand ratings would block the page. Pure.
 */

const PIECE = 65_536;
const CHUNK = 500;
const TRIES = 20;

/**
 * Read a stored text in pieces.
 * @param {string} text
 * @yields {[string, unknown][]} image ids with what stands there; the generator is to be run to its end
 * @throws {SyntaxError} it is no JSON object
 */
export function* entriesOf(text) {
  const whole = text.trim();
  if (whole === "" || !whole.startsWith("{") || !whole.endsWith("}")) {
    throw new SyntaxError("no JSON object");
  }
  let start = 1;
  let look = start + PIECE;
  let tries = 0;
  const end = whole.length - 1;
  while (start < end) {
    // An entry ends before `},"`. Where that stands inside a text or deeper, the piece is no JSON.
    const cut = look < end && tries < TRIES ? whole.indexOf('},"', look) : -1;
    if (cut < 0) {
      yield parsed(whole.slice(start, end));
      return;
    }
    try {
      yield parsed(whole.slice(start, cut + 1));
    } catch (error) {
      if (!(error instanceof SyntaxError)) {
        throw error;
      }
      look = cut + 1;
      tries += 1;
      continue;
    }
    start = cut + 2;
    look = start + PIECE;
    tries = 0;
  }
}

function parsed(piece) {
  return Object.entries(JSON.parse(`{${piece}}`));
}

/** Texts of many entries, kept in chunks, so that a change costs one chunk and not the whole. */
export class ChunkedText {
  #chunks = [];

  /**
   * Take in an image id.
   * @param {string} id not taken in yet
   * @returns {number} its chunk, to be named in `change`
   */
  add(id) {
    let last = this.#chunks.at(-1);
    if (last === undefined || last.ids.length >= CHUNK) {
      last = { ids: [], text: null };
      this.#chunks.push(last);
    }
    last.ids.push(id);
    last.text = null;
    return this.#chunks.length - 1;
  }

  /**
   * Say that an entry of a chunk changed.
   * @param {number} chunk
   */
  change(chunk) {
    this.#chunks[chunk].text = null;
  }

  /**
   * Write all entries, chunk by chunk.
   * @param {(id: string) => unknown} valueOf what stands at an image id
   * @param {number} longest in characters
   * @returns {Generator<undefined, string|null, void>} yields where the work may be interrupted, returns
   *   the text; null where it would be longer than that
   */
  *write(valueOf, longest) {
    for (;;) {
      const stale = this.#chunks.filter((chunk) => chunk.text === null);
      if (stale.length === 0) {
        const length = this.#chunks.reduce((sum, chunk) => sum + chunk.text.length + 1, 1);
        return length > longest ? null : `{${this.#chunks.map((chunk) => chunk.text).join(",")}}`;
      }
      for (const chunk of stale) {
        chunk.text = chunk.ids.map((id) => `${JSON.stringify(id)}:${JSON.stringify(valueOf(id))}`).join(",");
        yield;
      }
    }
  }
}
