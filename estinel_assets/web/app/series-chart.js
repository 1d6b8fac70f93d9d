/** The drawing of the time series. */
import { texts } from "./texts.js";
import { medianLines, timeTicks } from "./series-model.js";

const SVG = "http://www.w3.org/2000/svg";
/** Room around the plot, in CSS pixels. */
const ROOM = { left: 46, right: 10, top: 12, bottom: 24 };
/** Radius of a point, in CSS pixels, where there are few and where there are many. */
const RADIUS = { few: 2.8, many: 1.9 };
const MANY = 250;
const LEVELS = [0, 0.25, 0.5, 0.75, 1];

/**
 * Draw the chart.
 * @param {import("./series-model.js").Point[]} points - oldest first
 * @param {Set<string>} shown - ids of the images that pass the filters
 * @param {number} width - in CSS pixels
 * @returns {{svg: SVGElement, places: {x: number, y: number, point: object}[], marks: SVGElement[]}} places of the
 *   shown points only
 */
export function drawChart(points, shown, width) {
  const height = Math.round(Math.max(180, Math.min(320, width * 0.55)));
  const first = points[0].ms;
  const last = Math.max(points[points.length - 1].ms, first + 86400000);
  const across = (ms) => ROOM.left + ((ms - first) / (last - first)) * (width - ROOM.left - ROOM.right);
  const down = (clear) => ROOM.top + (1 - clear) * (height - ROOM.top - ROOM.bottom);
  const places = points.map((point) => ({ x: across(point.ms), y: down(point.clear), point }));
  const ring = ringOf(points.length > MANY ? RADIUS.many : RADIUS.few);
  const median = lines(points, width, across, down);
  const inView = places.filter((place) => shown.has(place.point.image.id));
  const hidden = places.filter((place) => !shown.has(place.point.image.id));
  const svg = shape("svg", { class: "series-chart", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  svg.append(
    levels(width, down),
    times({ first, last, width, height, across }),
    shape("path", { class: "series-hidden", d: hidden.map(ring).join("") }),
    shape("path", { class: "series-shown", d: inView.map(ring).join("") }),
    shape("path", { class: "series-halo", d: median }),
    shape("path", { class: "series-median", d: median }),
  );
  const marks = ["second", "first"].map((pane) => mark(pane, height));
  svg.append(...marks);
  return { svg, places: inView, marks };
}

/**
 * Put the marks of the shown images where they belong.
 * @param {{places: object[], marks: SVGElement[]}} chart
 * @param {number} index - of the current image among the places, -1 for none
 * @param {number} second - of the right image, -1 for none
 */
export function moveMark(chart, index, second) {
  [second, index].forEach((at, which) => {
    const place = chart.places[at];
    const [line, dot] = chart.marks[which].children;
    chart.marks[which].setAttribute("visibility", place === undefined ? "hidden" : "visible");
    if (place === undefined) return;
    line.setAttribute("x1", place.x);
    line.setAttribute("x2", place.x);
    dot.setAttribute("cx", place.x);
    dot.setAttribute("cy", place.y);
  });
}

function levels(width, down) {
  const group = shape("g", { class: "series-levels" });
  for (const level of LEVELS) {
    const y = Math.round(down(level)) + 0.5;
    const text = shape("text", { x: ROOM.left - 6, y: y + 4, "text-anchor": "end" });
    text.textContent = `${level * 100}${level === 1 ? " %" : ""}`;
    group.append(shape("line", { x1: ROOM.left, x2: width - ROOM.right, y1: y, y2: y }), text);
  }
  return group;
}

function times({ first, last, width, height, across }) {
  const group = shape("g", { class: "series-times" });
  const most = Math.max(2, Math.floor((width - ROOM.left - ROOM.right) / 48));
  for (const { ms, year, month } of timeTicks(first, last, most)) {
    const x = Math.round(across(ms)) + 0.5;
    const text = shape("text", { x, y: height - 7, "text-anchor": x > width - 30 ? "end" : "middle" });
    text.textContent = month === 0 ? String(year) : texts.panels.calendar.shorter[month];
    if (month === 0) text.setAttribute("class", "series-year");
    group.append(shape("line", { x1: x, x2: x, y1: ROOM.top, y2: height - ROOM.bottom + 4 }), text);
  }
  return group;
}

function lines(points, width, across, down) {
  return medianLines(points, Math.round(width / 3))
    .map((line) => `M${line.map(({ ms, clear }) => `${across(ms).toFixed(1)} ${down(clear).toFixed(1)}`).join("L")}`)
    .join("");
}

function ringOf(r) {
  const halves = `a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
  return ({ x, y }) => `M${(x - r).toFixed(1)} ${y.toFixed(1)}${halves}`;
}

function mark(pane, height) {
  const group = shape("g", { class: `series-mark series-mark-${pane}`, visibility: "hidden" });
  group.append(
    shape("line", { y1: ROOM.top - 6, y2: height - ROOM.bottom }),
    shape("circle", { r: 5.5 }),
  );
  return group;
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}
