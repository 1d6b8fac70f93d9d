/** The browser's storage: whether there is one, what it refuses, and who the reader is in it. */
import { isUserId } from "./rating-merge.js";

const USER = "user_id";

/**
 * The browser's storage.
 * @returns {Storage|null} null where it is forbidden
 */
export function safeLocalStorage() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

/**
 * The reader's id; a new one is stored where there is none.
 * @param {Storage|null} storage
 * @param {() => number} now milliseconds since 1970
 * @param {() => number} random in [0, 1)
 * @returns {{userId: string, problem: "full"|"forbidden"|null}} such as `user_1733270400000_x1y2z3`
 */
export function openUser(storage, now, random) {
  const userId = `user_${now()}_${random().toString(36).slice(2, 11).padEnd(9, "0")}`;
  try {
    const stored = storage?.getItem(USER) ?? null;
    if (isUserId(stored)) {
      return { userId: stored, problem: null };
    }
    storage?.setItem(USER, userId);
    return { userId, problem: null };
  } catch (error) {
    return { userId, problem: problemOf(error) };
  }
}

/**
 * What an error of the storage means.
 * @param {unknown} error
 * @returns {"full"|"forbidden"}
 * @throws {unknown} the error itself, where it is none of the storage's
 */
export function problemOf(error) {
  if (!(error instanceof DOMException)) {
    throw error;
  }
  return error.name === "QuotaExceededError" || error.name === "NS_ERROR_DOM_QUOTA_REACHED" ? "full" : "forbidden";
}
