/** Long work in slices, so that the page goes on answering. */

const SLICE_MS = 8;

/**
 * Run a generator to its end at once.
 * @template T
 * @param {Generator<unknown, T, void>} work
 * @returns {T} what it returns
 */
export function runAtOnce(work) {
  for (;;) {
    const { done, value } = work.next();
    if (done) {
      return value;
    }
  }
}

/**
 * Run a generator to its end in slices of some milliseconds.
 * @template T
 * @param {Generator<unknown, T, void>} work yields often; what it does between two yields is not interrupted
 * @returns {Promise<T>} what it returns
 */
export async function runInSlices(work) {
  await pause();
  let until = performance.now() + SLICE_MS;
  for (;;) {
    const { done, value } = work.next();
    if (done) {
      return value;
    }
    if (performance.now() > until) {
      await pause();
      until = performance.now() + SLICE_MS;
    }
  }
}

/** Let the page do other things first. Timers would be slow in a tab that is not shown. */
function pause() {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(null);
  });
}
