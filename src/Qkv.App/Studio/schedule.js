// @ts-check
// Work in small pieces, one or a few a frame, so that scrolling never waits for a drawing.

// A frame has 16 ms; the browser needs its share of them.
const FRAME_BUDGET = 4;

/** @typedef {{ run: () => void, visible: () => boolean }} Job */

/** @type {Map<any, Job>} */
const scheduledJobs = new Map();
let frameAsked = false;

/**
 * Does something soon: what is visible first. A second job of the same key takes the place of the first.
 * @param {any} key
 * @param {() => void} run
 * @param {() => boolean} [visible]
 */
export function soon(key, run, visible = () => true) {
  scheduledJobs.set(key, { run, visible });
  askForFrame();
}

/** Whether nothing is left to draw. */
export function isIdle() {
  return scheduledJobs.size === 0;
}

function askForFrame() {
  if (frameAsked || scheduledJobs.size === 0) return;
  frameAsked = true;
  // No frames come to a hidden page, but its work is still to be done.
  if (document.hidden) setTimeout(runJobs, 16);
  else requestAnimationFrame(runJobs);
}

function runJobs() {
  frameAsked = false;
  const end = performance.now() + FRAME_BUDGET;
  do {
    let next = [...scheduledJobs].find(([, job]) => job.visible());
    // What nobody sees waits for a frame of its own.
    next ??= scheduledJobs.entries().next().value;
    if (!next) break;
    scheduledJobs.delete(next[0]);
    next[1].run();
  } while (performance.now() < end);
  askForFrame();
}

/** Lets the browser draw and scroll before the work goes on. */
export function breathe() {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
