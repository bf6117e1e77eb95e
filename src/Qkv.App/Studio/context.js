// @ts-check
// 7. The context: weights times values; the heads joined; projection, residual, LayerNorm.

import { el, fill } from './dom.js';
import { createMatrix } from './draw/matrix.js';
import { fmt, largestOf, minusTerm, normOf, plusTerm, roundToSum } from './numbers.js';
import { rowOfTable, sectionFrame, tableOf } from './section.js';
import { t } from './text.js';

// Summands that are shown by themselves; the others are one.
const SUMMANDS = 8;

/**
 * @param {import('./section.js').Page} page
 * @returns {import('./section.js').Section}
 */
export function contextSection(page) {
  /** @type {import('./section.js').View | null} */
  let last = null;
  /** @type {{ token: string, label: string, weight: number, value: Float64Array }[]} */
  let terms = [];
  let contextRow = new Float64Array(0);
  const stackBody = el('div');
  const stackOptions = {
    name: 'context', tone: /** @type {const} */ ('v'), rowHeight: 28,
    readout: (/** @type {number} */ row, /** @type {number} */ column) => (row < terms.length ? `${terms[row].label} · V[${column}] = ${fmt(terms[row].value[column], 4)}` : `context[${column}] = ${fmt(contextRow[column], 4)}`),
    onhover: (/** @type {number} */ row, /** @type {number} */ column) => { if (column >= 0) fillSum(column); },
    onpick: (/** @type {number} */ row, /** @type {number} */ column) => page.choose({ feature: column }),
  };
  let stack = createMatrix(stackOptions), stackRows = 0;
  const sum = el('div', { id: 'context-sum' });
  /** @type {{ label: string, name: string, values: ArrayLike<number> }[]} */
  let steps = [];
  let channel = 0;
  const after = createMatrix({
    name: 'after-attention', tone: ['v', 'x', 'x', 'x', 'x', 'x'], ownLimits: true, rowHeight: 30,
    readout: (row, column) => `${steps[row]?.label}[${column}] = ${fmt(steps[row]?.values[column], 4)}`,
    onhover: (row, column) => { if (column >= 0) fillSteps(column); },
    onpick: (row, column) => { channel = column; fillSteps(column); },
  });
  const joined = el('div', { class: 'steps', id: 'residual' }), note = el('p', { class: 'quiet' });
  const frame = sectionFrame(7, 'context', stackBody, el('div', { class: 'narrow' }, sum), el('h3', {}, t('context.after')), el('p', {}, t('context.afterText')), after.element, joined, note);

  /** @param {number} feature */
  function fillSum(feature) {
    if (!last) return;
    const { labels, state } = last;
    const rounded = roundToSum(terms.map((term) => term.value[feature]), 4);
    const weights = roundToSum(terms.map((term) => term.weight), 4);
    fill(sum, tableOf(t('context.table', { i: labels[state.i], f: feature }), [t('weights.token'), '{A:weight}', `{V:V}[…, ${feature}]`, '{A:weight} · {V:V}'], [
      ...terms.map((term, n) => rowOfTable(term.token, [weights.parts[n], term.weight > 0 && term.token !== others ? fmt(term.value[feature] / term.weight, 4) : '', rounded.parts[n]])),
      rowOfTable(`context[${labels[state.i]}, ${feature}]`, [weights.sum, '', rounded.sum], 'total'),
    ]));
  }
  let others = '';

  /** @param {number} c */
  function fillSteps(c) {
    if (!last) return;
    const { labels, state, info, look } = last, row = (/** @type {import('./source.js').RowName} */ name) => look.row(name, state.i);
    const projection = row('projection'), added = row('attention_sum'), out = row('attention_output'), norm = look.parameters?.attention_norm;
    const lines = [];
    if (projection && added) {
      const { parts, sum: total } = roundToSum([projection[c], added[c] - projection[c]], 4);
      lines.push(el('p', { class: 'sum-line' }, el('span', { class: 'sum-name' }, t('feature', { n: c })), parts[0], el('small', {}, ` ${t('context.projection')}`), ` ${plusTerm(parts[1])}`, el('small', {}, ` ${t('context.residual')}`), ' = ', el('b', { id: 'residual-sum' }, total)));
      if (norm) {
        const { mean, deviation } = normOf(added, info.layer_norm_epsilon);
        const normed = (added[c] - mean) / deviation * norm.weight.data[c] + norm.bias.data[c];
        lines.push(el('p', { class: 'sum-line' }, el('span', { class: 'sum-name' }, 'LayerNorm'), `(${total} ${minusTerm(fmt(mean, 4))}) ÷ ${fmt(deviation, 4)} × ${fmt(norm.weight.data[c], 4)} ${plusTerm(fmt(norm.bias.data[c], 4))} = `, el('b', { class: 'tone-x', id: 'residual-normed' }, fmt(out ? out[c] : normed, 4))));
      }
    }
    fill(joined, ...lines);
    note.hidden = Boolean(projection);
    note.textContent = projection ? '' : t('context.notRecorded');
  }

  return {
    element: frame.element,
    *update(view) {
      last = view;
      const { state, info, look, labels, length } = view, d = info.head_size, { i } = state;
      const weights = look.weights.data.subarray(i * length, (i + 1) * length);
      /** @param {number} j */
      const termOf = (j) => Float64Array.from({ length: d }, (_, f) => weights[j] * look.values.data[j * d + f]);
      const shown = largestOf(weights, length <= SUMMANDS + 1 ? length : SUMMANDS);
      const rounded = roundToSum([...shown.map((j) => weights[j]), 1 - shown.reduce((part, j) => part + weights[j], 0)], 3);
      others = t('weights.others', { n: length - shown.length });
      terms = shown.map((j, n) => ({ token: labels[j], label: `${rounded.parts[n].replace(/^0\./, '.')} ${labels[j]}`, weight: weights[j], value: termOf(j) }));
      contextRow = new Float64Array(d);
      for (let j = 0; j < length; j++) for (let f = 0; f < d; f++) contextRow[f] += weights[j] * look.values.data[j * d + f];
      if (shown.length < length) {
        const rest = Float64Array.from(contextRow);
        for (const term of terms) for (let f = 0; f < d; f++) rest[f] -= term.value[f];
        terms.push({ token: others, label: others, weight: Math.max(0, 1 - shown.reduce((part, j) => part + weights[j], 0)), value: rest });
      }
      yield;
      if (stackRows !== terms.length) {
        stackRows = terms.length;
        stack = createMatrix({ ...stackOptions, rules: [terms.length] });
        fill(stackBody, stack.element);
      }
      const values = new Float32Array((terms.length + 1) * d);
      terms.forEach((term, n) => values.set(term.value, n * d));
      values.set(contextRow, terms.length * d);
      stack.set({ title: t('context.stack', { i: labels[i] }), shape: `${terms.length} + 1 × ${d}`, label: t('context.stackLabel', { i: labels[i], n: terms.length, d }), rows: terms.length + 1, columns: d, values, rowLabels: [...terms.map((term) => term.label), `= ${t('context.row')}`] });
      stack.select(-1, state.feature);
      yield;
      fillSum(state.feature);
      yield;
      steps = [];
      for (const name of /** @type {const} */ (['context', 'projection', 'attention_sum', 'attention_output', 'output'])) {
        const row = look.row(name, i);
        if (row) steps.push({ name, label: t(`context.step.${name}`, { h: info.heads }), values: row });
      }
      const c = info.hidden_size, rows = new Float32Array(steps.length * c);
      steps.forEach((step, n) => rows.set(step.values, n * c));
      if (channel >= c) channel = 0;
      after.set({ title: t('context.steps', { i: labels[i] }), shape: `${steps.length} × ${c}`, label: t('context.stepsLabel', { i: labels[i], c }), rows: steps.length, columns: c, values: rows, rowLabels: steps.map((step) => step.label), boxes: steps[0]?.name === 'context' ? Array.from({ length: info.heads }, (_, h) => ({ row: 0, from: h * d, to: (h + 1) * d, strong: h === state.head })) : [] });
      after.select(-1, channel);
      fillSteps(channel);
      frame.setFormula(`{V:context} = {A:weights} · {V}`, `(${length} × ${length}) · (${length} × ${d}) = (${length} × ${d})`);
    },
  };
}
