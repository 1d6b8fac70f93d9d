/** The dialog that shares exactly what the page shows. */
import { addressOf } from "./address.js";
import { copyButton } from "./copying.js";
import { attributionOf } from "./details.js";
import { makeDialog } from "./dialogs.js";
import { dayText } from "./days.js";
import { button, el, replaceChildren } from "./dom.js";
import { currentImage, secondImage } from "./state.js";
import { fill, texts } from "./texts.js";

let made = null;

/**
 * Make the dialog; it stays closed.
 * @param {HTMLElement} element - where it stands
 * @param {object} app
 */
export function mount(element, app) {
  const words = texts.panels.share;
  made = makeDialog({ title: words.title, close: words.close, class: "share" });
  element.append(made.dialog);
  made.dialog.addEventListener("close", () => replaceChildren(made.body));
  made.app = app;
}

/**
 * Open the dialog on what the page shows now.
 * @param {object} app
 */
export function openShare(app) {
  const state = app.state.get();
  const address = addressOf(state, window.location.href);
  const text = sharedText(state, address);
  const words = texts.panels.share;
  replaceChildren(
    made.body,
    el("p", { class: "muted", text: words.hint }),
    isLocal(window.location.hostname) && el("p", { class: "panel-warning", text: words.local }),
    addressField(app, address),
    el("label", { class: "dialog-label", text: words.message, attrs: { for: "share-text" } }),
    textField(text),
    el(
      "div",
      { class: "dialog-actions" },
      copyButton(app, {
        what: words.what.text,
        label: words.copyText,
        text: () => text,
        onButton: words.copyText,
        class: "button-primary",
      }),
      typeof navigator.share === "function" && sendButton(text),
    ),
  );
  made.open();
  made.body.querySelector("#share-address").select();
}

/**
 * What is shared: what is seen, where, and who must be named.
 * @param {object} state
 * @param {string} address
 * @returns {string} lines
 */
export function sharedText(state, address) {
  const words = texts.panels.share;
  const image = currentImage(state);
  const second = state.mode === "single" ? null : secondImage(state);
  const site = state.site?.name ?? "";
  if (image === null) return [fill(words.textSite, { site }), address].filter(Boolean).join("\n");
  const values = { site, date: dayText(image.date), view: state.view ?? "" };
  const title =
    second === null ? fill(words.text, values) : fill(words.textTwo, { ...values, second: dayText(second.date) });
  const sources = new Set([image, second].filter(Boolean).map(attributionOf));
  return [title, address, ...sources].join("\n");
}

function addressField(app, address) {
  const words = texts.panels.share;
  const input = el("input", { class: "input mono", attrs: { id: "share-address", type: "text", readonly: true } });
  input.value = address;
  input.addEventListener("focus", () => input.select());
  return el(
    "div",
    { class: "share-address" },
    el("label", { class: "dialog-label", text: words.address, attrs: { for: "share-address" } }),
    el(
      "div",
      { class: "share-row" },
      input,
      copyButton(app, { what: words.what.address, label: words.copyAddress, text: () => address }),
    ),
  );
}

function textField(text) {
  const field = el("textarea", { class: "input share-text", attrs: { id: "share-text", readonly: true, rows: "6" } });
  field.value = text;
  return field;
}

function sendButton(text) {
  const words = texts.panels.share;
  return button({
    label: words.send,
    text: words.send,
    icon: "share",
    on: async () => {
      try {
        await navigator.share({ title: words.title, text });
      } catch (error) {
        // The reader closed the system's dialog, or the system has nothing to send with.
        if (!(error instanceof DOMException)) throw error;
      }
    },
  });
}

function isLocal(host) {
  return host === "localhost" || host === "[::1]" || host.endsWith(".localhost") || /^127\./.test(host);
}
