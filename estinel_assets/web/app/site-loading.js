/** Loads the chosen site and keeps the shown images, the current one and the view in step with the filters. */
import { CatalogProblem } from "./catalog.js";
import { following, nearest, shownImages, shownSites } from "./filters.js";
import { pair, RATINGS, selectSite } from "./state.js";
import { fill, texts } from "./texts.js";

const FILTERS = ["ratingsShown", "from", "to", "months", "maxCloud"];

/**
 * Follow the state: load sites, filter images. Begins with the site that the address wishes for.
 * @param {object} app
 * @param {{site: string|null, date: string|null, second: string|null, index: number|null}} wish - from `readAddress`
 * @returns {{retry: function(): void}}
 */
export function followSites(app, wish) {
  let waiting = wish;
  let turn = 0;

  async function open(siteId) {
    turn += 1;
    const mine = turn;
    const summary = app.catalog.sites.find((site) => site.id === siteId);
    const days = waiting;
    waiting = null;
    present(app, partialSite(summary, days), days);
    try {
      const site = await app.catalog.load(siteId);
      if (mine !== turn) return;
      const left = keepsPlace(app, days) ? null : days;
      present(app, site, left);
      sayMissing(app, site, days);
      const said = site.images.length > 0 ? texts.core.said.site : texts.core.said.siteEmpty;
      app.announce(fill(said, { site: site.name, count: site.images.length }));
    } catch (error) {
      if (mine !== turn) return;
      if (!(error instanceof CatalogProblem)) throw error;
      app.state.set({ loading: false, problem: error.message });
    }
  }

  app.state.on(["siteId"], ({ siteId }) => open(siteId));
  app.state.on(FILTERS, () => refilter(app));
  app.state.on(["imageId", "mode"], () => keepPair(app));
  app.state.on(["purposes"], (state) => {
    const sites = shownSites(app.catalog.sites, state);
    if (sites.length > 0 && !sites.some((site) => site.id === state.siteId)) selectSite(app, sites[0].id);
  });
  app.ratings.on(() => {
    const { ratingsShown } = app.state.get();
    if (ratingsShown.length < RATINGS.length) refilter(app);
  });
  begin(app, wish);
  return { retry: () => open(app.state.get().siteId) };
}

function begin(app, wish) {
  const { sites } = app.catalog;
  const state = app.state.get();
  const wanted = wish.site === null ? null : findSite(sites, wish.site);
  if (wish.site !== null && wanted === null) {
    app.notice(fill(texts.core.problem.unknownSite, { site: wish.site.slice(0, 80) }));
  }
  const ordered = shownSites(sites, { ...state, search: "" });
  const first = ordered.find((site) => site.nImages > 0) ?? ordered[0] ?? sites[0];
  app.state.set({ siteId: (wanted ?? first).id });
}

function findSite(sites, wanted) {
  const bare = wanted.toLowerCase();
  return (
    sites.find((site) => site.id === wanted) ??
    sites.find((site) => site.name === wanted) ??
    sites.find((site) => site.name.toLowerCase() === bare) ??
    null
  );
}

/** What can be shown of a site before its own document is there: its newest image, unless another is wanted. */
function partialSite(summary, wish) {
  const { newestImage } = summary;
  const isOther = wish !== null && (wish.second !== null || wish.index !== null || (wish.date ?? summary.newest) !== summary.newest);
  return { ...summary, images: newestImage !== null && !isOther ? [newestImage] : [], days: new Map(), partial: true };
}

/** Whether the reader already went on from the partial site's image. */
function keepsPlace(app, wish) {
  return wish === null && app.state.get().imageId !== null;
}

function present(app, site, wish) {
  const state = app.state.get();
  const shown = shownImages(site, state, app.ratings);
  const image = choose(shown, site, wish, state.imageId);
  const patch = { site, shown, imageId: image?.id ?? null, view: chooseView(site, image, state.view), loading: site.partial, problem: null };
  if (state.mode !== "single") {
    const kept = shown.find((one) => one.id === state.secondId && (one !== image || shown.length === 1));
    const second = wish?.second ? nearest(shown, wish.second) : kept;
    if (second) patch.secondId = second.id;
    else Object.assign(patch, pair({ shown, imageId: patch.imageId }));
  } else patch.secondId = null;
  app.state.set(patch);
}

function choose(shown, site, wish, imageId) {
  if (shown.length === 0) return null;
  if (wish?.date) return nearest(shown, wish.date);
  if (wish && wish.index !== null) return shown[Math.min(Math.round(wish.index), shown.length - 1)];
  return shown.find((image) => image.id === imageId) ?? shown.at(-1);
}

function chooseView(site, image, wanted) {
  const views = Object.keys((image ?? site.images.at(-1))?.views ?? {});
  return views.length === 0 || views.includes(wanted) ? wanted : views[0];
}

function sayMissing(app, site, wish) {
  const { problem } = texts.core;
  for (const date of [wish?.date, wish?.second]) {
    if (date && site.images.length > 0 && !site.images.some((image) => image.date === date)) {
      app.notice(fill(problem.unknownDate, { site: site.name, date }));
    }
  }
}

/** The filters changed: stay at the image, or go to the next one that passes. */
function refilter(app) {
  const state = app.state.get();
  if (state.site === null) return;
  const shown = shownImages(state.site, state, app.ratings);
  const stay = (id) => {
    if (id === null || shown.some((image) => image.id === id)) return id;
    const left = state.site.images.find((image) => image.id === id);
    return left === undefined ? null : (following(shown, left.date)?.id ?? null);
  };
  const imageId = stay(state.imageId) ?? shown.at(-1)?.id ?? null;
  app.state.set({ shown, imageId, secondId: state.mode === "single" ? null : stay(state.secondId) });
}

/** A compare mode always has two images where the site has any; a view always exists. */
function keepPair(app) {
  const state = app.state.get();
  if (state.site === null) return;
  if (state.mode !== "single" && state.secondId === null && state.shown.length > 0) app.state.set(pair(state));
  const image = state.shown.find((one) => one.id === state.imageId);
  const view = image ? chooseView(state.site, image, state.view) : state.view;
  if (view !== state.view && state.view === null) app.state.set({ view });
}
