/** What is said of one picture: its caption, alternative text and source, and why it is missing. */

import { el, safeUrl } from "./dom.js";
import { fill } from "./texts.js";

/**
 * What a pane shows of an image.
 * @param {object} image of the catalogue
 * @param {string|null} view
 * @param {string} siteName
 * @returns {Wanted}
 */
export function wantedOf(image, view, siteName) {
  const name = view || Object.keys(image.views)[0] || "";
  return { image, view: name, siteName, url: safeUrl(image.views[name]) };
}

/**
 * The attribution of an image; where the catalogue gives none, the notice for Sentinel data of its year.
 * @param {object} app
 * @param {object} image of the catalogue
 * @returns {string}
 */
export function attributionOf(app, image) {
  return image.attribution || fill(app.texts.viewer.attribution, { year: image.date.slice(0, 4) });
}

/**
 * The clear fraction of an image in words.
 * @param {object} app
 * @param {object} image of the catalogue
 * @returns {string}
 */
export function clearText(app, image) {
  const words = app.texts.viewer;
  return image.clear === null || image.clear === undefined
    ? words.clearUnknown
    : fill(words.clear, { percent: Math.round(image.clear * 100) });
}

/**
 * The alternative text of a picture.
 * @param {object} app
 * @param {Wanted} wanted
 * @returns {string}
 */
export function altText(app, { image, view, siteName }) {
  return fill(app.texts.viewer.picture, { site: siteName, date: image.date, view, clear: clearText(app, image) });
}

/**
 * The parts of a caption.
 * @param {object} app
 * @param {"left"|"right"} side
 * @param {Wanted} wanted
 * @returns {HTMLElement[]}
 */
export function captionParts(app, side, { image, view }) {
  const words = app.texts.viewer;
  return [
    el("span", { class: "caption-side", text: words[side] }),
    el("span", { class: "caption-side-upright", text: words[`${side}Upright`] }),
    el("time", { class: "caption-date", text: image.date, attrs: { datetime: image.date } }),
    el("span", { class: "caption-view", text: view }),
    el("span", { class: "caption-clear", text: clearText(app, image) }),
  ];
}

/**
 * Why an image has no address for a view.
 * @param {object} app
 * @param {Wanted} wanted
 * @returns {string}
 */
export function missingText(app, { image, view }) {
  const words = app.texts.viewer;
  const views = Object.keys(image.views);
  return views.includes(view)
    ? fill(words.noAddress, { date: image.date })
    : fill(words.noView, { view, date: image.date, views: views.join(", ") || "–" });
}

/**
 * Ask for an address once more, to learn why it gave no picture.
 * @param {string} url
 * @param {"default"|"reload"} cache `reload` renews the browser's copy
 * @returns {Promise<number|null>} the HTTP status, 0 where it has none or another host hides it; null where the address cannot be reached
 */
export async function answerOf(url, cache) {
  if (!/^https?:/.test(url)) return 0;
  return (await statusOf(url, "cors", cache)) ?? statusOf(url, "no-cors", cache);
}

async function statusOf(url, mode, cache) {
  try {
    const response = await fetch(url, { mode, cache });
    await response.blob(); // a renewed copy is kept only when it was read to its end
    return response.status;
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/**
 * Why an address gave no picture.
 * @param {object} app
 * @param {number|null} status as `answerOf` gives it
 * @returns {string}
 */
export function failureText(app, status) {
  const words = app.texts.viewer;
  if (status === null) return words.failedNetwork;
  if (status === 0) return words.failedUnknown;
  return status >= 400 ? fill(words.failedStatus, { status }) : words.failedBroken;
}

/**
 * An address to show: without its query, which may hold a signature.
 * @param {string} url
 * @returns {string}
 */
export function publicAddress(url) {
  const address = new URL(url);
  if (address.protocol === "data:") return "data:";
  address.search = "";
  address.hash = "";
  return address.href;
}

/**
 * @typedef {object} Wanted
 * @property {object} image of the catalogue
 * @property {string} view
 * @property {string} siteName
 * @property {string|null} url null where there is none that may be opened
 */
