/** Elements made from text and properties only: nothing from a catalogue is ever read as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** Icon shapes on a 24 × 24 grid, drawn as strokes. */
const ICONS = {
  mark: ["M3 17.5L9 7l3.5 6 2.5-4 6 8.5z", "M3 21h18"],
  menu: ["M4 7h16", "M4 12h16", "M4 17h16"],
  search: ["M11 4a7 7 0 1 0 0 14a7 7 0 0 0 0-14z", "M16 16l4.5 4.5"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  filter: ["M4 6h16", "M7 12h10", "M10 18h4"],
  single: ["M4 5h16v14H4z"],
  slider: ["M4 5h16v14H4z", "M12 3v18", "M9.5 12l-2 0", "M14.5 12l2 0"],
  side: ["M3.5 5h7.5v14H3.5z", "M13 5h7.5v14H13z"],
  difference: ["M9 6a6 6 0 1 0 0 12a6 6 0 0 0 0-12z", "M15 6a6 6 0 1 0 0 12a6 6 0 0 0 0-12z"],
  crosshair: ["M12 5a7 7 0 1 0 0 14a7 7 0 0 0 0-14z", "M12 2v6", "M12 16v6", "M2 12h6", "M16 12h6"],
  thumbs: ["M4 4h6.5v6.5H4z", "M13.5 4H20v6.5h-6.5z", "M4 13.5h6.5V20H4z", "M13.5 13.5H20V20h-6.5z"],
  calendar: ["M4 6h16v14H4z", "M4 10h16", "M8 3v5", "M16 3v5"],
  series: ["M4 4v16h16", "M7 15l4-5 3 3 5-7"],
  map: ["M9 4L3.5 6.5v13.5L9 17.5l6 2.5 5.5-2.5V4L15 6.5z", "M9 4v13.5", "M15 6.5V20"],
  details: ["M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 0 0 0-17z", "M12 11v6", "M12 7.2v.2"],
  star: ["M12 3.8l2.5 5.2 5.7.8-4.1 4 1 5.7-5.1-2.7-5.1 2.7 1-5.7-4.1-4 5.7-.8z"],
  share: ["M12 15V4", "M8 7.5L12 3.5l4 4", "M6 11H4.5v9.5h15V11H18"],
  help: ["M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 0 0 0-17z", "M9.6 9.5a2.5 2.5 0 1 1 3.6 2.3c-.9.4-1.2.9-1.2 1.9", "M12 16.8v.2"],
  sun: ["M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8z", "M12 2.5v2.5", "M12 19v2.5", "M2.5 12H5", "M19 12h2.5", "M5.3 5.3L7 7", "M17 17l1.7 1.7", "M18.7 5.3L17 7", "M7 17l-1.7 1.7"],
  moon: ["M19.5 14.5A8 8 0 1 1 9.5 4.5a6.5 6.5 0 0 0 10 10z"],
  auto: ["M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 0 0 0-17z", "M12 3.5v17", "M12 7h5.5", "M12 10.5h8", "M12 14h8", "M12 17.5h5"],
  play: ["M8 5l11 7-11 7z"],
  pause: ["M8 5v14", "M16 5v14"],
  left: ["M15 5l-7 7 7 7"],
  right: ["M9 5l7 7-7 7"],
  first: ["M17 5l-7 7 7 7", "M6 5v14"],
  last: ["M7 5l7 7-7 7", "M18 5v14"],
  down: ["M5 9l7 7 7-7"],
  up: ["M5 15l7-7 7 7"],
  plus: ["M12 5v14", "M5 12h14"],
  minus: ["M5 12h14"],
  fit: ["M4 9V4h5", "M20 9V4h-5", "M4 15v5h5", "M20 15v5h-5"],
  download: ["M12 4v11", "M8 11.5l4 4 4-4", "M4.5 19.5h15"],
  upload: ["M12 16V5", "M8 8.5l4-4 4 4", "M4.5 19.5h15"],
  copy: ["M8 8h12v12H8z", "M16 8V4H4v12h4"],
  link: ["M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1.5 1.5", "M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1.5-1.5"],
  external: ["M14 4h6v6", "M20 4l-9 9", "M18 13v7H4V6h7"],
  check: ["M5 12.5l4.5 4.5L19 7"],
  warning: ["M12 4L2.5 20h19z", "M12 10v5", "M12 17.6v.2"],
  trash: ["M5 7h14", "M10 4h4", "M7 7l1 13h8l1-13"],
  reset: ["M5 5v5h5", "M5.5 10a7.5 7.5 0 1 1-.8 4.5"],
};

/**
 * Make an element.
 * @param {string} tag
 * @param {{class?: string, text?: string|number, title?: string, attrs?: Object<string, string|number|boolean|null>,
 *   dataset?: Object<string, string|number>, on?: Object<string, function(Event): void>}} [options] - an
 *   attribute that is false, null or undefined is left out, one that is true is written without a value
 * @param {...(Node|string|null|undefined|false)} children - strings become text
 * @returns {HTMLElement}
 */
export function el(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  if (options.class) element.className = options.class;
  if (options.text !== undefined && options.text !== null) element.textContent = String(options.text);
  if (options.title) element.title = options.title;
  for (const [name, value] of Object.entries(options.attrs ?? {})) {
    setAttribute(element, name, value);
  }
  for (const [name, value] of Object.entries(options.dataset ?? {})) element.dataset[name] = String(value);
  for (const [name, listener] of Object.entries(options.on ?? {})) element.addEventListener(name, listener);
  element.append(...children.filter(isShown));
  return element;
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}

function setAttribute(element, name, value) {
  if (/^on|^style$/i.test(name)) throw new TypeError(`attribute ${name} is not allowed; use \`on\` or style.setProperty`);
  if (value === false || value === null || value === undefined) return;
  element.setAttribute(name, value === true ? "" : String(value));
}

/**
 * Make an icon that screen readers pass over.
 * @param {string} name - one of the shapes above; an unknown one gives an empty icon
 * @returns {SVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  for (const shape of ICONS[name] ?? []) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", shape);
    svg.append(path);
  }
  return svg;
}

/**
 * Make a button.
 * @param {{label: string, icon?: string, text?: string, pressed?: boolean, on?: function(MouseEvent): void,
 *   key?: string, class?: string}} options - `label` is the accessible name and the tooltip, `text` what stands
 *   on it, `key` the keyboard shortcut named in the tooltip, `on` what a click does
 * @returns {HTMLButtonElement}
 */
export function button({ label, icon: iconName, text, pressed, on, key, class: className }) {
  const element = el("button", {
    class: ["button", iconName && !text ? "button-icon" : "", className ?? ""].filter(Boolean).join(" "),
    title: key ? `${label} (${key})` : label,
    attrs: {
      type: "button",
      "aria-label": text === label ? null : label,
      "aria-pressed": pressed === undefined ? null : String(pressed),
      "aria-keyshortcuts": key ?? null,
    },
  });
  if (iconName) element.append(icon(iconName));
  if (text) element.append(el("span", { class: "button-text", text }));
  if (on) element.addEventListener("click", on);
  return element;
}

/**
 * Decide whether an address may be used for a link, an image or a request.
 * @param {unknown} address
 * @returns {string|null} the address, absolute, if its scheme is http, https or blob, or data of an image
 */
export function safeUrl(address) {
  if (typeof address !== "string" || address === "") return null;
  let url;
  try {
    url = new URL(address, document.baseURI);
  } catch {
    return null;
  }
  if (url.protocol === "http:" || url.protocol === "https:" || url.protocol === "blob:") return url.href;
  return /^data:image\/(png|jpeg|webp|gif|avif)[;,]/i.test(url.href) ? url.href : null;
}

/**
 * Replace what an element contains.
 * @param {Element} element
 * @param {...(Node|string|null|undefined|false)} nodes
 */
export function replaceChildren(element, ...nodes) {
  element.replaceChildren(...nodes.filter(isShown));
}
