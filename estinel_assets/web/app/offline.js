/** Registers the service worker, which keeps the page and what it showed for when there is no connection. */
import { el } from "./dom.js";
import { texts } from "./texts.js";

/**
 * Keep the page for offline use, where the browser allows it, and say when the connection is gone.
 * @param {object} app
 */
export function offline(app) {
  showConnection();
  if (!window.isSecureContext || !("serviceWorker" in navigator)) return;
  const worker = new URL("../sw.js", import.meta.url);
  navigator.serviceWorker
    .register(worker, { updateViaCache: "none" })
    .then(() => navigator.serviceWorker.ready)
    .then(({ active }) => active.postMessage({ keep: loaded() }))
    // A private window or a full disk: the page works, only not offline.
    .catch((error) => console.info(`not kept for offline use: ${error.message}`));
  const { url } = app.catalog;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    navigator.serviceWorker.controller?.postMessage({ keep: [url] });
  });
}

/** What the page fetched before the service worker saw its requests. */
function loaded() {
  const entries = performance.getEntriesByType("resource").map((entry) => entry.name);
  return entries.filter((address) => /^https?:/.test(address)).slice(0, 400);
}

function showConnection() {
  const footer = document.getElementById("footer");
  const mark = el("span", { class: "badge footer-offline", text: texts.core.footer.offline, attrs: { role: "status" } });
  const update = () => {
    mark.hidden = navigator.onLine;
    footer.classList.toggle("is-offline", !navigator.onLine);
  };
  footer.append(mark);
  update();
  window.addEventListener("online", update);
  window.addEventListener("offline", update);
}
