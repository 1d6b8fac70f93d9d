/** The viewer: what the state says is put on the stage, and what comes next is loaded ahead. */

import { mountCrosshair } from "./crosshair.js";
import { wantedOf } from "./pane-texts.js";
import { mountPlayer } from "./player.js";
import { affordable, ahead } from "./preload.js";
import { Stage } from "./stage.js";
import { currentImage, secondImage } from "./state.js";
import { fill } from "./texts.js";
import { mountZoom } from "./zoom.js";

/** Pictures held for a side where they are small: the shown one, six ahead and two behind. */
const MOST_HELD = 9;
const PREPARE_MS = 8000;

/** Who looks at an image for so long may want to see its other views, in ms. */
const REST_MS = 700;
const rests = new WeakMap();

/** When failed pictures are asked for again after the connection has come back, in ms. */
const ONLINE_RETRIES_MS = [200, 2000, 8000];

/**
 * Show the images of `app.state` in an element.
 * @param {HTMLElement} element a box with a height; it is filled
 * @param {object} app
 */
export function mount(element, app) {
  const stage = new Stage(app);
  const directions = { left: createDirection(), right: createDirection() };
  element.append(stage.element);
  mountZoom(stage, app);
  mountCrosshair(stage, app);
  mountPlayer(app, (image) => prepare(stage, app, image));

  function update(state, changed) {
    const left = currentImage(state);
    const right = state.mode === "single" || left === null ? null : (secondImage(state) ?? neighbour(state, left));
    stage.setMode(state.mode);
    if (changed.has("siteId") || changed.has("site")) clearFormerSite(stage, state);
    showIn(stage.panes.left, left, state);
    showIn(stage.panes.right, right, state);
    stage.setAttribution([left, right].filter((image) => image !== null));
    preload(stage, app, "left", left, directions.left);
    preload(stage, app, "right", right, directions.right);
    announce(app, state, changed);
  }

  const keys = ["siteId", "site", "imageId", "secondId", "mode", "view", "shown"];
  app.state.on(keys, update);
  // What failed for want of a connection comes by itself when it is back, which may take a while after this news.
  const retry = () => Object.values(stage.panes).forEach((pane) => pane.retry());
  window.addEventListener("online", () => ONLINE_RETRIES_MS.forEach((delay) => setTimeout(retry, delay)));
  update(app.state.get(), new Set());
}

function showIn(pane, image, state) {
  if (image === null) pane.clear();
  else pane.show(wantedOf(image, state.view, state.site?.name ?? ""));
}

/** The picture of one site must not stand under the name of another. */
function clearFormerSite(stage, state) {
  for (const pane of Object.values(stage.panes)) {
    const shown = pane.wanted;
    if (shown !== null && shown.image.siteId !== state.siteId) pane.clear();
  }
}

/** The image to compare with where none is chosen: the one before, else the one after. */
function neighbour(state, image) {
  const index = state.shown.indexOf(image);
  return state.shown[index - 1] ?? state.shown[index + 1] ?? image;
}

/** Remembers which way an image sequence was last stepped through. */
function createDirection() {
  let images = null;
  let last = -1;
  let direction = 1;
  return (shown, index) => {
    if (images === shown && index !== last) {
      const step = index - last;
      const wrapped = Math.abs(step) === shown.length - 1 && shown.length > 2;
      direction = (step > 0) === wrapped ? -1 : 1;
    } else if (images !== shown) {
      direction = index === shown.length - 1 ? -1 : 1; // the newest comes first, and from there it goes back
    }
    images = shown;
    last = index;
    return direction;
  };
}

function preload(stage, app, side, image, directionOf) {
  const state = app.state.get();
  const preloader = stage.preloaders[side];
  clearTimeout(rests.get(preloader));
  if (image === null) {
    preloader.plan([]);
    return;
  }
  const { shown, view } = state;
  const index = shown.indexOf(image);
  const direction = directionOf(shown, index);
  const held = affordable(stage.imageSize(), MOST_HELD);
  const behind = Math.floor((held - 1) / 4);
  const others = index < 0 ? [] : ahead(shown, index, direction, { ahead: held - 1 - behind, behind });
  const wanted = [image, ...others].map((each) => wantedOf(each, view, "").url);
  const addresses = wanted.filter((url) => url !== null);
  preloader.plan(addresses);
  if (held < MOST_HELD || state.playing) return;
  const otherViews = Object.keys(image.views).map((name) => wantedOf(image, name, "").url).filter((url) => url !== null);
  const planViews = () => {
    if (!app.state.get().playing) preloader.plan([...addresses, ...otherViews]);
  };
  rests.set(preloader, setTimeout(planViews, REST_MS));
}

/** Waits until an image can be swapped in; one that is missing, or does not come in time, is not waited for. */
async function prepare(stage, app, image) {
  const { url } = wantedOf(image, app.state.get().view, "");
  if (url === null || stage.preloaders.left.peek(url) !== null) return;
  let timer;
  const patience = new Promise((resolve) => {
    timer = setTimeout(resolve, PREPARE_MS);
  });
  const settled = stage.preloaders.left.get(url).then(() => {}, () => {});
  await Promise.race([settled, patience]);
  clearTimeout(timer);
}

function announce(app, state, changed) {
  if (state.playing) return;
  const words = app.texts.viewer;
  const say = (template, image) => {
    const index = state.shown.indexOf(image);
    const number = (value) => value.toLocaleString(app.texts.panels.locale);
    if (index < 0) return;
    app.announce(fill(template, { date: image.date, position: number(index + 1), count: number(state.shown.length) }));
  };
  if (changed.has("imageId") && !changed.has("siteId")) say(words.said, currentImage(state));
  else if (changed.has("secondId") && state.mode !== "single") say(words.saidSecond, secondImage(state));
}
