/** Ratings from elsewhere into the store, and from the store into a file. */
import { mergeImported } from "./rating-merge.js";
import { runInSlices } from "./slices.js";

const BATCH = 500;

/**
 * @typedef {object} Imported
 * @property {"problems"|"refused"|"done"} kind
 * @property {import("./rating-merge.js").Problem[]} [problems] all that is wrong: nothing was taken
 * @property {number} [moreProblems] how many of them are not listed
 * @property {string} [word] why nothing could be read
 * @property {string|number} [value] what belongs to that
 * @property {string} [userId] whose export it is
 * @property {{added: number, updated: number, older: number, same: number}} [counts]
 * @property {import("./rating-merge.js").Conflict[]} [conflicts]
 */

/**
 * Import an export. It is read in a worker and merged batch by batch.
 * @param {import("./ratings.js").RatingStore} ratings
 * @param {{file?: Blob, url?: string}} from one of both; the address is one that `safeUrl` passed
 * @param {number} now milliseconds since 1970
 * @returns {Promise<Imported>}
 */
export async function importRatings(ratings, from, now) {
  await ratings.ready;
  const worker = new Worker(new URL("./rating-worker.js", import.meta.url), { type: "module" });
  const conflicts = [];
  const counts = { added: 0, updated: 0, older: 0, same: 0 };
  try {
    return await new Promise((resolve) => {
      worker.onerror = (event) => resolve({ kind: "refused", word: "worker", value: event.message || "rating-worker.js" });
      worker.onmessage = ({ data }) => {
        if (data.kind !== "batch") {
          resolve({ ...data, counts, conflicts });
          return;
        }
        const merged = mergeImported((id) => ratings.entry(id), data.rated, ratings.userId);
        ratings.putAll(merged.changes, { quiet: true });
        for (const conflict of merged.conflicts) {
          conflicts.push(conflict);
        }
        for (const name of Object.keys(counts)) {
          counts[name] += merged.counts[name];
        }
      };
      worker.postMessage({ ...from, now });
    });
  } finally {
    worker.terminate();
    if (counts.added + counts.updated > 0) {
      ratings.told(null);
    }
  }
}

/**
 * Write an export of all ratings, as the page that this one replaces reads it.
 * @param {import("./ratings.js").RatingStore} ratings
 * @param {string} location name of the site that is shown
 * @param {number} now milliseconds since 1970
 * @returns {Promise<{name: string, file: Blob, count: number}>} file name, file, and how many ratings it has
 */
export async function exportRatings(ratings, location, now) {
  await ratings.ready;
  const parts = { ratings: [], cleared: [] };
  const count = await runInSlices(writeEntries(ratings, parts));
  const head = { user_id: ratings.userId, timestamp: new Date(now).toISOString(), location };
  const pieces = [`{\n${fieldsOf(head)},\n  "ratings": [`, ...listed(parts.ratings)];
  if (parts.cleared.length > 0) {
    pieces.push('],\n  "cleared": [', ...listed(parts.cleared));
  }
  pieces.push("]\n}\n");
  const name = `image-ratings-${ratings.userId.replace(/[^\w-]/g, "_")}-${now}.json`;
  return { name, file: new Blob(pieces, { type: "application/json" }), count };
}

function* writeEntries(ratings, parts) {
  let count = 0;
  let batch = { ratings: [], cleared: [] };
  const close = () => {
    for (const [name, lines] of Object.entries(batch)) {
      if (lines.length > 0) {
        parts[name].push(new Blob([lines.join(",\n")])); // encoded here, not all at the end
      }
    }
    batch = { ratings: [], cleared: [] };
  };
  for (const [imageId, { rating, timestamp, user }] of ratings.entries()) {
    const whose = user === undefined ? {} : { user_id: user };
    if (rating === null) {
      batch.cleared.push(`    ${JSON.stringify({ image_id: imageId, timestamp, ...whose })}`);
    } else {
      batch.ratings.push(`    ${JSON.stringify({ image_id: imageId, rating, timestamp, ...whose })}`);
      count += 1;
    }
    if (batch.ratings.length + batch.cleared.length >= BATCH) {
      close();
      yield;
    }
  }
  close();
  return count;
}

function fieldsOf(head) {
  return Object.entries(head).map(([name, value]) => `  "${name}": ${JSON.stringify(value)}`).join(",\n");
}

function listed(batches) {
  if (batches.length === 0) {
    return [];
  }
  return ["\n", ...batches.flatMap((batch, number) => (number === 0 ? [batch] : [",\n", batch])), "\n  "];
}

/**
 * Let the browser save a file.
 * @param {string} name
 * @param {Blob} file
 */
export function saveFile(name, file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
