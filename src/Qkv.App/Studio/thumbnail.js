// @ts-check
// A map of L × L weights as a small picture: each of its cells has the largest weight of those that it covers.

const THUMBNAIL_SIDE = 128;

/** @param {number} length */
export function thumbnailSide(length) {
  return Math.min(length, THUMBNAIL_SIDE);
}

/**
 * One row of weights.
 * @param {Float32Array} peaks (side, side)
 * @param {number} side
 * @param {Float32Array} row (L)
 * @param {number} i
 * @param {number} length
 */
export function addPeaks(peaks, side, row, i, length) {
  const start = Math.floor(i * side / length) * side;
  for (let j = 0; j < length; j++) {
    const at = start + Math.floor(j * side / length);
    if (row[j] > peaks[at]) peaks[at] = row[j];
  }
}
