// @ts-check
// The frame that every section has: a number, a heading, a sentence or two, a formula with this model's sizes and numbers, pictures.

import { coloured, el, fill } from './dom.js';
import { t } from './text.js';

// Options of a list that are made at once.
const LONG_LIST = 64;

/**
 * What every section is given when something was chosen.
 * @typedef {object} View
 * @property {import('./state.js').State} state
 * @property {import('./source.js').Source} source
 * @property {import('./source.js').Info} info
 * @property {import('./source.js').Reading} reading
 * @property {import('./source.js').HeadView} look
 * @property {import('./source.js').Token[]} tokens
 * @property {string[]} labels a word for every token
 * @property {number} length
 */

/**
 * @typedef {object} Section
 * @property {HTMLElement} element
 * @property {(view: View) => (void | Generator<void>)} update
 */

/** @typedef {{ choose: (patch: Partial<import('./state.js').State>) => void}} Page */

/**
 * @param {number} number
 * @param {string} id
 * @param {...import('./dom.js').Child} body
 */
export function sectionFrame(number, id, ...body) {
  const formula = el('p', { class: 'formula', tabindex: '0', role: 'group', 'aria-label': t('formula') });
  const element = el('section', { id, 'aria-labelledby': `${id}-title` },
    el('header', { class: 'section-head' },
      el('span', { class: 'section-number', 'aria-hidden': 'true' }, String(number)),
      el('h2', { id: `${id}-title` }, t(`${id}.title`)),
      el('p', { class: 'lead' }, ...coloured(t(`${id}.lead`))),
      formula),
    el('div', { class: 'section-body' }, ...body));
  return {
    element,
    /** @param {...string} lines marked up for `coloured` */
    setFormula(...lines) {
      fill(formula, ...lines.map((line) => el('span', { class: 'formula-line' }, ...coloured(line))));
      formula.hidden = lines.length === 0;
    },
  };
}

/**
 * Buttons of which one is pressed.
 * @template {string} T
 * @param {string} label
 * @param {{ value: T, text: string, tone?: string }[]} choices
 * @param {(value: T) => void} onchoose
 */
export function choiceRow(label, choices, onchoose) {
  const buttons = choices.map(({ value, text, tone }) => el('button', { type: 'button', class: tone ? `choice tone-${tone}` : 'choice', 'aria-pressed': 'false', onclick: () => onchoose(value) }, text));
  return {
    element: el('div', { class: 'choices', role: 'group', 'aria-label': label }, ...buttons),
    /** @param {T} value */
    set(value) {
      buttons.forEach((button, n) => button.setAttribute('aria-pressed', String(choices[n].value === value)));
    },
  };
}

/**
 * A list to choose from. A long one is filled when someone comes to it.
 * @param {HTMLSelectElement} box
 * @param {number} count
 * @param {(n: number) => string} words
 * @param {number} chosen
 */
export function fillChoices(box, count, words, chosen) {
  const option = (/** @type {number} */ n) => el('option', { value: n }, words(n));
  const all = () => Array.from({ length: count }, (_, n) => option(n));
  if (count <= LONG_LIST) fill(box, ...all());
  else {
    fill(box, option(chosen));
    box.onfocus = () => {
      const { value } = box;
      fill(box, ...all());
      box.value = value;
      box.onfocus = null;
    };
  }
  box.value = String(chosen);
}

/**
 * A table with a heading for each column; numbers are to the right.
 * @param {string} caption
 * @param {string[]} headings
 * @param {(HTMLTableRowElement)[]} rows
 */
export function tableOf(caption, headings, rows) {
  return el('div', { class: 'table-scroll', tabindex: '0', role: 'group', 'aria-label': caption },
    el('table', {}, el('caption', {}, caption),
      el('thead', {}, el('tr', {}, ...headings.map((heading) => (heading ? el('th', { scope: 'col' }, ...coloured(heading)) : el('td', {}))))),
      el('tbody', {}, ...rows)));
}

/**
 * @param {string} heading
 * @param {(string | HTMLTableCellElement)[]} cells
 * @param {string} [kind] the row's class
 */
export function rowOfTable(heading, cells, kind = '') {
  return el('tr', { class: kind || null }, el('th', { scope: 'row' }, heading), ...cells.map((cell) => (typeof cell === 'string' ? el('td', {}, cell) : cell)));
}
