/** What keys and buttons do about ratings. */
import { currentImage, show } from "./state.js";
import { fill, texts } from "./texts.js";

/**
 * Rate the image that is shown, say so, and go on to the next unrated one where that is wanted.
 * @param {object} app
 * @param {"good"|"ok"|"bad"|null} rating null takes the rating back
 */
export function rateCurrent(app, rating) {
  const state = app.state.get();
  const image = currentImage(state);
  const words = texts.ratings;
  if (image === null) {
    app.announce(words.nothingToRate);
    return;
  }
  const goesOn = state.rateNext && rating !== null;
  // Looked up first: rating may take the image out of what is shown.
  const next = goesOn ? nextUnrated(state.shown, image.id, app.ratings) : null;
  app.ratings.rate(image, rating);
  const said = fill(rating === null ? words.cleared : words.rated, { date: image.date, rating: words.names[rating ?? "unrated"] });
  if (next !== null) {
    show(app, next.id);
  }
  app.announce(goesOn && next === null ? `${said} ${words.allRated}` : said);
}

/**
 * The unrated image after another one, from the start again where there is none after it.
 * @param {{id: string}[]} shown
 * @param {string} imageId the one to look after; it is never found itself
 * @param {{get: (imageId: string) => object|null}} ratings
 * @returns {{id: string}|null}
 */
export function nextUnrated(shown, imageId, ratings) {
  const at = shown.findIndex((image) => image.id === imageId);
  for (let step = 1; step <= shown.length; step += 1) {
    const image = shown[(at + step) % shown.length];
    if (image.id !== imageId && ratings.get(image.id) === null) {
      return image;
    }
  }
  return null;
}

/**
 * Go on to the next unrated image after each rating, or stay.
 * @param {object} app
 */
export function toggleRateNext(app) {
  const rateNext = !app.state.get().rateNext;
  app.state.set({ rateNext });
  app.announce(rateNext ? texts.ratings.rateNextOn : texts.ratings.rateNextOff);
}
