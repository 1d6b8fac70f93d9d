/**
 * Reads a single-file catalogue outside of the page: fetches it, cuts it into sites, keeps each one packed, and hands
 * one over when asked.
 *
 * In:  {open: address} once; then {site: position, call: number} for one site.
 * Out: {progress: {done, all}} in bytes, `all` 0 where unknown; {summaries: [...], root, state, count} at the end;
 *      {index: document} where the address turns out to hold an index; {problem: {key, values}};
 *      {call, location} for a site.
 */
import { CatalogScan } from "./catalog-scan.js";
import { summaryOf } from "./entries.js";
import { fetchBytes, isWebPage, problemFrom, problemOf } from "./fetching.js";

const PROGRESS_BYTES = 1 << 20;
const GZIP = [0x1f, 0x8b];

/** Each site's JSON: gzip bytes once packed, plain before. @type {{bytes: Uint8Array, packed: boolean}[]} */
const kept = [];

self.addEventListener("message", (event) => {
  const { open, site, call } = event.data;
  const work = open === undefined ? handOver(site, call) : read(open);
  work.catch((error) => self.postMessage({ call, problem: problemOf(error, open ?? "") }));
});

async function read(address) {
  const { stream, length } = await fetchBytes(address);
  const summaries = [];
  let broken = 0;
  const scan = new CatalogScan((bytes) => {
    let location;
    try {
      location = JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      broken += 1;
      return;
    }
    summaries.push(summaryOf(location));
    kept.push({ bytes, packed: false });
  });
  try {
    await feed(scan, stream, length);
  } catch (error) {
    throw problemFrom(error, address, "cut");
  }
  const { isWhole, hadLocations, isListWhole, rest } = scan.finish();
  if (isWebPage(rest)) throw Object.assign(new Error("a web page"), { key: "notJson" });
  const document = isWhole ? JSON.parse(rest) : readCut(rest);
  if (!hadLocations || (!isWhole && summaries.length === 0)) {
    throw Object.assign(new Error("no catalogue"), { key: isWhole ? "shape" : "half" });
  }
  if (isWhole && !isListWhole) broken += 1;
  if (broken > 0 && summaries.length === 0) throw new SyntaxError("`locations` is no list of sites");
  if (isWhole && isIndex(document, summaries)) {
    self.postMessage({ index: { ...document, locations: await everyLocation() } });
    return;
  }
  self.postMessage({ summaries, root: document.root ?? null, isWhole, broken });
  await pack();
}

async function feed(scan, stream, length) {
  const reader = stream.getReader();
  let done = 0;
  let said = 0;
  let first = await nextChunk(reader);
  if (first !== null && first[0] === GZIP[0] && first[1] === GZIP[1]) {
    reader.releaseLock();
    await feedPacked(scan, first, stream);
    return;
  }
  while (first !== null) {
    scan.push(first);
    done += first.length;
    if (done - said > PROGRESS_BYTES) {
      said = done;
      self.postMessage({ progress: { done, all: length } });
    }
    first = await nextChunk(reader);
  }
}

async function feedPacked(scan, first, stream) {
  const joined = new ReadableStream({
    async start(controller) {
      controller.enqueue(first);
      for await (const chunk of stream) controller.enqueue(chunk);
      controller.close();
    },
  });
  const reader = joined.pipeThrough(new DecompressionStream("gzip")).getReader();
  for (let chunk = await nextChunk(reader); chunk !== null; chunk = await nextChunk(reader)) scan.push(chunk);
}

async function nextChunk(reader) {
  const { done, value } = await reader.read();
  return done ? null : value;
}

/** What stood before the locations of a document that ends in them. */
function readCut(rest) {
  try {
    return JSON.parse(`${rest}]}`);
  } catch {
    return {};
  }
}

function isIndex(document, summaries) {
  const hasFiles = summaries.some((summary) => typeof summary?.file === "string");
  return document.version !== undefined && (hasFiles || summaries.length === 0);
}

async function everyLocation() {
  return kept.map(({ bytes }) => JSON.parse(new TextDecoder().decode(bytes)));
}

/** Packs one site after the other, so that asking for one is never held up for long. */
async function pack() {
  for (const entry of kept) {
    if (entry.bytes.length < 4096) continue;
    const stream = new Blob([entry.bytes]).stream().pipeThrough(new CompressionStream("gzip"));
    entry.bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    entry.packed = true;
  }
}

async function handOver(position, call) {
  const { bytes, packed } = kept[position];
  const body = packed ? new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")) : bytes;
  self.postMessage({ call, location: await new Response(body).json() });
}
