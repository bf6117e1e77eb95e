// @ts-check
// 1. The sentence and its tokens.

import { coloured, el, fill } from './dom.js';
import { percent } from './draw/bars.js';
import { sectionFrame } from './section.js';
import { t } from './text.js';

// Enough that the line is not laid out anew too often, few enough for a frame.
const CHIPS_A_STEP = 128;

// Waits until the fingers rest.
const TYPING_PAUSE = 350;

const EXAMPLES = [
  { a: '我想吃酸菜鱼', b: '' },
  { a: '请问附近有什么好吃的[MASK]馆吗？', b: '' },
  { a: 'The cat sat on the mat because it was tired.', b: '' },
  { a: '我想吃酸菜鱼', b: '附近有一家四川菜馆' },
];

/**
 * @param {import('./section.js').Page} page
 * @returns {import('./section.js').Section & { fail: (words: string) => void, busy: (waiting: boolean) => void }}
 */
export function tokensSection(page) {
  const first = el('textarea', { id: 'sentence-a', rows: '1', autocomplete: 'off', spellcheck: 'false' });
  const second = el('textarea', { id: 'sentence-b', rows: '1', autocomplete: 'off', spellcheck: 'false', placeholder: t('tokens.none') });
  const error = el('p', { class: 'error', role: 'alert' });
  const chips = el('div', { class: 'chips', role: 'group', 'aria-label': t('tokens.chips') });
  const facts = el('p', { class: 'model-facts' }), guesses = el('div', { class: 'guesses' });
  let typing = 0;

  const send = () => {
    clearTimeout(typing);
    if (first.value.trim() || second.value.trim()) page.choose({ a: first.value, b: second.value });
  };
  const form = el('form', { class: 'sentence', novalidate: true, onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); send(); } },
    el('div', { class: 'field' }, el('label', { for: 'sentence-a' }, t('tokens.a')), first),
    el('div', { class: 'field' }, el('label', { for: 'sentence-b' }, t('tokens.b')), second));
  for (const field of [first, second]) {
    field.addEventListener('input', (event) => {
      grow(field);
      clearTimeout(typing);
      if (!(/** @type {InputEvent} */ (event).isComposing)) typing = setTimeout(send, TYPING_PAUSE);
    });
    field.addEventListener('compositionend', send);
    field.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.isComposing || event.shiftKey) return;
      event.preventDefault();
      send();
    });
  }
  const examples = el('div', { class: 'examples' }, el('span', { class: 'quiet' }, t('tokens.examples')),
    ...EXAMPLES.map(({ a, b }) => el('button', { type: 'button', class: 'example', onclick: () => page.choose({ a, b, i: -1, j: -1 }) }, b ? `${a} + ${b}` : a)));

  const frame = sectionFrame(1, 'tokens', form, examples, error, chips, el('p', { class: 'hint' }, ...coloured(t('tokens.hint'))), guesses, facts);

  /** @type {HTMLButtonElement[]} */
  let buttons = [];
  /** @type {import('./source.js').Token[] | null} */
  let shown = null;
  chips.addEventListener('keydown', (event) => {
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined || !buttons[to]) return;
    event.preventDefault();
    buttons[to].focus();
  });

  let lastI = -1, lastJ = -1;
  return {
    element: frame.element,
    *update({ state, tokens, labels, info, reading, source, length }) {
      for (const [field, text] of /** @type {const} */ ([[first, state.a], [second, state.b]])) {
        if (document.activeElement !== field && field.value !== text) field.value = text;
        field.readOnly = source.recorded;
        grow(field);
      }
      examples.hidden = source.recorded;
      if (shown !== tokens) {
        shown = tokens;
        lastI = lastJ = -1;
        buttons = [];
        fill(chips);
      }
      while (buttons.length < length) {
        const n = buttons.length, token = tokens[n];
        const button = el('button', {
          type: 'button', class: `chip${token.special ? ' special' : ''}${token.segment ? ' second' : ''}`, tabindex: '-1', 'data-token': n,
          onclick: (/** @type {MouseEvent} */ event) => page.choose(event.shiftKey ? { j: n } : { i: n }),
          oncontextmenu: (/** @type {MouseEvent} */ event) => { event.preventDefault(); page.choose({ j: n }); },
        }, el('span', { class: 'chip-text' }, labels[n]), el('span', { class: 'chip-id' }, String(token.id)), el('span', { class: 'unseen' }));
        buttons.push(button);
        chips.append(button);
        if (buttons.length % CHIPS_A_STEP === 0) yield;
      }
      for (const n of [lastI, lastJ, state.i, state.j]) {
        if (!buttons[n]) continue;
        buttons[n].classList.toggle('is-query', n === state.i);
        buttons[n].classList.toggle('is-key', n === state.j);
        buttons[n].tabIndex = n === state.i ? 0 : -1;
        const roles = [n === state.i && t('tokens.isQuery'), n === state.j && t('tokens.isKey')].filter((role) => role).join(', ');
        fill(/** @type {Element} */ (buttons[n].lastElementChild), roles);
        buttons[n].setAttribute('aria-pressed', String(n === state.i));
      }
      [lastI, lastJ] = [state.i, state.j];
      fill(guesses, ...reading.predictions.slice(0, 8).map(({ position, top }) => el('p', { class: 'guess' }, el('span', { class: 'quiet' }, t('tokens.guess', { n: position })),
        ...top.slice(0, 5).map(({ token, score }) => el('span', { class: 'guess-word' }, el('b', {}, token), ` ${percent(score)}`)))));
      frame.setFormula(t('tokens.formula', { count: length, c: info.hidden_size }));
      fill(facts, t('tokens.model', { model: info.model, family: info.family.toUpperCase(), layers: info.layers, heads: info.heads, d: info.head_size, c: info.hidden_size, length }));
    },
    fail(words) {
      fill(error, words);
    },
    busy(waiting) {
      form.setAttribute('aria-busy', String(waiting));
    },
  };
}

/** @param {HTMLTextAreaElement} field */
function grow(field) {
  // A long text is scrolled inside the field; measuring it costs nothing where it fits.
  field.rows = Math.min(5, Math.max(1, Math.ceil(field.value.length / 60)));
}
