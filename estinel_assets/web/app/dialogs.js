/** Dialogs: opened over the page, closed by Esc, the button or a click beside them. */
import { button, el } from "./dom.js";

/**
 * Make a dialog.
 * @param {{title: string, close: string, class?: string}} options - `close` is the closing button's label
 * @returns {{dialog: HTMLDialogElement, body: HTMLElement, open: function(): void}}
 */
export function makeDialog({ title, close, class: className = "" }) {
  const id = `dialog-${className}-title`;
  // It may scroll, so the keyboard must be able to reach it.
  const body = el("div", { class: "dialog-body", attrs: { tabindex: "0", role: "group", "aria-labelledby": id } });
  const dialog = el(
    "dialog",
    { class: `dialog ${className}`, attrs: { "aria-labelledby": id } },
    el(
      "header",
      { class: "dialog-head" },
      el("h2", { text: title, attrs: { id } }),
      button({ label: close, icon: "close", on: () => dialog.close() }),
    ),
    body,
  );
  dialog.addEventListener("click", (event) => {
    // A click on the dialog itself and not on its content fell beside it.
    if (event.target === dialog && isBeside(dialog, event)) dialog.close();
  });
  return {
    dialog,
    body,
    open: () => {
      if (!dialog.open) dialog.showModal();
      body.scrollTop = 0;
    },
  };
}

function isBeside(dialog, event) {
  const box = dialog.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}
