/** Sites on the map: how fresh they are, which stand together, which have room for a name. Pure. */
import { dayMs, daysBetween } from "./days.js";

/** Classes of age with their greatest age in days. */
export const AGES = [
  { name: "fresh", most: 10 },
  { name: "month", most: 30 },
  { name: "quarter", most: 90 },
  { name: "year", most: 366 },
  { name: "old", most: Infinity },
];

/** Sites nearer to one another than this, in CSS pixels, share a mark. */
const TOGETHER = 27;
const LETTER = 6.6;
/** Longer names are cut (css/panels.css). */
const WIDEST = 200;
const LINE = 15;

/**
 * How old a site's newest image is.
 * @param {string|null} newest - YYYY-MM-DD
 * @param {string} today - YYYY-MM-DD
 * @returns {{name: string, days: number|null}} a class of AGES, or "none"
 */
export function ageOf(newest, today) {
  if (newest === null || Number.isNaN(dayMs(newest))) return { name: "none", days: null };
  const days = Math.max(0, daysBetween(newest, today));
  return { name: AGES.find((age) => days <= age.most).name, days };
}

/**
 * The freshest class among several.
 * @param {string[]} names
 * @returns {string}
 */
export function freshest(names) {
  return AGES.find((age) => names.includes(age.name))?.name ?? "none";
}

/**
 * @typedef {{x: number, y: number, site: object}} Placed - x and y in the map's square
 * @typedef {{x: number, y: number, members: Placed[], key: string, label: "right"|"left"|null}} Mark
 */

/**
 * Put sites that would lie on one another into one mark.
 * @param {Placed[]} placed
 * @param {number} scale - CSS pixels a unit of the square
 * @param {string|null} currentId - this site's mark is made first
 * @returns {Mark[]}
 */
export function marksOf(placed, scale, currentId) {
  const ordered = [...placed].sort((a, b) => Number(b.site.id === currentId) - Number(a.site.id === currentId));
  const marks = [];
  const cells = new Map();
  for (const one of ordered) {
    const [column, row] = [Math.floor((one.x * scale) / TOGETHER), Math.floor((one.y * scale) / TOGETHER)];
    const mark = neighbour(cells, column, row, one, scale);
    if (mark !== null) {
      mark.members.push(one);
      continue;
    }
    const made = { x: one.x, y: one.y, members: [one], key: one.site.id, label: null };
    marks.push(made);
    const key = `${column} ${row}`;
    cells.set(key, [...(cells.get(key) ?? []), made]);
  }
  return marks;
}

/**
 * Decide on which side of its mark a name has room; those of one site only. Sets `label`.
 * @param {{mark: Mark, x: number, y: number}[]} visible - marks on the map, in CSS pixels
 * @param {number} width - of the map, in CSS pixels
 * @param {string|null} currentId - this site's name is always shown
 */
export function placeLabels(visible, width, currentId) {
  const taken = visible.map(({ x, y }) => around(x, y, 12));
  visible.forEach(({ mark, x, y }, index) => {
    mark.label = null;
    const { site } = mark.members[0];
    if (mark.members.length > 1) return;
    const long = Math.min(WIDEST, (site.name.length + 2) * LETTER);
    const boxes = {
      right: { left: x + 12, right: x + 12 + long, top: y - LINE / 2, bottom: y + LINE / 2 },
      left: { left: x - 12 - long, right: x - 12, top: y - LINE / 2, bottom: y + LINE / 2 },
    };
    const fits = (side) => boxes[side].left >= 0 && boxes[side].right <= width;
    const isFree = (side) => fits(side) && !taken.some((other, at) => at !== index && overlap(boxes[side], other));
    const side = ["right", "left"].find(isFree) ?? null;
    mark.label = side ?? (site.id === currentId ? (fits("right") ? "right" : "left") : null);
    if (mark.label !== null) taken.push(boxes[mark.label]);
  });
}

/**
 * The mark that lies next in a direction.
 * @param {Mark[]} marks
 * @param {Mark} from
 * @param {"ArrowLeft"|"ArrowRight"|"ArrowUp"|"ArrowDown"} key
 * @returns {Mark|null}
 */
export function nextMark(marks, from, key) {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  let best = null;
  let least = Infinity;
  for (const mark of marks) {
    const along = (mark.x - from.x) * dx + (mark.y - from.y) * dy;
    const aside = Math.abs((mark.x - from.x) * dy) + Math.abs((mark.y - from.y) * dx);
    // Those within 45 degrees of the direction first, then any on that side.
    if (mark === from || along <= 0) continue;
    const cost = along + aside * (aside > along ? 8 : 1);
    if (cost < least) [least, best] = [cost, mark];
  }
  return best;
}

function neighbour(cells, column, row, one, scale) {
  for (let dx = -1; dx <= 1; dx += 1) {
    for (let dy = -1; dy <= 1; dy += 1) {
      const near = (cells.get(`${column + dx} ${row + dy}`) ?? []).find(
        (mark) => Math.hypot(mark.x - one.x, mark.y - one.y) * scale < TOGETHER,
      );
      if (near !== undefined) return near;
    }
  }
  return null;
}

function around(x, y, radius) {
  return { left: x - radius, right: x + radius, top: y - radius, bottom: y + radius };
}

function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
