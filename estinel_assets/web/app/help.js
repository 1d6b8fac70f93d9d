/** The dialog of help: every key, and what the marks mean. */
import { KINDS } from "./calendar-model.js";
import { cellMark } from "./calendar-blocks.js";
import { makeDialog } from "./dialogs.js";
import { el, replaceChildren } from "./dom.js";
import { KEYS } from "./keys.js";
import { ageLegend } from "./map.js";
import { texts } from "./texts.js";

/** As thumbnails show them. */
const RATING_MARKS = { good: "✓", ok: "○", bad: "✕", unrated: "" };

let made = null;

/**
 * Make the dialog; it stays closed.
 * @param {HTMLElement} element - where it stands
 */
export function mount(element) {
  const words = texts.panels.help;
  made = makeDialog({ title: words.title, close: words.close, class: "help" });
  element.append(made.dialog);
}

/** Open the dialog. */
export function openHelp() {
  if (!made.body.firstChild) replaceChildren(made.body, keysSection(), marksSection());
  made.open();
}

function keysSection() {
  const words = texts.panels.help;
  const groups = new Map();
  for (const entry of KEYS) {
    if (!groups.has(entry.group)) groups.set(entry.group, []);
    groups.get(entry.group).push(entry);
  }
  return el(
    "section",
    {},
    el("h3", { text: words.keys }),
    el("div", { class: "help-keys" }, ...[...groups].map(([group, entries]) => keyTable(group, entries))),
  );
}

function keyTable(group, entries) {
  const words = texts.panels.help;
  const head = [words.key, words.action].map((text) => el("th", { text, attrs: { scope: "col" } }));
  const rows = entries.map(({ keys, text }) =>
    el("tr", {}, el("th", { attrs: { scope: "row" } }, ...keys.flatMap((key) => strokes(key))), el("td", { text })),
  );
  return el(
    "table",
    { class: "help-table" },
    el("caption", { text: group }),
    el("thead", { class: "visually-hidden" }, el("tr", {}, ...head)),
    el("tbody", {}, ...rows),
  );
}

/** "Shift ←" is two keys. */
function strokes(key) {
  return key.split(" ").map((stroke) => el("kbd", { class: "kbd", text: stroke }));
}

function marksSection() {
  const words = texts.panels.help;
  const calendar = KINDS.map((kind) => el("li", {}, cellMark(kind), texts.panels.calendar.kinds[kind]));
  const ratings = Object.entries(RATING_MARKS).map(([rating, text]) =>
    el("li", {}, el("span", { class: "help-rating", dataset: { rating }, text, attrs: { "aria-hidden": "true" } }), words[rating]),
  );
  const fractions = [words.clear, words.cloud, words.valid].map((text) => el("li", { text }));
  return el(
    "section",
    {},
    el("h3", { text: words.marks }),
    el(
      "div",
      { class: "help-marks" },
      part(words.calendar, el("ul", { class: "calendar-legend list-plain" }, ...calendar)),
      part(words.map, ageLegend()),
      part(words.ratings, el("ul", { class: "help-ratings list-plain" }, ...ratings), el("p", { class: "muted", text: words.ratingsText })),
      part(words.fractions, el("ul", { class: "list-plain help-lines" }, ...fractions)),
      part(words.day, el("p", { text: words.dayText })),
    ),
  );
}

function part(title, ...content) {
  return el("div", { class: "help-part" }, el("h4", { text: title }), ...content);
}
