// @ts-check
// 3. Word + position + segment, then LayerNorm.

import { el, fill } from './dom.js';
import { createMatrix } from './draw/matrix.js';
import { fmt, minusTerm, normOf, plusTerm, roundToSum } from './numbers.js';
import { sectionFrame } from './section.js';
import { t } from './text.js';

/**
 * @param {import('./section.js').Page} page
 * @returns {import('./section.js').Section}
 */
export function embeddingsSection(page) {
  /** @type {{ label: string, values: ArrayLike<number> }[]} */
  let strips = [];
  let feature = 0, last = /** @type {import('./section.js').View | null} */ (null);
  const stripMatrix = createMatrix({
    name: 'embedding', tone: ['x', 'x', 'x', 'x', 'x'], ownLimits: true, rowHeight: 30, rules: [],
    readout: (row, column) => `${strips[row]?.label}[${column}] = ${fmt(strips[row]?.values[column], 4)}`,
    onhover: (row, column) => { if (column >= 0) show(column); },
    onpick: (row, column) => { feature = column; show(column); },
  });
  const whole = createMatrix({
    name: 'embeddings', tone: 'x', maxRow: 28, maxHeight: 420,
    readout: (row, column) => `X[${last?.labels[row]}, ${column}] = ${fmt(wholeValues[row * (last?.info.hidden_size ?? 1) + column], 4)}`,
    onpick: (row) => page.choose({ i: row }),
  });
  /** @type {Float32Array} */
  let wholeValues = new Float32Array(0);
  const sums = el('div', { class: 'steps' });
  const frame = sectionFrame(3, 'embeddings', stripMatrix.element, sums, whole.element);
  /** @type {any} */
  let wholeOf = null;

  /** @param {number} column */
  function show(column) {
    if (!last || strips.length === 0) return;
    const sum = strips[strips.length - 2].values, parts = strips.slice(0, -2), norm = last.look.parameters?.embeddings_norm, out = strips[strips.length - 1].values;
    const rounded = roundToSum(parts.map((part) => part.values[column]), 4);
    const { mean, deviation } = normOf(sum, last.info.layer_norm_epsilon);
    fill(sums,
      el('p', { class: 'sum-line' }, el('span', { class: 'sum-name' }, t('feature', { n: column })), ...rounded.parts.flatMap((part, n) => [`${n ? ` ${plusTerm(part)}` : part}`, el('small', {}, ` ${parts[n].label}`)]), ' = ', el('b', { id: 'embedding-sum' }, rounded.sum)),
      norm ? el('p', { class: 'sum-line' }, el('span', { class: 'sum-name' }, 'LayerNorm'), `(${rounded.sum} ${minusTerm(fmt(mean, 4))}) ÷ ${fmt(deviation, 4)} × ${fmt(norm.weight.data[column], 4)} ${plusTerm(fmt(norm.bias.data[column], 4))} = `, el('b', { class: 'tone-x', id: 'embedding-normed' }, fmt(out[column], 4)))
        : el('p', { class: 'sum-line' }, el('span', { class: 'sum-name' }, 'LayerNorm'), el('b', { class: 'tone-x', id: 'embedding-normed' }, fmt(out[column], 4))));
  }

  return {
    element: frame.element,
    *update(view) {
      last = view;
      const { look, state, labels, info, length } = view, c = info.hidden_size;
      strips = [];
      for (const name of /** @type {const} */ (['word', 'position', 'segment', 'sum', 'embeddings'])) {
        const values = look.row(name, state.i);
        if (values) strips.push({ label: t(`embeddings.${name}`), values });
      }
      if (feature >= c) feature = 0;
      const values = new Float32Array(strips.length * c);
      strips.forEach((strip, n) => values.set(strip.values, n * c));
      stripMatrix.set({ title: t('embeddings.strips', { token: labels[state.i] }), shape: `${strips.length} × ${c}`, label: t('embeddings.stripsLabel', { token: labels[state.i], c }), rows: strips.length, columns: c, values, rowLabels: strips.map((strip) => strip.label) });
      stripMatrix.select(-1, feature);
      show(feature);
      frame.setFormula(`{X}[${labels[state.i]}] = LayerNorm(word[${view.tokens[state.i].id}] + position[${state.i}] + segment[${view.tokens[state.i].segment}])`, `{X}: ${length} × ${c}`);
      yield;
      if (wholeOf !== view.reading) {
        wholeOf = view.reading;
        wholeValues = new Float32Array(length * c);
        for (let i = 0; i < length; i++) wholeValues.set(/** @type {ArrayLike<number>} */ (look.row('embeddings', i)), i * c);
        whole.set({ title: t('embeddings.whole'), shape: `${length} × ${c}`, label: t('matrix.label', { name: 'X', rows: length, columns: c }), rows: length, columns: c, values: wholeValues, rowLabels: labels });
      }
      whole.select(state.i, -1);
    },
  };
}
