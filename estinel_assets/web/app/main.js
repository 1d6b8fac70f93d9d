/** Starts the page: opens the catalogue, mounts every part, keeps them in step. */
import { keepAddress, readAddress } from "./address.js";
import * as calendar from "./calendar.js";
import { CatalogProblem, openCatalog } from "./catalog.js";
import * as details from "./details.js";
import * as filterBar from "./filter-bar.js";
import * as help from "./help.js";
import { mountKeys } from "./keys.js";
import * as map from "./map.js";
import { mountFooter, mountMessages, showProblem, showReading } from "./messages.js";
import { offline } from "./offline.js";
import { mountPanels } from "./panels.js";
import * as ratingBar from "./rating-bar.js";
import * as ratingPanel from "./rating-panel.js";
import { createRatings, safeLocalStorage } from "./ratings.js";
import * as series from "./series.js";
import * as share from "./share.js";
import { followSites } from "./site-loading.js";
import * as sites from "./sites.js";
import { createState, currentImage } from "./state.js";
import { fill, texts } from "./texts.js";
import { mountTheme, storedTheme } from "./theme.js";
import * as thumbnails from "./thumbnails.js";
import * as toolbar from "./toolbar.js";
import * as viewer from "./viewer.js";

const place = (id) => document.getElementById(id);

async function start() {
  place("boot").remove();
  const { patch, wish, catalog } = readAddress(location.search);
  // The catalogue is asked for before the browser's storage, whose first use takes its time.
  const onProgress = showReading(place("message"));
  const opening = openCatalog(catalog, { onProgress, onNotice: (text) => app.notice(text) });
  const storage = safeLocalStorage();
  const app = {
    catalog: null,
    state: createState({ theme: storedTheme(storage), ...patch }),
    ratings: createRatings(storage),
    texts,
    announce: announcer(place("live")),
    notice: (text) => addNotice(app, text),
  };
  watchErrors(app);
  mountTheme(app, storage);
  try {
    app.catalog = await opening;
    if (app.catalog.sites.length === 0) throw new CatalogProblem("empty", { address: app.catalog.url.split(/[?#]/, 1)[0] });
  } catch (error) {
    if (!(error instanceof CatalogProblem)) throw error;
    showProblem(place("message"), error.message);
    mountFooterless();
    return;
  }
  mountAll(app, wish);
  offline(app);
}

function mountAll(app, wish) {
  place("message").hidden = true;
  place("viewer").hidden = false;
  const session = { retry: () => {} };
  viewer.mount(place("viewer"), app);
  thumbnails.mount(place("thumbnails"), app);
  sites.mount(place("sites"), app);
  toolbar.mount(place("toolbar"), app);
  filterBar.mount(place("filter-bar"), app);
  ratingBar.mountBar(place("rating-bar"), app);
  mountPanels(place("panel"), app);
  for (const [name, part] of Object.entries({ calendar, series, map, details, ratings: ratingPanel })) {
    part.mount(place(`panel-${name}`), app);
  }
  share.mount(place("dialogs"), app);
  help.mount(place("dialogs"), app);
  const places = { message: place("message"), notices: place("notices"), viewer: place("viewer"), workspace: place("workspace") };
  mountMessages(places, app, () => session.retry());
  mountFooter(place("footer"), app);
  mountKeys(app);
  app.state.on(["site", "imageId"], setTitle);
  Object.assign(session, followSites(app, wish));
  keepAddress(app);
}

function setTitle(state) {
  const { site } = state;
  if (site === null) return;
  const image = currentImage(state);
  document.title = fill(texts.core.titleOf, { site: site.name, date: image?.date ?? texts.core.sites.noImages });
  place("title").textContent = site.name;
  place("title").title = site.name;
}

/** Without a catalogue the page still says whose images it would show. */
function mountFooterless() {
  document.body.classList.add("has-problem");
  place("footer").textContent = texts.core.attribution;
}

/** Says one thing after the other to screen readers; the same words twice are said twice. */
function announcer(live) {
  return (text) => {
    live.textContent = live.textContent === text ? `${text}\u00a0` : text;
  };
}

function addNotice(app, text) {
  const { notices } = app.state.get();
  if (!notices.includes(text)) app.state.set({ notices: [...notices, text] });
}

/** A failure of a part is said, once; the rest of the page goes on. */
function watchErrors(app) {
  const say = (detail) => app.notice(fill(texts.core.problem.code, { detail: String(detail).slice(0, 200) }));
  window.addEventListener("error", (event) => {
    if (event.error) say(event.error.message ?? event.message);
  });
  window.addEventListener("unhandledrejection", (event) => say(event.reason?.message ?? event.reason));
}

start();
