/** What the page has to say of itself: that it reads, that something is wrong, that there is nothing to see. */
import { button, el, icon, replaceChildren } from "./dom.js";
import { activeFilters, NO_FILTERS } from "./filters.js";
import { shortAddress } from "./fetching.js";
import { currentImage } from "./state.js";
import { fill, number, texts } from "./texts.js";

const words = texts.core;
/** More notices than this are not shown at once. */
const MAX_NOTICES = 3;

/**
 * Say that the catalogue is being read.
 * @param {HTMLElement} element
 * @returns {function({done: number, all: number}): void} takes the progress in bytes
 */
export function showReading(element) {
  const text = el("p", { text: words.loading.catalog });
  const bar = el("progress", { class: "reading-bar", attrs: { "aria-label": words.loading.catalog } });
  replaceChildren(element, text, bar);
  element.hidden = false;
  return ({ done, all }) => {
    const values = { done: megabytes(done), all: megabytes(all) };
    text.textContent = fill(all > 0 ? words.loading.progress : words.loading.progressOpen, values);
    if (all > 0) {
      bar.max = all;
      bar.value = Math.min(done, all);
    }
  };
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}

/**
 * Say that the catalogue cannot be read.
 * @param {HTMLElement} element
 * @param {string} text - what is wrong and what to do
 */
export function showProblem(element, text) {
  replaceChildren(element, ...problemNodes(words.problem.title, text, () => location.reload()));
  element.setAttribute("role", "alert");
  element.hidden = false;
}

function problemNodes(title, text, retry) {
  return [
    el("h2", { class: "message-title" }, icon("warning"), title),
    el("p", { class: "message-text", text }),
    el("p", {}, button({ label: words.retry, icon: "reset", text: words.retry, class: "button-primary", on: retry })),
  ];
}

/**
 * Follow the state: notices above the image, and a message in its place where there is none.
 * @param {{message: HTMLElement, notices: HTMLElement, viewer: HTMLElement, workspace: HTMLElement}} places
 * @param {object} app
 * @param {function(): void} retry - loads the site again
 */
export function mountMessages({ message, notices, viewer, workspace }, app, retry) {
  const update = (state) => {
    const nodes = messageOf(state, app, retry);
    message.hidden = nodes === null;
    message.setAttribute("role", state.problem === null ? "status" : "alert");
    viewer.hidden = nodes !== null;
    if (nodes !== null) replaceChildren(message, ...nodes);
    workspace.setAttribute("aria-busy", String(state.loading));
  };
  const updateNotices = (state) => {
    replaceChildren(notices, siteNotice(state, retry), ...state.notices.slice(0, MAX_NOTICES).map((text) => notice(text, app)));
  };
  update(app.state.get());
  updateNotices(app.state.get());
  app.state.on(["problem", "loading", "shown", "site"], update);
  app.state.on(["notices", "problem", "shown"], updateNotices);
}

function messageOf(state, app, retry) {
  const { site } = state;
  if (site === null) return null;
  if (state.problem !== null && state.shown.length === 0) {
    return problemNodes(fill(words.problem.siteTitle, { site: site.name }), state.problem, retry);
  }
  if (state.loading || state.shown.length > 0) return null;
  if (site.images.length > 0) {
    const reset = () => app.state.set({ ...NO_FILTERS });
    return [
      el("p", { text: fill(words.empty.filtered, { site: site.name }) }),
      activeFilters(state) > 0 && el("p", {}, button({ label: words.filters.reset, icon: "reset", text: words.filters.reset, class: "button-primary", on: reset })),
    ];
  }
  const text = site.days.size > 0 ? words.empty.site : words.empty.siteOld;
  return [el("h2", { class: "message-title", text: words.empty.title }), el("p", { text: fill(text, { site: site.name }) })];
}

/** The site failed, yet its newest image is shown. */
function siteNotice({ problem, shown, site }, retry) {
  if (problem === null || shown.length === 0) return null;
  const text = fill(words.problem.siteNotice, { site: site.name, problem });
  return el("div", { class: "notice", attrs: { role: "alert" } }, icon("warning"), el("p", { text }), button({ label: words.retry, text: words.retry, class: "button-primary", on: retry }));
}

function notice(text, app) {
  const dismiss = () => app.state.set({ notices: app.state.get().notices.filter((other) => other !== text) });
  return el("div", { class: "notice" }, icon("warning"), el("p", { text }), button({ label: words.dismiss, icon: "close", on: dismiss }));
}

/**
 * Show where the images come from.
 * @param {HTMLElement} element - the page's footer
 * @param {object} app
 */
export function mountFooter(element, app) {
  const attribution = el("p", { class: "attribution" });
  const { sites, url } = app.catalog;
  const images = sites.reduce((total, site) => total + site.nImages, 0);
  const counts = el("p", { class: "footer-counts mono", text: fill(words.footer.counts, { sites: number(sites.length), images: number(images) }) });
  const source = el("p", { class: "footer-source", title: url }, `${words.footer.catalog}: `, el("span", { class: "mono", text: shortAddress(url) }));
  const hint = el("p", { class: "footer-hint" }, ...keyHint());
  replaceChildren(element, attribution, source, counts, el("span", { class: "toolbar-gap" }), hint);
  const update = (state) => {
    // The image's own line names the years; without an image the general words stand here.
    const hasImage = currentImage(state) !== null;
    attribution.hidden = hasImage;
    element.classList.toggle("has-image", hasImage);
  };
  attribution.textContent = words.attribution;
  update(app.state.get());
  app.state.on(["imageId", "site"], update);
}

/** The hint's text with its key shown as a key. */
function keyHint() {
  const [before, after] = words.footer.hint.split("{key}");
  return [before, el("kbd", { text: "?" }), after];
}
