/** The buttons of playback: play or pause, and the speed. */

import { button, el, icon } from "./dom.js";
import { SPEEDS_S, togglePlay } from "./player.js";
import { fill } from "./texts.js";

/**
 * Make the playback controls.
 * @param {object} app
 * @returns {HTMLElement}
 */
export function createPlayerBar(app) {
  const words = app.texts.viewer;
  const play = button({ label: words.play, icon: "play", key: "Space", on: () => togglePlay(app) });
  const speed = el(
    "select",
    { class: "select player-speed", attrs: { "aria-label": words.speed }, title: words.speed },
    ...SPEEDS_S.map(option),
  );
  speed.addEventListener("change", () => app.state.set({ speedS: Number(speed.value) }));
  const element = el("div", { class: "player", attrs: { role: "group", "aria-label": words.playback } }, play, speed);

  function option(seconds) {
    return el("option", { text: fill(words.speedValue, { seconds }), attrs: { value: seconds } });
  }

  function update({ playing, speedS, shown }) {
    const label = playing ? words.pause : words.play;
    play.setAttribute("aria-label", label);
    play.title = `${label} (Space)`;
    play.replaceChildren(icon(playing ? "pause" : "play"));
    play.disabled = shown.length < 2;
    if (![...speed.options].some((each) => Number(each.value) === speedS)) speed.append(option(speedS));
    speed.value = String(speedS);
  }

  app.state.on(["playing", "speedS", "shown"], update);
  update(app.state.get());
  return element;
}
