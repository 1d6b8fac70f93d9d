/** The sites on the map: buttons, one for each site or for several that stand together. */
import { button, el, replaceChildren } from "./dom.js";
import { ageOf, freshest, marksOf, nextMark, placeLabels } from "./map-sites.js";
import { selectSite } from "./state.js";
import { fill, texts } from "./texts.js";

/** Names of a mark of several sites that are read out. */
const MOST_NAMES = 4;
/** Marks farther outside the map than this, in CSS pixels, are hidden. */
const EDGE = 10;

/**
 * Make the marks of a map.
 * @param {object} app
 * @param {{view: object, placed: import("./map-sites.js").Placed[]}} map
 * @param {{layer: HTMLElement, choice: HTMLElement}} places - for the buttons, and for a list of sites at one place
 * @returns {{update: function(boolean): void}} `update` follows the view; true where its scale changed
 */
export function createMapMarks(app, map, { layer, choice }) {
  const own = { app, map, layer, choice, marks: [], buttons: new Map(), tabStop: null };
  layer.addEventListener("keydown", (event) => keyed(own, event));
  return {
    update(scaled) {
      if (scaled) rebuild(own);
      place(own);
    },
  };
}

/**
 * The age of a site's newest image in words.
 * @param {{days: number|null}} age
 * @returns {string}
 */
export function ageText({ days }) {
  const words = texts.panels.map;
  if (days === null) return words.ageNone;
  if (days === 0) return words.ageToday;
  return days === 1 ? words.ageOne : fill(words.age, { days: days.toLocaleString(texts.panels.locale) });
}

function rebuild(own) {
  const { siteId } = own.app.state.get();
  const { placed, view } = own.map;
  own.marks = marksOf(placed, view.scale, siteId);
  const focused = [...own.buttons].find(([, made]) => made === document.activeElement)?.[0] ?? null;
  const former = own.buttons;
  own.buttons = new Map();
  const today = new Date().toISOString().slice(0, 10);
  for (const mark of own.marks) {
    const made = former.get(mark.key) ?? newButton(own, mark.key);
    own.buttons.set(mark.key, made);
    dress(own, made, mark, { today, siteId });
    if (!made.isConnected) own.layer.append(made);
  }
  for (const [key, made] of former) if (!own.buttons.has(key)) made.remove();
  keepFocus(own, focused);
}

/** A mark that went into another hands its focus to it. */
function keepFocus(own, focused) {
  const holds = (mark, id) => mark.members.some((member) => member.site.id === id);
  if (focused !== null && !own.buttons.has(focused)) {
    const heir = own.marks.find((mark) => holds(mark, focused));
    if (heir !== undefined) own.buttons.get(heir.key).focus();
  }
  const stop = own.marks.find((mark) => mark.key === own.tabStop) ?? own.marks[0];
  if (stop !== undefined) makeTabStop(own, stop.key);
}

function newButton(own, key) {
  const made = el("button", { class: "map-site", attrs: { type: "button", tabindex: "-1" }, dataset: { site: key } });
  made.addEventListener("click", () => chooseMark(own, key));
  made.addEventListener("focus", () => reveal(own, key));
  return made;
}

function dress(own, made, mark, { today, siteId }) {
  const words = texts.panels.map;
  const { site } = mark.members[0];
  const ages = mark.members.map((member) => ageOf(member.site.newest, today));
  const several = mark.members.length > 1;
  const current = mark.members.some((member) => member.site.id === siteId);
  const template = current ? words.siteCurrent : words.site;
  const label = several
    ? fill(words.cluster, { count: mark.members.length, names: namesOf(mark) })
    : fill(template, { name: site.name, age: ageText(ages[0]) });
  made.setAttribute("aria-label", label);
  made.title = label;
  if (current) made.setAttribute("aria-current", "true");
  else made.removeAttribute("aria-current");
  replaceChildren(
    made,
    el("span", {
      class: several ? "map-dot map-count" : "map-dot",
      dataset: { age: freshest(ages.map((age) => age.name)) },
      text: several ? mark.members.length : null,
    }),
    !several && el("span", { class: "map-name", text: site.name }),
  );
}

function namesOf(mark) {
  const names = mark.members.slice(0, MOST_NAMES).map((member) => member.site.name).join(", ");
  const more = mark.members.length - MOST_NAMES;
  return more > 0 ? fill(texts.panels.map.clusterMore, { names, more }) : names;
}

function place(own) {
  const { view } = own.map;
  const visible = [];
  for (const mark of own.marks) {
    const x = (mark.x - view.x) * view.scale + view.width / 2;
    const y = (mark.y - view.y) * view.scale + view.height / 2;
    const made = own.buttons.get(mark.key);
    const inside = x > -EDGE && y > -EDGE && x < view.width + EDGE && y < view.height + EDGE;
    made.classList.toggle("map-away", !inside);
    made.style.setProperty("transform", `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`);
    if (inside) visible.push({ mark, x, y });
  }
  placeLabels(visible, view.width, own.app.state.get().siteId);
  for (const { mark, x } of visible) {
    const { classList } = own.buttons.get(mark.key);
    classList.toggle("map-named", mark.label !== null);
    // A name that is shown under the pointer only goes to the side with more room.
    classList.toggle("map-left", mark.label === "left" || (mark.label === null && x > view.width / 2));
  }
}

function chooseMark(own, key) {
  const mark = own.marks.find((one) => one.key === key);
  makeTabStop(own, key);
  if (mark.members.length === 1) {
    replaceChildren(own.choice);
    selectSite(own.app, mark.members[0].site.id);
    return;
  }
  const { view } = own.map;
  const spread = Math.max(...mark.members.map((member) => Math.hypot(member.x - mark.x, member.y - mark.y)));
  // Apart from one another only beyond the greatest zoom: a list instead.
  if (spread * view.most() < 60) {
    listMembers(own, mark);
    return;
  }
  view.fit(mark.members, 60, 0);
  view.moved = true;
}

function listMembers(own, mark) {
  const words = texts.panels.map;
  const today = new Date().toISOString().slice(0, 10);
  const rows = mark.members.map(({ site }) =>
    el(
      "li",
      {},
      button({ label: site.name, text: site.name, on: () => selectSite(own.app, site.id) }),
      el("span", { class: "muted small", text: ageText(ageOf(site.newest, today)) }),
    ),
  );
  replaceChildren(
    own.choice,
    el("h3", { text: fill(words.clusterTitle, { count: mark.members.length }) }),
    el("ul", { class: "list-plain" }, ...rows),
  );
  own.choice.querySelector("button").focus();
}

function keyed(own, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const key = event.target.closest(".map-site")?.dataset.site;
  const from = own.marks.find((mark) => mark.key === key);
  if (from === undefined || !event.key.startsWith("Arrow")) return;
  event.preventDefault();
  event.stopPropagation();
  const next = nextMark(own.marks, from, event.key);
  if (next === null) return;
  makeTabStop(own, next.key);
  reveal(own, next.key);
  own.buttons.get(next.key).focus({ preventScroll: true });
}

/** Move the map where a focused mark lies outside. */
function reveal(own, key) {
  const mark = own.marks.find((one) => one.key === key);
  const { view } = own.map;
  if (mark === undefined) return;
  const outX = Math.abs(mark.x - view.x) * view.scale > view.width / 2 - 12;
  const outY = Math.abs(mark.y - view.y) * view.scale > view.height / 2 - 12;
  if (outX || outY) view.centre(mark.x, mark.y);
}

function makeTabStop(own, key) {
  own.buttons.get(own.tabStop)?.setAttribute("tabindex", "-1");
  own.buttons.get(key)?.setAttribute("tabindex", "0");
  own.tabStop = key;
}
