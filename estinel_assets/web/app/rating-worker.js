/**
 * Reads an export away from the page: a file, or what stands at an address. Answers with all problems,
 * or with the ratings in batches, so that the page never has much to do at once.
 */
import { LIMITS, parseExport } from "./rating-merge.js";

const BATCH = 500;
const TIMEOUT_MS = 30_000;

self.onmessage = async ({ data: { file, url, now } }) => {
  try {
    const text = file ? await textOfFile(file) : await textAt(url);
    answer(parseExport(text, now));
  } catch (error) {
    if (error instanceof Refusal) {
      self.postMessage({ kind: "refused", word: error.word, value: error.value });
    } else {
      reportError(error); // the page hears of it: a rejected promise would stay in here
    }
  }
};

/** Why there is nothing to parse. */
class Refusal extends Error {
  constructor(word, value = "") {
    super(word);
    this.word = word;
    this.value = value;
  }
}

function answer({ problems, moreProblems, rated, userId, timestamp, location }) {
  if (problems.length > 0) {
    self.postMessage({ kind: "problems", problems, moreProblems });
    return;
  }
  for (let start = 0; start < rated.length; start += BATCH) {
    self.postMessage({ kind: "batch", rated: rated.slice(start, start + BATCH) });
  }
  self.postMessage({ kind: "done", userId, timestamp, location, count: rated.length });
}

async function textOfFile(file) {
  if (file.size > LIMITS.bytes) {
    throw new Refusal("large", file.size);
  }
  try {
    return await file.text();
  } catch {
    throw new Refusal("file");
  }
}

async function textAt(url) {
  let response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), credentials: "omit" });
  } catch (error) {
    throw new Refusal(error.name === "TimeoutError" ? "slow" : "network");
  }
  if (!response.ok) {
    throw new Refusal("status", response.status);
  }
  const parts = [];
  let size = 0;
  try {
    const decoder = new TextDecoder();
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) {
        return parts.join("") + decoder.decode();
      }
      size += value.byteLength;
      if (size > LIMITS.bytes) {
        await reader.cancel();
        throw new Refusal("large", size);
      }
      parts.push(decoder.decode(value, { stream: true }));
    }
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal("network");
  }
}
