// @ts-check
// 8. Experiments on the live model, always beside the unchanged result.

import { el, fill } from './dom.js';
import { createMatrix } from './draw/matrix.js';
import { percent } from './draw/bars.js';
import { fmt } from './numbers.js';
import { fillChoices, rowOfTable, sectionFrame, tableOf } from './section.js';
import { SourceError } from './source.js';
import { t } from './text.js';

/**
 * @typedef {'swap_tokens' | 'permute_keys' | 'disable_head' | 'disable_layer' | 'hide_token' | 'insert_token' | 'delete_token' | 'replace_token' | 'temperature' | 'cross_attention'} Kind
 * @typedef {'a' | 'b' | 'token' | 'at' | 'text' | 'layer' | 'head' | 'value'} Argument
 */

/** What each experiment asks for. @type {Record<Kind, Argument[]>} */
const ARGUMENTS = {
  swap_tokens: ['a', 'b'], permute_keys: ['a', 'b'], disable_head: ['layer', 'head'], disable_layer: ['layer'], hide_token: ['token'],
  replace_token: ['at', 'text'], insert_token: ['at', 'text'], delete_token: ['at'], temperature: ['value'], cross_attention: ['layer'],
};
const KINDS = /** @type {Kind[]} */ (Object.keys(ARGUMENTS));

// Texts up to this length have an experiment done before anyone asks.
const EAGER_LENGTH = 48;

// Those that are done twice: with position embeddings, and with none on either side.
const WITHOUT_POSITIONS_TOO = ['swap_tokens'];

/** @type {{ question: any, state: import('./state.js').State }[]} */
const doneExperiments = [];

/** What was tried on this text, to be recorded with it. @param {string} a @param {string} b */
export function experimentsDone(a, b) {
  return doneExperiments.filter(({ state }) => state.a === a && state.b === b).map(({ question }) => question);
}

/**
 * @param {import('./section.js').Page} page
 * @returns {import('./section.js').Section}
 */
export function experimentsSection(page) {
  /** @type {import('./section.js').View | null} */
  let last = null;
  let kind = /** @type {Kind} */ ('swap_tokens');
  /** @type {Partial<Record<Argument, string>>} */
  let values = {};
  let asked = '', running = new AbortController();
  const kinds = el('div', { class: 'choices wrap', role: 'group', 'aria-label': t('experiments.kinds') });
  const form = el('form', { class: 'experiment-form', onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); start(); } });
  const about = el('p', { class: 'about' }), error = el('p', { class: 'error', role: 'alert' }), results = el('div', { class: 'results', 'aria-live': 'polite' });
  const frame = sectionFrame(8, 'experiments', kinds, about, form, error, results);
  /** @type {Map<Kind, HTMLButtonElement>} */
  const buttons = new Map();
  for (const one of KINDS) {
    const button = el('button', { type: 'button', class: 'choice', 'aria-pressed': 'false', onclick: () => { kind = one; values = {}; asked = ''; page.choose({ experiment: kind }); } }, t(`experiments.${one}`));
    buttons.set(one, button);
    kinds.append(button);
  }

  /** @param {Argument} name @returns {string} what stands there before anyone writes */
  function usual(name) {
    const state = /** @type {import('./section.js').View} */ (last).state, tokens = /** @type {import('./section.js').View} */ (last).tokens;
    const other = state.j !== state.i ? state.j : tokens.findIndex((token, n) => n !== state.i && !token.special);
    switch (name) {
      case 'a': case 'token': case 'at': return String(state.i);
      case 'b': return String(Math.max(0, other));
      case 'layer': return String(state.layer);
      case 'head': return String(state.head);
      case 'value': return '0.25';
      default: return /[\u3400-\u9fff]/.test(state.a) ? '鱼' : 'dog';
    }
  }

  function start() {
    if (!last) return;
    page.choose({ experiment: [kind, ...ARGUMENTS[kind].map((name) => values[name] ?? usual(name))].join(':') });
  }

  function buildForm() {
    if (!last) return;
    const { labels, info, length } = last;
    /** @param {Argument} name @param {number} count @param {(n: number) => string} words */
    const select = (name, count, words) => {
      const chosen = Number(values[name] ?? usual(name));
      const box = el('select', { id: `experiment-${name}`, onchange: () => { values[name] = box.value; } });
      fillChoices(box, count, words, chosen);
      return box;
    };
    const fields = ARGUMENTS[kind].map((name) => {
      let control;
      if (name === 'text' || name === 'value') {
        const box = el('input', { id: `experiment-${name}`, ...(name === 'value' ? { type: 'number', min: '0.01', max: '100', step: 'any' } : { type: 'text', maxlength: '200' }), oninput: () => { values[name] = box.value; } });
        box.value = values[name] ?? usual(name);
        control = box;
      } else if (name === 'layer') control = select(name, info.layers, String);
      else if (name === 'head') control = select(name, info.heads, String);
      else control = select(name, length, (n) => `${n} ${labels[n]}`);
      return el('div', { class: 'field small' }, el('label', { for: `experiment-${name}` }, t(`experiments.argument.${name}`)), control);
    });
    fill(form, ...fields, el('button', { type: 'submit', class: 'primary' }, t('experiments.run')));
  }

  /** @param {string} text as in the address */
  function interventionOf(text) {
    const [name, ...rest] = text.split(':');
    if (!KINDS.includes(/** @type {Kind} */ (name))) return null;
    /** @type {any} */
    const intervention = { kind: name };
    const wanted = ARGUMENTS[/** @type {Kind} */ (name)];
    if (rest.length < wanted.length) return null;
    wanted.forEach((argument, n) => {
      // Text may have colons of its own; it is always last.
      const given = n === wanted.length - 1 ? rest.slice(n).join(':') : rest[n];
      intervention[argument] = argument === 'text' ? given : Number(given);
    });
    return intervention;
  }

  /** @param {import('./section.js').View} view */
  async function run(view) {
    const { state, source } = view, intervention = interventionOf(state.experiment);
    running.abort();
    running = new AbortController();
    const { signal } = running;
    fill(error);
    if (!intervention) return fill(results);
    results.setAttribute('aria-busy', 'true');
    const bases = WITHOUT_POSITIONS_TOO.includes(intervention.kind) ? [[], [{ kind: 'no_positions' }]] : [[]];
    try {
      const parts = [];
      for (const base of bases) {
        const question = { text: state.a, ...(state.b ? { pair: state.b } : {}), interventions: [intervention], base, predictions: true, positions: [intervention.a ?? intervention.token ?? intervention.at ?? state.i].filter((n) => n < view.length) };
        const answer = await source.experiment(question, state.layer, state.head, signal);
        if (signal.aborted) return;
        if (!source.recorded) doneExperiments.push({ question: { ...question, tensors: [`layers.${state.layer}.weights[${state.head}]`] }, state: { ...state } });
        parts.push(resultOf(view, answer, bases.length > 1 ? t(base.length ? 'experiments.noPositions' : 'experiments.positions') : ''));
      }
      fill(results, ...parts);
    } catch (problem) {
      if (signal.aborted) return;
      fill(results);
      fill(error, source.recorded ? t('experiments.notRecorded') : problem instanceof SourceError ? problem.message : t('offline'));
    } finally {
      results.removeAttribute('aria-busy');
    }
  }

  return {
    element: frame.element,
    update(view) {
      last = view;
      const { state, source } = view;
      const given = interventionOf(state.experiment), named = /** @type {Kind} */ (state.experiment.split(':')[0]);
      if (KINDS.includes(named)) kind = named;
      if (given) for (const name of ARGUMENTS[kind]) values[name] = String(given[name]);
      for (const [name, button] of buttons) {
        button.setAttribute('aria-pressed', String(name === kind));
        button.hidden = source.recorded && !source.experiments.some(({ request }) => request.interventions[0]?.kind === name);
      }
      about.textContent = source.recorded ? t(source.experiments.length ? 'experiments.recorded' : 'experiments.none') : t(`experiments.about.${kind}`);
      form.hidden = source.recorded;
      if (source.recorded && source.experiments.length && !given) {
        const first = source.experiments.find(({ request }) => request.interventions[0].kind === kind) ?? source.experiments[0];
        const intervention = /** @type {any} */ (first.request.interventions[0]);
        const text = [intervention.kind, ...ARGUMENTS[/** @type {Kind} */ (intervention.kind)].map((name) => intervention[name])].join(':');
        view = { ...view, state: { ...state, experiment: text } };
        for (const [name, button] of buttons) button.setAttribute('aria-pressed', String(name === intervention.kind));
      }
      frame.setFormula();
      buildForm();
      // Something to look at from the beginning; a long text waits until it is asked for.
      if (!state.experiment && !source.recorded && view.length <= EAGER_LENGTH && kind === 'swap_tokens') view = { ...view, state: { ...state, experiment: `swap_tokens:${usual('a')}:${usual('b')}` } };
      const key = JSON.stringify([view.state.a, view.state.b, view.state.layer, view.state.head, view.state.experiment]);
      if (asked === key) return;
      asked = key;
      run(view);
    },
  };
}

/**
 * @param {import('./section.js').View} view
 * @param {import('./source.js').ExperimentAnswer} answer
 * @param {string} heading
 */
function resultOf(view, answer, heading) {
  const { state } = view, largest = Math.max(0, ...answer.differences);
  const sides = /** @type {const} */ (['before', 'after']).map((name) => {
    const side = answer[name], labels = side.tokens.map((token) => token.token);
    const block = el('div', { class: 'side' }, el('h4', {}, t(`experiments.${name}`)),
      el('p', { class: 'token-line' }, ...side.tokens.slice(0, 64).map((token, n) => el('span', { class: isNew(answer, name, n) ? 'mini-chip changed' : 'mini-chip' }, token.token)), side.tokens.length > 64 ? ' …' : ''));
    if (side.weights) {
      const data = side.weights.data, length = labels.length;
      const matrix = createMatrix({ name: `weights-${name}`, tone: 'a', signed: false, maxCell: 36, maxHeight: 320, readout: (i, j) => t('weights.cell', { i: labels[i], j: labels[j], weight: fmt(data[i * length + j], 4) }) });
      block.append(matrix.element);
      queueMicrotask(() => matrix.set({ title: t('experiments.map', { layer: state.layer, head: state.head }), shape: `${length} × ${length}`, label: t('matrix.label', { name: t('weights.map'), rows: length, columns: length }), rows: length, columns: length, values: data, rowLabels: labels, columnLabels: labels, limit: 1 }));
    }
    return block;
  });
  return el('article', { class: 'result' },
    heading ? el('h3', {}, heading) : null,
    el('p', { class: 'verdict' }, verdictOf(answer, largest)),
    el('dl', { class: 'measures' },
      el('div', {}, el('dt', {}, t('experiments.cosine')), el('dd', { 'data-measure': 'cosine' }, fmt(answer.cosine, 6))),
      el('div', {}, el('dt', {}, t('experiments.context')), el('dd', { 'data-measure': 'context' }, largest === 0 ? '0' : largest < 0.001 ? largest.toExponential(1).replace('e-', ' × 10⁻').replace(/10⁻(\d+)$/, (_, power) => `10⁻${[...power].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)]).join('')}`) : fmt(largest, 4)))),
    el('div', { class: 'two-columns' }, ...sides),
    ...answer.changes.map((change) => guessTable(answer, change)));
}

/** @param {import('./source.js').ExperimentAnswer} answer @param {'before' | 'after'} name @param {number} n */
function isNew(answer, name, n) {
  if (name === 'before') return !answer.rows.includes(n);
  const row = answer.rows[n];
  return row === null || answer.before.tokens[row].id !== answer.after.tokens[n].id || (row !== n && answer.after.tokens.length === answer.before.tokens.length);
}

/** @param {import('./source.js').ExperimentAnswer} answer @param {number} largest */
function verdictOf(answer, largest) {
  if (largest === 0 && answer.cosine > 0.9999999) return t('experiments.verdict.same');
  // A thousand roundings of float32 at the size of these numbers.
  return t(largest < 1e-4 ? 'experiments.verdict.rounding' : 'experiments.verdict.other');
}

/**
 * @param {import('./source.js').ExperimentAnswer} answer
 * @param {import('./source.js').ExperimentAnswer['changes'][number]} change
 */
function guessTable(answer, change) {
  const token = change.position !== null ? answer.before.tokens[change.position] : change.position_after !== null ? answer.after.tokens[change.position_after] : null;
  const rows = Array.from({ length: Math.min(5, Math.max(change.before.length, change.after.length)) }, (_, n) => {
    const [was, now] = [change.before[n], change.after[n]];
    return rowOfTable(String(n + 1), [was ? `${was.token}  ${percent(was.score)}` : '', now ? `${now.token}  ${percent(now.score)}` : '']);
  });
  return tableOf(t('experiments.guesses', { token: token?.token ?? '', n: change.position ?? change.position_after ?? 0 }), ['', t('experiments.before'), t('experiments.after')], rows);
}
