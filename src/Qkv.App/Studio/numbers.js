// @ts-check
// Numbers as they are shown, and the little arithmetic that the page does itself: in double precision, on the model's float32.

/**
 * @param {number} value
 * @param {number} [digits] after the point
 */
export function fmt(value, digits = 3) {
  if (Number.isNaN(value)) return '?';
  if (!Number.isFinite(value)) return value < 0 ? '−∞' : '∞';
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}

/**
 * What is added: `+ 0.5`, or `− 0.5` for a negative number.
 * @param {string} text as `fmt` makes it
 */
export function plusTerm(text) {
  return text.startsWith('−') ? `− ${text.slice(1)}` : `+ ${text}`;
}

/**
 * What is taken away: `− 0.5`, or `+ 0.5` for a negative number.
 * @param {string} text as `fmt` makes it
 */
export function minusTerm(text) {
  return text.startsWith('−') ? `+ ${text.slice(1)}` : `− ${text}`;
}

/**
 * Numbers rounded so that what is shown adds up to what is shown as the sum: each is rounded down or up, and those nearest to the next unit
 * go up (the largest-remainder method), so none is off by a whole unit of the last digit.
 * @param {ArrayLike<number>} values
 * @param {number} digits
 * @returns {{ parts: string[], sum: string }}
 */
export function roundToSum(values, digits) {
  const unit = 10 ** digits;
  const floors = new Array(values.length), order = new Array(values.length);
  let sum = 0, floored = 0;
  for (let i = 0; i < values.length; i++) {
    const scaled = values[i] * unit;
    floors[i] = Math.floor(scaled);
    sum += scaled;
    floored += floors[i];
    order[i] = i;
  }
  if (!Number.isFinite(sum)) return { parts: Array.from(values, (value) => fmt(value, digits)), sum: fmt(sum / unit, digits) };
  const up = Math.round(sum) - floored;
  order.sort((a, b) => (values[b] * unit - floors[b]) - (values[a] * unit - floors[a]));
  for (let n = 0; n < up && n < order.length; n++) floors[order[n]]++;
  return { parts: floors.map((value) => fmt(value / unit, digits)), sum: fmt(Math.round(sum) / unit, digits) };
}

/**
 * @param {ArrayLike<number>} a
 * @param {number} startA
 * @param {ArrayLike<number>} b
 * @param {number} startB
 * @param {number} count
 */
export function dot(a, startA, b, startB, count) {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += a[startA + i] * b[startB + i];
  return sum;
}

/**
 * weights = exp(score − largest) / Σ exp(score − largest)
 * @param {ArrayLike<number>} scores
 * @returns {{ exponentials: Float64Array, total: number, largest: number, weights: Float64Array }}
 */
export function softmax(scores) {
  let largest = -Infinity, total = 0;
  for (let i = 0; i < scores.length; i++) largest = Math.max(largest, scores[i]);
  const exponentials = new Float64Array(scores.length), weights = new Float64Array(scores.length);
  for (let i = 0; i < scores.length; i++) total += exponentials[i] = largest === -Infinity ? 0 : Math.exp(scores[i] - largest);
  for (let i = 0; i < scores.length; i++) weights[i] = total > 0 ? exponentials[i] / total : 0;
  return { exponentials, total, largest, weights };
}

/** @param {ArrayLike<number>} weights in nats */
export function entropyOf(weights) {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) if (weights[i] > 0) sum -= weights[i] * Math.log(weights[i]);
  return sum;
}

/**
 * The size of the softmax's gradient: the Frobenius norm of its Jacobian diag(p) − p·pᵀ, which is √(Σp² − 2Σp³ + (Σp²)²).
 * @param {ArrayLike<number>} p
 */
export function jacobianNorm(p) {
  let squares = 0, cubes = 0;
  for (let i = 0; i < p.length; i++) {
    squares += p[i] * p[i];
    cubes += p[i] * p[i] * p[i];
  }
  return Math.sqrt(Math.max(0, squares - 2 * cubes + squares * squares));
}

/**
 * @param {ArrayLike<number>} row
 * @param {number} epsilon
 */
export function normOf(row, epsilon) {
  let sum = 0, squares = 0;
  for (let i = 0; i < row.length; i++) sum += row[i];
  const mean = sum / row.length;
  for (let i = 0; i < row.length; i++) squares += (row[i] - mean) ** 2;
  const variance = squares / row.length;
  return { mean, deviation: Math.sqrt(variance + epsilon) };
}

/**
 * The places of the largest numbers, largest first.
 * @param {ArrayLike<number>} values
 * @param {number} count
 */
export function largestOf(values, count) {
  return Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[b] - values[a] || a - b).slice(0, count);
}
