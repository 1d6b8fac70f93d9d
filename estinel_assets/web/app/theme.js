/** Dark, light, or as the system has it. */
import { fill, texts } from "./texts.js";

const KEY = "estinel_theme";
const THEMES = ["dark", "light", "auto"];

/**
 * The theme that this browser was left with.
 * @param {Storage|null} storage
 * @returns {"dark"|"light"|"auto"} dark where none was chosen
 */
export function storedTheme(storage) {
  const theme = storage?.getItem(KEY);
  return THEMES.includes(theme) ? theme : "dark";
}

/**
 * Keep the page in the state's theme: `data-theme` of the root is the choice, `data-scheme` what it
 * comes to, "dark" or "light".
 * @param {object} app
 * @param {Storage|null} storage - where the choice is kept
 */
export function mountTheme(app, storage) {
  const system = window.matchMedia("(prefers-color-scheme: light)");
  const apply = () => {
    const { theme } = app.state.get();
    const ofSystem = system.matches ? "light" : "dark";
    const shown = theme === "auto" ? ofSystem : theme;
    document.documentElement.dataset.theme = theme;
    document.documentElement.dataset.scheme = shown;
    document.querySelector("meta[name=color-scheme]").content = shown;
  };
  apply();
  system.addEventListener("change", apply);
  app.state.on(["theme"], (state) => {
    apply();
    try {
      storage?.setItem(KEY, state.theme);
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
    }
  });
}

/**
 * Go on to the next theme.
 * @param {object} app
 */
export function nextTheme(app) {
  const { theme } = app.state.get();
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  app.state.set({ theme: next });
  app.announce(fill(texts.core.said.theme, { theme: texts.core.toolbar.themes[next] }));
}
