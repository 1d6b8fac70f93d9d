/** What is known of the shown image: place, extent, fractions, addresses, and code that reads it. */
import { copyButton } from "./copying.js";
import { dayText, percentOf } from "./days.js";
import { button, el, icon, replaceChildren, safeUrl } from "./dom.js";
import { links } from "./links.js";
import { followPanel } from "./panel-life.js";
import { gridBounds, gridBoundsLonLat } from "./projection.js";
import { gdal, python, r } from "./snippets.js";
import { currentImage, secondImage } from "./state.js";
import { fill, texts } from "./texts.js";

/** Decimals of degrees: about a metre. */
const DEGREE_DIGITS = 5;

/**
 * Show the details while `state.panel` is "details".
 * @param {HTMLElement} element
 * @param {object} app
 */
export function mount(element, app) {
  followPanel(app, element, "details", open);
}

function open(element, app) {
  const view = { element, app, right: false, language: "gdal", frame: 0 };
  const off = app.state.on(["site", "imageId", "secondId", "mode", "view"], () => {
    // Playback may change images faster than the panel need follow.
    if (view.frame === 0) view.frame = requestAnimationFrame(() => render(view));
  });
  render(view);
  return () => {
    off();
    cancelAnimationFrame(view.frame);
  };
}

function render(view) {
  view.frame = 0;
  const state = view.app.state.get();
  const { site } = state;
  if (site === null) {
    replaceChildren(view.element, el("p", { class: "panel-empty", text: texts.panels.noSite }));
    return;
  }
  const second = state.mode === "single" ? null : secondImage(state);
  const image = view.right && second !== null ? second : currentImage(state);
  const focused = focusedName(view.element);
  replaceChildren(
    view.element,
    second !== null && paneSwitch(view, currentImage(state), second),
    siteSection(view.app, site),
    imageSection(view.app, image),
    openSection(site, image),
    extentSection(view.app, site.grid),
    image !== null && image.download !== null && codeSection(view, site, image),
  );
  if (focused === null) return;
  [...view.element.querySelectorAll("button, a, pre")].find((control) => nameOf(control) === focused)?.focus();
}

/** The name of the control that has the focus: the panel is made anew, and its namesake gets it. */
function focusedName(element) {
  return element.contains(document.activeElement) ? nameOf(document.activeElement) : null;
}

function nameOf(control) {
  return control.getAttribute("aria-label") ?? control.querySelector(".button-text, span")?.textContent ?? null;
}

function paneSwitch(view, first, second) {
  const words = texts.panels.details;
  const pane = (right, text) =>
    button({
      label: text,
      text,
      pressed: view.right === right,
      on: () => {
        view.right = right;
        render(view);
      },
    });
  return el(
    "div",
    { class: "segmented panel-forms", attrs: { role: "group", "aria-label": words.which } },
    pane(false, fill(words.left, { date: first?.date ?? "–" })),
    pane(true, fill(words.right, { date: second.date })),
  );
}

function siteSection(app, site) {
  const words = texts.panels.details;
  const rows = [[words.name, el("span", { class: "details-strong", text: site.name })]];
  if (site.id !== site.name) rows.push([words.id, el("code", { text: site.id })]);
  if (site.purpose.length > 0) {
    rows.push([words.purpose, el("span", { text: site.purpose.join(", ") })]);
  }
  if (site.lon !== null && site.lat !== null) {
    const position = `${Number(degrees(site.lat))}, ${Number(degrees(site.lon))}`;
    rows.push([words.position, copied(app, words.what.position, position)]);
  }
  return section(words.site, rows);
}

function imageSection(app, image) {
  const words = texts.panels.details;
  if (image === null) return section(words.image, [], el("p", { class: "panel-note", text: words.noImage }));
  return section(words.image, [
    [words.date, el("time", { class: "details-strong", text: dayText(image.date), attrs: { datetime: image.date } })],
    [words.clear, fraction(image.clear, "clear")],
    [words.cloud, fraction(image.cloud, "cloud")],
    [words.valid, fraction(image.valid, "valid")],
    [words.imageId, copied(app, words.what.imageId, image.id), true],
    [words.source, el("span", { text: attributionOf(image) })],
  ]);
}

/**
 * Who must be named beside an image.
 * @param {{attribution: string|null, date: string}} image
 * @returns {string}
 */
export function attributionOf(image) {
  return image.attribution ?? fill(texts.panels.attribution, { year: image.date.slice(0, 4) });
}

function fraction(value, name) {
  if (value === null) return el("span", { class: "muted", text: texts.panels.unknown });
  const bar = el("span", { class: `details-bar details-bar-${name}`, attrs: { "aria-hidden": "true" } }, el("span"));
  bar.style.setProperty("--share", String(Math.max(0, Math.min(1, value))));
  const text = fill(texts.panels.percent, { percent: percentOf(value) });
  return el("span", { class: "details-share" }, el("span", { text }), bar);
}

function openSection(site, image) {
  const words = texts.panels.details;
  const { copernicus, google } = links(site, image);
  const items = [
    image !== null && link(image.download, words.download, { iconName: "download", download: true, primary: true }),
    image !== null && link(image.item, words.item, { iconName: "external" }),
    link(copernicus, words.copernicus, { iconName: "external" }),
    link(google, words.google, { iconName: "external" }),
  ].filter(Boolean);
  const missing = image !== null && safeUrl(image.download) === null;
  return el(
    "section",
    { class: "details-section" },
    el("h3", { text: words.open }),
    el("ul", { class: "details-links list-plain" }, ...items.map((item) => el("li", {}, item))),
    missing && el("p", { class: "panel-note", text: words.noDownload }),
  );
}

function link(address, text, { iconName, download = false, primary = false }) {
  const href = safeUrl(address);
  if (href === null) return null;
  return el(
    "a",
    {
      class: primary ? "button button-primary" : "button",
      attrs: { href, target: download ? null : "_blank", rel: "noopener noreferrer", download },
    },
    icon(iconName),
    el("span", { text }),
    !download && el("span", { class: "visually-hidden", text: `, ${texts.panels.newTab}` }),
  );
}

function extentSection(app, grid) {
  const words = texts.panels.details;
  const bounds = gridBounds(grid);
  if (bounds === null) return section(words.extent, [], el("p", { class: "panel-note", text: words.noGrid }));
  const [rows, columns] = grid.shape;
  const pixel = Math.hypot(grid.transform[0], grid.transform[3]);
  const list = [
    [words.crs, copied(app, words.what.crs, `EPSG:${grid.epsg}`)],
    [words.pixels, el("span", { text: fill(words.pixelsOf, { columns, rows, size: plain(pixel) }) })],
    [words.boxes, copied(app, words.what.projected, bounds.map(plain).join(", ")), true],
  ];
  const box = gridBoundsLonLat(grid);
  const note = box === null ? el("p", { class: "panel-note", text: fill(words.noLonLat, { epsg: grid.epsg }) }) : null;
  if (box !== null) {
    list.push([words.lonlat, copied(app, words.what.lonlat, box.map(degrees).join(", ")), true]);
  }
  return section(words.extent, list, note);
}

function codeSection(view, site, image) {
  const words = texts.panels.details;
  const snippets = { gdal: gdal(image), python: python(image), r: r(image, site.name) };
  const text = snippets[view.language];
  const choice = (name) =>
    button({
      label: words[name],
      text: words[name],
      pressed: view.language === name,
      on: () => {
        view.language = name;
        render(view);
      },
    });
  return el(
    "section",
    { class: "details-section" },
    el("h3", { text: words.code }),
    el(
      "div",
      { class: "details-code-head" },
      el("div", { class: "segmented", attrs: { role: "group", "aria-label": words.languages } }, ...Object.keys(snippets).map(choice)),
      copyButton(view.app, {
        what: words.what.code,
        label: fill(texts.panels.copyWhat, { what: words.what.code }),
        text: () => text,
        onButton: texts.panels.copy,
      }),
    ),
    el("pre", { class: "details-code", attrs: { tabindex: "0", role: "region", "aria-label": words.codeLabel } }, el("code", { text })),
  );
}

function section(title, rows, note = null) {
  const list = rows.flatMap(([term, value, wide]) => [
    el("dt", { text: term, class: wide ? "details-wide" : undefined }),
    el("dd", { class: wide ? "details-wide" : undefined }, value),
  ]);
  return el(
    "section",
    { class: "details-section" },
    el("h3", { text: title }),
    rows.length > 0 && el("dl", { class: "details-list" }, ...list),
    note,
  );
}

function copied(app, what, text) {
  return el(
    "span",
    { class: "details-copied" },
    el("span", { class: "mono", text }),
    copyButton(app, { what, label: fill(texts.panels.copyWhat, { what }), text: () => text }),
  );
}

function degrees(value) {
  return value.toFixed(DEGREE_DIGITS);
}

function plain(value) {
  return String(Math.round(value * 1000) / 1000);
}
