/** Playback: the next image at a set pace, never before it is decoded. */

import { show } from "./state.js";
import { fill } from "./texts.js";

/** The speeds offered, in seconds an image. */
export const SPEEDS_S = [0.1, 0.2, 0.5, 1, 2, 3];

/** The least time an image stands where the device asks for reduced motion, in s: nothing then flashes. */
const CALM_S = 1;
const CALM = "(prefers-reduced-motion: reduce)";

/**
 * Start or stop playback.
 * @param {object} app
 */
export function togglePlay(app) {
  const { playing, shown, speedS } = app.state.get();
  const words = app.texts.viewer;
  if (!playing && shown.length < 2) {
    app.announce(words.nothingToPlay);
    return;
  }
  app.state.set({ playing: !playing });
  if (playing) app.announce(words.paused);
  else app.announce(slowed(speedS) ? words.slowed : fill(words.playing, { seconds: speedS }));
}

/**
 * The time an image stands.
 * @param {number} speedS chosen, in s
 * @param {boolean} calm whether the device asks for reduced motion
 * @returns {number} in ms
 */
export function intervalMs(speedS, calm) {
  const chosen = Math.min(SPEEDS_S.at(-1), Math.max(SPEEDS_S[0], speedS));
  return 1000 * (calm ? Math.max(CALM_S, chosen) : chosen);
}

/**
 * The image after the current one; after the last comes the first.
 * @param {object} state
 * @returns {object|null} null where there are not two images
 */
export function following({ shown, imageId }) {
  if (shown.length < 2) return null;
  return shown[(shown.findIndex((image) => image.id === imageId) + 1) % shown.length];
}

/**
 * Make `state.playing` play.
 * @param {object} app
 * @param {(image: object) => Promise<void>} prepare is kept when an image is decoded, or known to be missing
 */
export function mountPlayer(app, prepare) {
  let round = 0;
  let timer = 0;
  let since = 0;

  function stop() {
    round += 1;
    clearTimeout(timer);
  }

  function pause(ms) {
    return new Promise((resolve) => {
      timer = setTimeout(resolve, ms);
    });
  }

  /** Each round shows one image and starts the next; a round that was overtaken ends. */
  async function play() {
    const current = (round += 1);
    clearTimeout(timer);
    const next = following(app.state.get());
    if (next === null) {
      app.state.set({ playing: false });
      return;
    }
    const rest = since + intervalMs(app.state.get().speedS, matchMedia(CALM).matches) - performance.now();
    await Promise.all([prepare(next), pause(Math.max(0, rest))]);
    if (current !== round || !app.state.get().playing) return;
    since = performance.now();
    show(app, next.id); // the change of image starts the next round
    if (current === round) play();
  }

  function onHidden() {
    if (document.hidden) app.state.set({ playing: false });
  }

  app.state.on(["playing", "speedS", "imageId", "shown", "siteId"], (state, changed) => {
    if (!state.playing) {
      stop();
      return;
    }
    if (changed.has("siteId")) {
      app.state.set({ playing: false });
      return;
    }
    if (changed.has("playing") || changed.has("imageId")) since = performance.now();
    play();
  });
  document.addEventListener("visibilitychange", onHidden);
}

function slowed(speedS) {
  return speedS < CALM_S && matchMedia(CALM).matches;
}
