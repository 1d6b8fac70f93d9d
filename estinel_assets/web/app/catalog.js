/** Opens a catalogue, whichever of its forms an address holds, and loads one site at a time. */
import {
  addressReader,
  isRecord,
  LeftOut,
  readDays,
  readImages,
  readReasons,
  readSummary,
} from "./entries.js";
import { CatalogProblem, fetchJson, problemFrom, shortAddress } from "./fetching.js";
import { fill, number, texts } from "./texts.js";

export { CatalogProblem };

const INDEX = "index.json";
const SINGLE = "image-catalog.json";
const VERSION = 1;
const SITES_KEPT = 6;
/** Problems of an index for which the single file is tried. */
const NO_INDEX = new Set(["missing", "refused", "notJson"]);

/**
 * Open a catalogue.
 * @param {string|null} address - of an index or a single-file catalogue; null for the one beside the page
 * @param {{onProgress?: function({done: number, all: number}): void, onNotice?: function(string): void}} [options] -
 *   `onProgress` hears bytes (`all` 0 where unknown), `onNotice` what was left out
 * @returns {Promise<object>} Catalog: {url, kind, sites, reasons, load(siteId), ratings(siteId)}
 * @throws {CatalogProblem}
 */
export async function openCatalog(address, { onProgress = () => {}, onNotice = () => {} } = {}) {
  const options = { onProgress, onNotice };
  if (address !== null) {
    const url = URL.canParse(address, document.baseURI) ? new URL(address, document.baseURI).href : address;
    return shortAddress(url).endsWith(`/${INDEX}`) ? openIndex(url, options) : openSingle(url, options);
  }
  const url = new URL(INDEX, document.baseURI).href;
  try {
    return await openIndex(url, options);
  } catch (error) {
    if (!NO_INDEX.has(error.key)) throw error;
    return openBeside(url, error, options);
  }
}

async function openBeside(indexUrl, indexProblem, options) {
  const url = new URL(SINGLE, indexUrl).href;
  try {
    return await openSingle(url, options);
  } catch (error) {
    if (!NO_INDEX.has(error.key)) throw error;
    if (error.key === "refused") throw indexProblem;
    throw new CatalogProblem("missingBoth", {
      address: shortAddress(indexUrl),
      other: shortAddress(url),
      status: error.values.status ?? indexProblem.values.status ?? 200,
    });
  }
}

async function openIndex(url, options) {
  const document = await fetchJson(url);
  const isSingle =
    isRecord(document) &&
    Array.isArray(document.locations) &&
    document.version === undefined &&
    document.locations.some((location) => Array.isArray(location?.images));
  return isSingle ? openSingle(url, options) : fromIndex(url, document, options);
}

function fromIndex(url, document, { onNotice }) {
  const values = { address: shortAddress(url) };
  if (!isRecord(document) || !Array.isArray(document.locations)) throw new CatalogProblem("shape", values);
  if (document.version !== undefined && document.version !== VERSION) {
    throw new CatalogProblem("version", { ...values, version: String(document.version).slice(0, 20) });
  }
  const address = addressReader(document.root, url);
  const files = new Map();
  const rated = new Map();
  const leftOut = new LeftOut();
  const sites = readSites(document.locations, address, leftOut, (site, raw) => {
    const name = `${encodeURIComponent(site.id)}.json`;
    const file = typeof raw.file === "string" ? raw.file : `fragments/${name}`;
    files.set(site.id, new URL(file, url).href);
    // An index that does not tell is of an earlier release: whoever asks finds out.
    const ratings = raw.ratings === undefined ? `ratings/${name}` : raw.ratings;
    if (typeof ratings === "string") rated.set(site.id, new URL(ratings, url).href);
  });
  sayLeftOut(leftOut, values.address, onNotice);
  const load = async (site) => {
    const fragment = await fetchJson(files.get(site.id));
    if (!isRecord(fragment) || !isRecord(fragment.location)) {
      throw new CatalogProblem("siteShape", { address: shortAddress(files.get(site.id)) });
    }
    return {
      location: fragment.location,
      days: fragment.days,
      address: addressReader(fragment.address ?? document.root, url),
    };
  };
  return makeCatalog({ url, kind: "index", sites, reasons: readReasons(document.reasons), load, rated, onNotice });
}

async function openSingle(url, options) {
  const worker = new Worker(new URL("./catalog-worker.js", import.meta.url), { type: "module" });
  try {
    const answer = await answerOf(worker, { open: url }, options.onProgress);
    if (answer.index !== undefined) {
      worker.terminate();
      return fromIndex(url, answer.index, options);
    }
    return fromWorker(url, worker, answer, options.onNotice);
  } catch (error) {
    worker.terminate();
    throw problemFrom(error, url);
  }
}

function answerOf(worker, question, onProgress) {
  return new Promise((resolve, reject) => {
    const onMessage = ({ data }) => {
      if (data.progress) onProgress(data.progress);
      else end(() => (data.problem ? reject(new CatalogProblem(data.problem.key, data.problem.values)) : resolve(data)));
    };
    const onError = (event) =>
      end(() => reject(new CatalogProblem("code", { detail: event.message || "catalog-worker.js" })));
    const end = (settle) => {
      worker.removeEventListener("message", onMessage);
      worker.removeEventListener("error", onError);
      settle();
    };
    worker.addEventListener("message", onMessage);
    worker.addEventListener("error", onError);
    worker.postMessage(question);
  });
}

function fromWorker(url, worker, { summaries, root, isWhole, broken }, onNotice) {
  const address = addressReader(root, url);
  const positions = new Map();
  const leftOut = new LeftOut();
  const sites = readSites(summaries, address, leftOut, (site, raw, position) => positions.set(site.id, position));
  const values = { address: shortAddress(url) };
  if (!isWhole) onNotice(fill(texts.core.problem.halfSites, { ...values, count: sites.length }));
  if (broken > 0) onNotice(fill(texts.core.problem.brokenSites, { ...values, count: broken }));
  sayLeftOut(leftOut, values.address, onNotice);

  const calls = new Map();
  let lastCall = 0;
  worker.addEventListener("message", ({ data }) => {
    const call = calls.get(data.call);
    if (call === undefined) return;
    calls.delete(data.call);
    if (data.problem) call.reject(new CatalogProblem(data.problem.key, data.problem.values));
    else call.resolve(data.location);
  });
  const load = async (site) => {
    const location = await new Promise((resolve, reject) => {
      lastCall += 1;
      calls.set(lastCall, { resolve, reject });
      worker.postMessage({ site: positions.get(site.id), call: lastCall });
    });
    return { location, days: location.days, address };
  };
  return makeCatalog({ url, kind: "single", sites, reasons: {}, load, rated: new Map(), onNotice });
}

function readSites(locations, address, leftOut, onSite) {
  const sites = new Map();
  locations.forEach((raw, position) => {
    const site = readSummary(raw, address, leftOut);
    if (site === null) return;
    if (sites.has(site.id)) {
      leftOut.sites += 1;
      return;
    }
    sites.set(site.id, site);
    onSite(site, raw, position);
  });
  const names = new Map();
  for (const { name } of sites.values()) names.set(name, (names.get(name) ?? 0) + 1);
  // Where two sites share a name, an address names them by their id.
  return [...sites.values()].map((site) => ({ ...site, nameIsUnique: names.get(site.name) === 1 }));
}

function makeCatalog({ url, kind, sites, reasons, load, rated, onNotice }) {
  const byId = new Map(sites.map((site) => [site.id, site]));
  /** Promises of sites, the last used last. @type {Map<string, Promise<object>>} */
  const kept = new Map();
  const said = new Set();

  async function read(siteId) {
    const leftOut = new LeftOut();
    const site = await readSite(byId.get(siteId), await load(byId.get(siteId)), leftOut);
    if (!said.has(siteId)) sayLeftOut(leftOut, site.name, onNotice);
    said.add(siteId);
    return site;
  }

  function loadSite(siteId) {
    if (!byId.has(siteId)) return Promise.reject(new RangeError(`no site ${siteId}`));
    const promise = kept.get(siteId) ?? read(siteId);
    kept.delete(siteId);
    kept.set(siteId, promise);
    promise.catch(() => kept.delete(siteId));
    for (const id of kept.keys()) {
      if (kept.size <= SITES_KEPT) break;
      kept.delete(id);
    }
    return promise;
  }

  async function ratings(siteId) {
    if (!rated.has(siteId)) return {};
    try {
      const document = await fetchJson(rated.get(siteId));
      return isRecord(document?.images) ? document.images : {};
    } catch (error) {
      // Ratings are an extra: without them the page is whole.
      if (error instanceof CatalogProblem) return {};
      throw error;
    }
  }

  return { url, kind, sites, reasons, load: loadSite, ratings };
}

async function readSite(summary, { location, days, address }, leftOut) {
  const own = readSummary({ ...location, id: summary.id }, address, leftOut);
  const images = await readImages(location.images, summary.id, address, leftOut, pause);
  return {
    ...summary,
    grid: summary.grid ?? own.grid,
    nImages: images.length,
    first: images[0]?.date ?? null,
    newest: images.at(-1)?.date ?? null,
    images,
    days: readDays(days, leftOut),
    partial: false,
  };
}

function sayLeftOut(leftOut, name, onNotice) {
  const { problem } = texts.core;
  if (leftOut.sites > 0) onNotice(fill(problem.skippedSites, { count: number(leftOut.sites), address: name }));
  if (leftOut.images.size > 0) {
    const reasons = [...leftOut.images].map(([reason, count]) => `${number(count)} ${problem[reason]}`).join(", ");
    onNotice(fill(problem.skippedImages, { count: number(sum(leftOut.images)), site: name, reasons }));
  }
  if (leftOut.fields.size > 0) {
    const fields = [...leftOut.fields.keys()].join(", ");
    onNotice(fill(problem.skippedFields, { count: number(sum(leftOut.fields)), site: name, fields }));
  }
}

function sum(counts) {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}

function pause() {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve();
    channel.port2.postMessage(null);
  });
}
