/** Requests that end: with what was asked for, or with a problem that says what to do. */
import { fill, texts } from "./texts.js";

/** Without a byte for this long, an address counts as silent, in milliseconds. */
const SILENCE_MS = 30_000;

/** What a reader can do something about; `message` is what the page says. */
export class CatalogProblem extends Error {
  /**
   * @param {string} key - of `texts.core.problem`
   * @param {Object<string, string|number>} values - for its braces
   */
  constructor(key, values) {
    super(fill(texts.core.problem[key], values));
    this.name = "CatalogProblem";
    this.key = key;
    this.values = values;
  }
}

/**
 * Fetch an address and give its bytes as they come.
 * @param {string} address
 * @returns {Promise<{stream: ReadableStream<Uint8Array>, length: number, type: string}>} `length` in bytes, 0 where
 *   unknown
 * @throws {CatalogProblem}
 */
export async function fetchBytes(address) {
  if (!/^https?:/i.test(address)) throw new CatalogProblem("scheme", { address: shortAddress(address) });
  const silence = watchSilence();
  let response;
  try {
    response = await fetch(address, { signal: silence.signal, cache: "no-cache" });
  } catch (error) {
    silence.end();
    throw problemFrom(error, address);
  }
  if (!response.ok) {
    silence.end();
    throw new CatalogProblem(keyOfStatus(response.status), { address: shortAddress(address), status: response.status });
  }
  const type = response.headers.get("content-type") ?? "";
  const encoded = response.headers.has("content-encoding");
  const length = encoded ? 0 : Number(response.headers.get("content-length")) || 0;
  return { stream: response.body.pipeThrough(silence.watcher), length, type };
}

/**
 * Fetch and read a JSON document.
 * @param {string} address
 * @returns {Promise<unknown>}
 * @throws {CatalogProblem}
 */
export async function fetchJson(address) {
  const { stream, type } = await fetchBytes(address);
  let text;
  try {
    text = await new Response(stream).text();
  } catch (error) {
    throw problemFrom(error, address, "cut");
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw brokenText(text, type, error, address);
  }
}

/**
 * What is wrong with a text that is not JSON.
 * @param {string} text
 * @param {string} type - its content type
 * @param {Error} error - what the JSON reader said
 * @param {string} address
 * @returns {CatalogProblem}
 */
function brokenText(text, type, error, address) {
  const values = { address: shortAddress(address), detail: error.message.slice(0, 120) };
  const start = text.trimStart();
  if (isWebPage(start) || (type.includes("text/html") && start.startsWith("<"))) return new CatalogProblem("notJson", values);
  const isHalf = /^[[{]/.test(start) && /unterminated|unexpected end|end of (data|json)|after (property|array)/i.test(error.message);
  return new CatalogProblem(isHalf || start === "" ? "half" : "broken", values);
}

/**
 * Whether a text begins as a web page does: many hosts answer so for what they do not have.
 * @param {string} text
 * @returns {boolean}
 */
export function isWebPage(text) {
  return /^\s*<(!doctype html|html|head|body)/i.test(text);
}

/**
 * Any failure as a problem for the reader.
 * @param {unknown} error
 * @param {string} address
 * @param {string} [broken] - the key of a request that failed: "network", or "cut" once it had begun to answer
 * @returns {CatalogProblem}
 */
export function problemFrom(error, address, broken = "network") {
  if (error instanceof CatalogProblem) return error;
  const values = { address: shortAddress(address), seconds: SILENCE_MS / 1000, detail: String(error?.message ?? error) };
  if (typeof error?.key === "string") return new CatalogProblem(error.key, { ...values, ...error.values });
  if (error?.name === "TimeoutError") return new CatalogProblem("timeout", values);
  if (error instanceof SyntaxError) return new CatalogProblem("broken", values);
  if (error instanceof TypeError) return new CatalogProblem(navigator.onLine === false ? "offline" : broken, values);
  return new CatalogProblem("broken", values);
}

/**
 * A problem as it crosses from a worker to the page.
 * @param {unknown} error
 * @param {string} address
 * @returns {{key: string, values: object}}
 */
export function problemOf(error, address) {
  const { key, values } = problemFrom(error, address);
  return { key, values };
}

/**
 * An address without its query, which may hold a signature.
 * @param {string} address
 * @returns {string}
 */
export function shortAddress(address) {
  return address.split(/[?#]/, 1)[0];
}

function keyOfStatus(status) {
  if (status === 404 || status === 410) return "missing";
  if (status === 401 || status === 403) return "refused";
  return status >= 500 || status === 429 || status === 408 ? "server" : "missing";
}

function watchSilence() {
  const controller = new AbortController();
  let timer;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => controller.abort(new DOMException("silent", "TimeoutError")), SILENCE_MS);
  };
  const end = () => clearTimeout(timer);
  wait();
  const watcher = new TransformStream({
    transform(chunk, stream) {
      wait();
      stream.enqueue(chunk);
    },
    flush: end,
  });
  return { signal: controller.signal, watcher, end };
}
