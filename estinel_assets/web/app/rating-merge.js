/**
 * Ratings of images as values: reading an export, and merging two sets of ratings. Pure.
 *
 * An export is a document of this browser, or of the page that it replaces:
 * `{"user_id", "timestamp", "location", "ratings": [{"image_id", "rating", "timestamp"}]}`.
 * Ours may say more: a rating of somebody else carries that person's `user_id`, and `cleared` lists
 * the images whose rating was taken back. Whoever does not know these can leave them aside.
 *
 * @typedef {"good"|"ok"|"bad"} Rating
 * @typedef {object} Entry
 * @property {Rating|null} rating null where a rating was taken back
 * @property {string} timestamp when, ISO 8601 in UTC with milliseconds, so that texts compare as times
 * @property {string} [user] whose rating it is, where it is somebody else's
 * @typedef {{imageId: string, entry: Entry}} Rated
 * @typedef {{at: string, word: string, value: string}} Problem
 * @typedef {{imageId: string, ours: Entry, theirs: Entry, kept: "ours"|"theirs"}} Conflict
 */

/** The ratings, from the best to the worst. */
export const RATINGS = Object.freeze(["good", "ok", "bad"]);

/** The time of a rating that does not say when it was given. */
export const NO_TIME = "1970-01-01T00:00:00.000Z";

/** What an export may hold at most. */
export const LIMITS = Object.freeze({
  bytes: 64 * 1024 * 1024, ratings: 1_000_000, imageId: 1024, userId: 120, problems: 200,
});

const DAY_MS = 86_400_000;
const SHOWN = 60;
const INSTANT = /^(\d{4})-(\d\d)-(\d\d)T(?:[01]\d|2[0-3]):\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;
// Control characters, line ends, marks that reorder or hide text, and halves of a character; joiners
// are part of how some scripts, and emoji, are written.
const HIDDEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/**
 * A time as ratings carry it.
 * @param {unknown} value
 * @returns {string|null} ISO 8601 in UTC with milliseconds; null where the value is no time
 */
export function instant(value) {
  const parts = typeof value === "string" ? INSTANT.exec(value) : null;
  if (parts === null) {
    return null;
  }
  const [year, month, day] = parts.slice(1, 4).map(Number);
  // Date takes 30 February for 1 March.
  if (new Date(Date.UTC(year, month - 1, day)).getUTCDate() !== day) {
    return null;
  }
  const time = Date.parse(value);
  return Number.isFinite(time) && time >= 0 ? new Date(time).toISOString() : null;
}

/**
 * Which of two ratings of one image stands: the newer, of equally old ones the worse.
 * @param {Entry} one
 * @param {Entry} other
 * @returns {number} above zero where the first stands, below where the second does, 0 if they are equal
 */
export function compareEntries(one, other) {
  if (one.timestamp !== other.timestamp) {
    return one.timestamp > other.timestamp ? 1 : -1;
  }
  const rank = RATINGS.indexOf(one.rating) - RATINGS.indexOf(other.rating);
  if (rank !== 0) {
    return rank;
  }
  const [user, otherUser] = [one.user ?? "", other.user ?? ""];
  return user === otherUser ? 0 : user > otherUser ? 1 : -1;
}

/**
 * Read an export. Nothing of one with problems should be taken.
 * @param {string} text JSON
 * @param {number} now milliseconds since 1970
 * @returns {{userId: string, timestamp: string|null, location: string, rated: Rated[],
 *   problems: Problem[], moreProblems: number}} every problem with its place; `moreProblems` are not listed
 */
export function parseExport(text, now) {
  const found = new Problems();
  const result = { userId: "", timestamp: null, location: "", rated: [], problems: found.listed, moreProblems: 0 };
  let document;
  try {
    document = JSON.parse(text);
  } catch (error) {
    found.add("", "json", error.message, { plain: true });
    return result;
  }
  if (!isObject(document)) {
    found.add("", "shape", document);
    return result;
  }
  const userId = field(document, "user_id");
  if (!isUserId(userId)) {
    found.add("user_id", "user", userId);
  } else {
    result.userId = userId;
  }
  result.timestamp = instant(field(document, "timestamp"));
  const location = field(document, "location");
  result.location = typeof location === "string" ? location : "";
  readList(document, "ratings", { required: true, userId: result.userId, now }, result.rated, found);
  readList(document, "cleared", { required: false, userId: result.userId, now }, result.rated, found);
  result.moreProblems = found.more;
  return result;
}

/**
 * Merge what was imported into what is kept; newer ratings win. A rating of another person that says
 * something else than ours is a conflict, whichever of both is newer. Nothing is changed here.
 * @param {(imageId: string) => Entry|null} kept gives the entry that stands
 * @param {Iterable<Rated>} rated what was imported, its entries with `user`
 * @param {string} own our user id
 * @returns {{changes: Map<string, Entry>, conflicts: Conflict[], counts: {added: number, updated: number,
 *   older: number, same: number}}}
 */
export function mergeImported(kept, rated, own) {
  const changes = new Map();
  const conflicts = [];
  const counts = { added: 0, updated: 0, older: 0, same: 0 };
  for (const { imageId, entry } of rated) {
    const ours = changes.get(imageId) ?? kept(imageId);
    const theirs = entry.user === own ? { rating: entry.rating, timestamp: entry.timestamp } : entry;
    const verdict = judge(ours, theirs);
    counts[verdict.count] += 1;
    if (verdict.take) {
      changes.set(imageId, theirs);
    }
    if (verdict.conflict) {
      conflicts.push({ imageId, ours, theirs, kept: verdict.take ? "theirs" : "ours" });
    }
  }
  return { changes, conflicts, counts };
}

/**
 * Whether a value can name a user.
 * @param {unknown} value
 * @returns {boolean}
 */
export function isUserId(value) {
  return typeof value === "string" && value.trim() !== "" && value.length <= LIMITS.userId && !HIDDEN.test(value);
}

function judge(ours, theirs) {
  const samePerson = ours !== null && (ours.user ?? null) === (theirs.user ?? null);
  if (theirs.rating === null && !samePerson && (ours !== null || theirs.user !== undefined)) {
    return { count: "same", take: false, conflict: false }; // what others take back does not touch ours
  }
  if (ours === null) {
    return { count: "added", take: true, conflict: false };
  }
  const newer = compareEntries(theirs, ours) > 0;
  if (samePerson) {
    const differ = ours.rating !== theirs.rating;
    const undecided = differ && ours.timestamp === theirs.timestamp && ours.rating !== null && theirs.rating !== null;
    const count = newer ? "updated" : differ || ours.timestamp !== theirs.timestamp ? "older" : "same";
    return { count, take: newer, conflict: undecided };
  }
  if (ours.rating === theirs.rating) {
    return { count: "same", take: false, conflict: false };
  }
  const take = theirs.timestamp > ours.timestamp;
  return { count: take ? "updated" : "older", take, conflict: ours.rating !== null };
}

function readList(document, name, how, rated, found) {
  const list = field(document, name);
  if (list === undefined && !how.required) {
    return;
  }
  if (!Array.isArray(list)) {
    found.add(name, "list", list);
    return;
  }
  if (list.length > LIMITS.ratings) {
    found.add(name, "many", list.length);
    return;
  }
  const latest = new Date(how.now + DAY_MS).toISOString();
  list.forEach((item, number) => {
    const read = readItem(item, `${name}[${number}]`, { ...how, cleared: name === "cleared", latest }, found);
    if (read !== null) {
      rated.push(read);
    }
  });
}

function readItem(item, at, how, found) {
  if (!isObject(item)) {
    found.add(at, "item", item);
    return null;
  }
  const imageId = field(item, "image_id");
  const rating = how.cleared ? null : field(item, "rating");
  const timestamp = instant(field(item, "timestamp"));
  const given = field(item, "user_id");
  const user = given === undefined ? how.userId : given;
  const before = found.count;
  if (typeof imageId !== "string" || imageId === "" || imageId.length > LIMITS.imageId || HIDDEN.test(imageId)) {
    found.add(`${at}.image_id`, "image", imageId);
  }
  if (rating !== null && !RATINGS.includes(rating)) {
    found.add(`${at}.rating`, "rating", rating);
  }
  if (timestamp === null) {
    found.add(`${at}.timestamp`, "time", field(item, "timestamp"));
  } else if (timestamp > how.latest) {
    found.add(`${at}.timestamp`, "future", timestamp);
  }
  if (given !== undefined && !isUserId(given)) {
    found.add(`${at}.user_id`, "user", given);
  }
  return found.count > before ? null : { imageId, entry: { rating, timestamp, user } };
}

class Problems {
  listed = [];
  count = 0;

  get more() {
    return this.count - this.listed.length;
  }

  add(at, word, value, { plain = false } = {}) {
    this.count += 1;
    if (this.listed.length < LIMITS.problems) {
      this.listed.push({ at, word, value: plain ? value : shown(value) });
    }
  }
}

function field(object, name) {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value) {
  const text = value === undefined ? "—" : JSON.stringify(value);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}
