/** Buttons that copy a text and say so. */
import { button, el, icon } from "./dom.js";
import { fill, texts } from "./texts.js";

const SAID_MS = 2000;

/**
 * Put a text on the clipboard.
 * @param {string} text
 * @param {Element} [near] - where a field may stand for a moment, in an open dialog for one
 * @returns {Promise<boolean>} whether it is there
 */
export async function copyText(text, near = document.body) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch (error) {
      // Refused by the browser's settings: the older way may still be open.
      if (!(error instanceof DOMException)) throw error;
    }
  }
  return copyBySelection(text, near);
}

/**
 * Make a button that copies.
 * @param {object} app
 * @param {{what: string, label: string, text: function(): string, onButton?: string, class?: string}} options -
 *   `what` is named when it is announced, `label` the accessible name, `text` what is copied, `onButton` what
 *   stands on the button
 * @returns {HTMLButtonElement}
 */
export function copyButton(app, { what, label, text, onButton, class: className = "" }) {
  const words = texts.panels;
  const made = button({
    label,
    icon: "copy",
    text: onButton,
    class: `copy-button ${className}`,
    on: async () => {
      const done = await copyText(text(), made.parentElement ?? document.body);
      app.announce(done ? fill(words.saidCopied, { what }) : words.copyFailed);
      showResult(made, done);
    },
  });
  return made;
}

function showResult(made, done) {
  clearTimeout(Number(made.dataset.timer));
  const said = done ? texts.panels.copied : texts.panels.copyFailed;
  made.querySelector(".copy-said")?.remove();
  made.querySelector(".icon")?.replaceWith(icon(done ? "check" : "warning"));
  made.dataset.result = done ? "copied" : "failed";
  made.append(el("span", { class: "copy-said", text: said, attrs: { "aria-hidden": "true" } }));
  made.dataset.timer = String(
    setTimeout(() => {
      made.querySelector(".copy-said")?.remove();
      made.querySelector(".icon")?.replaceWith(icon("copy"));
      delete made.dataset.result;
    }, SAID_MS),
  );
}

function copyBySelection(text, near) {
  const field = el("textarea", { class: "visually-hidden", attrs: { readonly: true, "aria-hidden": "true", tabindex: "-1" } });
  field.value = text;
  const focused = document.activeElement;
  near.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return done;
}
