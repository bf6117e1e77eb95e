// @ts-check
// Work in small pieces, a few milliseconds a frame, so that scrolling never waits for a drawing.

// A frame has 16 ms; the browser needs its share of them.
const FRAME_BUDGET = 4;

/** @typedef {() => (void | Generator<void>)} Work done at once, or a step at a time */
/** @typedef {{ work: Work, steps: Generator<void> | null, visible: () => boolean }} Job */

/** @type {Map<any, Job>} */
const scheduledJobs = new Map();
let frameAsked = false;

/**
 * Does something soon: what is visible first. A second job of the same key takes the place of the first.
 * @param {any} key
 * @param {Work} work
 * @param {() => boolean} [visible]
 */
export function soon(key, work, visible = () => true) {
  scheduledJobs.delete(key);
  scheduledJobs.set(key, { work, steps: null, visible });
  askForFrame();
}

/**
 * Does something when nothing else is left to do.
 * @param {any} key
 * @param {() => void} work
 */
export function whenDone(key, work) {
  soon(key, () => {
    if (scheduledJobs.size > 1) whenDone(key, work);
    else work();
  }, () => false);
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
    const next = nextJob();
    if (!next) break;
    const [key, job] = next;
    if (!job.steps) {
      const begun = job.work();
      if (begun) job.steps = begun;
      else forget(key, job);
    }
    if (job.steps && job.steps.next().done) forget(key, job);
  } while (performance.now() < end);
  askForFrame();
}

/** @returns {[any, Job] | undefined} */
function nextJob() {
  for (const entry of scheduledJobs) if (entry[1].visible()) return entry;
  return scheduledJobs.entries().next().value;
}

/** @param {any} key @param {Job} job unless another has taken its place meanwhile */
function forget(key, job) {
  if (scheduledJobs.get(key) === job) scheduledJobs.delete(key);
}

/** Lets the browser draw and scroll before the work goes on. */
export function breathe() {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
