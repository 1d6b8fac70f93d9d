/** The frame at the side: which panel is open, its heading, its closing. */
import { button, replaceChildren } from "./dom.js";
import { PANELS } from "./state.js";
import { texts } from "./texts.js";

/**
 * Follow the state's panel.
 * @param {HTMLElement} frame
 * @param {object} app
 */
export function mountPanels(frame, app) {
  const title = frame.querySelector("#panel-title");
  const bodies = new Map(PANELS.map((name) => [name, frame.querySelector(`#panel-${name}`)]));
  const close = button({ label: texts.core.close, icon: "close", key: "Esc", on: () => app.state.set({ panel: null }) });
  replaceChildren(frame.querySelector("#panel-close"), close);
  let opener = null;
  let open = null;

  const update = ({ panel }) => {
    if (panel !== null && open === null) opener = document.activeElement;
    const hadFocus = frame.contains(document.activeElement);
    frame.hidden = panel === null;
    title.textContent = panel === null ? "" : texts.core.toolbar[panel];
    for (const [name, body] of bodies) body.hidden = name !== panel;
    document.body.classList.toggle("has-panel", panel !== null);
    if (panel === null && hadFocus && opener instanceof HTMLElement && opener.isConnected) opener.focus();
    open = panel;
  };
  update(app.state.get());
  app.state.on(["panel"], update);
}
