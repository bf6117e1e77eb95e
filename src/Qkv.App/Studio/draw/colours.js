// @ts-check
// Colours of numbers. Each of Q, K, V, hidden states (x) and attention (a) has one hue everywhere; what is below zero is grey-rose for all.

/** @typedef {'q' | 'k' | 'v' | 'x' | 'a'} Tone */

/** @type {Map<string, Uint32Array>} */
const colourTables = new Map();
/** @type {Map<string, [number, number, number]>} */
const themeColours = new Map();

/** Forgets the tables; another theme has other colours. */
export function forgetColours() {
  colourTables.clear();
  themeColours.clear();
}

/**
 * @param {string} name of a custom property that holds #rrggbb
 * @returns {[number, number, number]}
 */
export function themeColour(name) {
  let colour = themeColours.get(name);
  if (!colour) {
    const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    colour = /** @type {[number, number, number]} */ ([1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) || 0));
    themeColours.set(name, colour);
  }
  return colour;
}

/**
 * 256 colours as the bytes of a canvas: from the paper to the tone, or from the grey-rose of negative numbers over the paper to the tone.
 * @param {Tone} tone
 * @param {boolean} signed
 */
export function colourTable(tone, signed) {
  const key = `${tone}${signed}`;
  let table = colourTables.get(key);
  if (!table) {
    table = new Uint32Array(256);
    const paper = themeColour('paper-cell'), most = themeColour(`${tone}-full`), least = themeColour('negative');
    for (let n = 0; n < 256; n++) {
      const at = signed ? (n - 127.5) / 127.5 : n / 255;
      const to = at < 0 ? least : most;
      // Small numbers are the most; the root makes them visible.
      const share = Math.abs(at) ** 0.65;
      const [r, g, b] = [0, 1, 2].map((part) => Math.round(paper[part] + (to[part] - paper[part]) * share));
      table[n] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
    colourTables.set(key, table);
  }
  return table;
}

/**
 * Where a number stands in the table.
 * @param {number} value
 * @param {number} limit the largest size
 * @param {boolean} signed
 */
export function colourIndex(value, limit, signed) {
  const at = limit > 0 ? (value === -Infinity ? -1 : value / limit) : 0;
  return Math.max(0, Math.min(255, Math.round(signed ? at * 127.5 + 127.5 : at * 255)));
}

/** @param {number} bytes a colour of a table */
export function cssColour(bytes) {
  return `rgb(${bytes & 255},${(bytes >> 8) & 255},${(bytes >> 16) & 255})`;
}

/**
 * Black or white, whichever reads better on it.
 * @param {number} bytes
 */
export function inkOn(bytes) {
  const [r, g, b] = [bytes & 255, (bytes >> 8) & 255, (bytes >> 16) & 255].map((part) => (part / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2 ? '#10131a' : '#ffffff';
}
