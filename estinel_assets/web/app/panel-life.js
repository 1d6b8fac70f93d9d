/** When a panel works: only while it is the open one. */

/** Time in one frame for building, in milliseconds. */
const SLICE_MS = 5;

/**
 * Build a panel when it opens, and take it away when it closes.
 * @param {object} app
 * @param {HTMLElement} element - the panel's place; emptied when it closes
 * @param {string} name - as in `state.panel`
 * @param {function(HTMLElement, object): function(): void} open - builds it, returns what ends it
 */
export function followPanel(app, element, name, open) {
  let close = null;
  function follow() {
    const wanted = app.state.get().panel === name;
    if (wanted && close === null) {
      close = open(element, app);
    } else if (!wanted && close !== null) {
      close();
      close = null;
      element.replaceChildren();
    }
  }
  app.state.on(["panel"], follow);
  follow();
}

/**
 * Do many small tasks without holding up the page: some in each frame.
 * @param {Iterable<function(): void>} tasks
 * @param {function(): void} [done] - called once after the last
 * @returns {function(): void} stops what is left
 */
export function inSlices(tasks, done = () => {}) {
  const iterator = tasks[Symbol.iterator]();
  let frame = 0;
  function slice() {
    frame = 0;
    const until = performance.now() + SLICE_MS;
    do {
      const next = iterator.next();
      if (next.done) {
        done();
        return;
      }
      next.value();
    } while (performance.now() < until);
    frame = requestAnimationFrame(slice);
  }
  slice();
  return () => {
    if (frame !== 0) cancelAnimationFrame(frame);
  };
}

/**
 * Call back with an element's width, now and whenever it changes.
 * @param {Element} element
 * @param {function(number): void} run - gets whole CSS pixels, never 0
 * @returns {function(): void} ends it
 */
export function watchWidth(element, run) {
  let width = 0;
  const observer = new ResizeObserver(() => {
    const now = Math.floor(element.clientWidth);
    if (now === 0 || now === width) return;
    width = now;
    run(now);
  });
  observer.observe(element);
  return () => observer.disconnect();
}
