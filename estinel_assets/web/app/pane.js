/** One picture of the stage: swapped in when decoded, with its caption, or a text that says why it is missing. */

import { button, el } from "./dom.js";
import { altText, answerOf, captionParts, failureText, missingText, publicAddress } from "./pane-texts.js";
import { step } from "./state.js";
import { fill } from "./texts.js";

/** After so long a wait the former picture is taken away and the stage says what is being loaded, in ms. */
const PATIENCE_MS = 200;
const TIMEOUT_S = 20;

/** A pane. What belongs on the page are its `frame` (picture), `caption` (bar with text and buttons) and `note` (other texts). */
export class Pane {
  #app;
  #preloader;
  #on;
  #text;
  #wanted = null;
  #picture = null;
  #turn = 0; // a late answer carries an older turn
  #timers = [];

  /**
   * @param {"left"|"right"} side
   * @param {object} app
   * @param {import("./preload.js").Preloader} preloader of this pane only
   * @param {{place: (picture: HTMLImageElement, side: string) => void, changed: () => void}} on `place` gives a picture its
   *   size and position before it is seen, `changed` hears of it afterwards, and of a picture taken away
   */
  constructor(side, app, preloader, on) {
    this.side = side;
    this.#app = app;
    this.#preloader = preloader;
    this.#on = on;
    this.#text = el("p", { class: "caption-text", dataset: { side } });
    this.frame = el("div", { class: "frame", dataset: { side, state: "empty" } });
    this.caption = el("div", { class: "caption", dataset: { side } }, stepButtons(side, app), this.#text);
    this.note = el("div", { class: "note", dataset: { side } });
  }

  /** @returns {HTMLImageElement|null} the picture on the page */
  get picture() {
    return this.#picture;
  }

  /** @returns {import("./pane-texts.js").Wanted|null} what is shown, loaded or missing */
  get wanted() {
    return this.#wanted;
  }

  /** @param {import("./pane-texts.js").Wanted} next the picture to show; the same one again changes nothing */
  show(next) {
    const now = this.#wanted;
    this.#wanted = next;
    if (now !== null && now.image.id === next.image.id && now.view === next.view && now.url === next.url) return;
    if (next.url !== null) {
      this.#load(false);
      return;
    }
    this.#turn += 1;
    this.#fail(missingText(this.#app, next), { retry: false });
  }

  /** Show nothing. */
  clear() {
    this.#turn += 1;
    this.#settle();
    this.#wanted = null;
    this.#removePicture();
    this.note.replaceChildren();
    this.#text.replaceChildren();
    this.#setState("empty");
  }

  /** Load what failed once more. */
  retry() {
    if (this.frame.dataset.state === "failed" && this.#wanted.url !== null) this.#load(true);
  }

  async #load(afresh) {
    this.#settle();
    const { url } = this.#wanted;
    const turn = (this.#turn += 1);
    const ready = this.#preloader.peek(url);
    if (ready !== null && !afresh) {
      this.#swap(ready);
      return;
    }
    this.#wait(turn);
    if (afresh) {
      this.#preloader.drop(url);
      await answerOf(url, "reload");
      if (turn !== this.#turn) return;
    }
    const decoded = await this.#preloader.get(url).catch(() => null);
    if (turn !== this.#turn) return;
    if (decoded !== null) {
      this.#swap(decoded);
      return;
    }
    const status = await answerOf(url, "default");
    if (turn === this.#turn) this.#fail(failureText(this.#app, status), { address: publicAddress(url) });
  }

  #wait(turn) {
    const words = this.#app.texts.viewer;
    this.#setState("loading");
    const sayLoading = () => {
      if (turn !== this.#turn) return;
      this.#say(el("p", { class: "stage-loading", text: fill(words.loading, { date: this.#wanted.image.date }) }));
    };
    const giveUp = () => {
      if (turn !== this.#turn) return;
      const { url } = this.#wanted;
      this.#turn += 1;
      this.#preloader.drop(url);
      this.#fail(fill(words.failedTimeout, { seconds: TIMEOUT_S }), { address: publicAddress(url) });
    };
    this.#timers.push(setTimeout(sayLoading, PATIENCE_MS), setTimeout(giveUp, TIMEOUT_S * 1000));
  }

  #swap(decoded) {
    this.#settle();
    decoded.className = "picture";
    decoded.alt = altText(this.#app, this.#wanted);
    this.#picture = decoded;
    this.#on.place(decoded, this.side);
    this.frame.replaceChildren(decoded);
    this.#text.replaceChildren(...captionParts(this.#app, this.side, this.#wanted));
    this.note.replaceChildren();
    this.#setState("shown");
    this.frame.dataset.shown = this.#wanted.image.id;
    this.#on.changed();
  }

  #fail(reason, { address = null, retry = true } = {}) {
    const words = this.#app.texts.viewer;
    const again = () => {
      this.#load(true);
      this.frame.closest("[tabindex]")?.focus({ preventScroll: true }); // the button goes away
    };
    this.#settle();
    this.#say(
      el("div", { class: "stage-failed", attrs: { role: "alert" } },
        el("p", { class: "stage-failed-title", text: fill(words.failed, { date: this.#wanted.image.date }) }),
        el("p", { text: reason }),
        address && el("p", { class: "stage-failed-address", text: address }),
        retry && button({ label: words.retry, text: words.retry, icon: "reset", on: again })),
    );
    this.#setState("failed");
  }

  /** A text in place of the picture. */
  #say(...nodes) {
    this.#removePicture();
    this.#text.replaceChildren(...captionParts(this.#app, this.side, this.#wanted));
    this.note.replaceChildren(...nodes);
    this.#on.changed();
  }

  #removePicture() {
    this.#picture?.remove();
    this.#picture = null;
  }

  #settle() {
    this.#timers.forEach(clearTimeout);
    this.#timers = [];
  }

  #setState(state) {
    this.frame.dataset.state = state;
    if (state !== "shown") delete this.frame.dataset.shown;
  }
}

function stepButtons(side, app) {
  const words = app.texts.core.keys;
  const second = side === "right";
  const [back, forth] = second ? [words.previousSecond, words.nextSecond] : [words.previous, words.next];
  return el("span", { class: "caption-steps" },
    stepButton(app, back, -1, { icon: "left", key: "ArrowLeft", sign: "←", second }),
    stepButton(app, forth, 1, { icon: "right", key: "ArrowRight", sign: "→", second }));
}

function stepButton(app, label, delta, { icon, key, sign, second }) {
  const made = button({ label, icon, key: second ? `Shift+${key}` : key, on: () => step(app, delta, { second }) });
  made.title = `${label} (${second ? "Shift " : ""}${sign})`;
  return made;
}
