// @ts-check
// Beside the page: asks the server, takes its answers apart, and hands them over as numbers. Some megabytes of JSON never meet the page's own thread.

import { addPeaks, thumbnailSide } from './thumbnail.js';

/** @type {Map<number, AbortController>} */
const runningQuestions = new Map();

/** @param {string} text @returns {Uint8Array} */
function bytesOf(text) {
  const native = /** @type {any} */ (Uint8Array).fromBase64;
  if (native) return native.call(Uint8Array, text);
  const characters = atob(text), bytes = new Uint8Array(characters.length);
  for (let i = 0; i < characters.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/**
 * Every `{shape, data}` as numbers; a map (H, L, L) as small pictures of its heads.
 * @param {any} value
 * @param {Transferable[]} memory what is handed over
 * @returns {any}
 */
function numbersIn(value, memory) {
  if (Array.isArray(value)) return value.map((one) => numbersIn(one, memory));
  if (!value || typeof value !== 'object') return value;
  if (typeof value.data === 'string' && Array.isArray(value.shape)) {
    const bytes = bytesOf(value.data);
    if (!('least' in value)) {
      memory.push(bytes.buffer);
      return { shape: value.shape, data: new Float32Array(bytes.buffer) };
    }
    const [heads, length] = value.shape, side = thumbnailSide(length);
    const thumbnails = Array.from({ length: heads }, (_, head) => {
      const peaks = new Float32Array(side * side), row = new Float32Array(length);
      for (let i = 0; i < length; i++) {
        for (let j = 0; j < length; j++) row[j] = value.least + (bytes[(head * length + i) * length + j] / 255) * (value.most - value.least);
        addPeaks(peaks, side, row, i, length);
      }
      memory.push(peaks.buffer);
      return peaks;
    });
    return { thumbnails };
  }
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, numbersIn(one, memory)]));
}

/** @param {{ id: number, path: string, body: any, cancel?: boolean }} question */
async function answerQuestion({ id, path, body, cancel }) {
  if (cancel) {
    runningQuestions.get(id)?.abort();
    return;
  }
  const controller = new AbortController();
  runningQuestions.set(id, controller);
  try {
    const answer = await fetch(path, body === null ? { signal: controller.signal } : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal: controller.signal });
    const json = await answer.json();
    /** @type {Transferable[]} */
    const memory = [];
    if (answer.ok) postMessage({ id, json: numbersIn(json, memory) }, { transfer: memory });
    else postMessage({ id, refusal: json.error ?? `${answer.status}` });
  } catch {
    postMessage({ id, gone: true });
  } finally {
    runningQuestions.delete(id);
  }
}

addEventListener('message', (event) => { answerQuestion(event.data); });
