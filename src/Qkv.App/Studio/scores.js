// @ts-check
// 5. One score: the products of a query and a key, feature by feature, their sum, ÷√D, and the cell that it fills.

import { coloured, el, fill } from './dom.js';
import { createBars } from './draw/bars.js';
import { createMatrix } from './draw/matrix.js';
import { fmt, roundToSum } from './numbers.js';
import { rowOfTable, sectionFrame, tableOf } from './section.js';
import { t } from './text.js';

/**
 * @param {import('./section.js').Page} page
 * @returns {import('./section.js').Section}
 */
export function scoresSection(page) {
  /** @type {import('./section.js').View | null} */
  let last = null;
  let products = new Float64Array(0), rounded = roundToSum([], 3), pair = new Float32Array(0);
  const words = (/** @type {number} */ f) => `${t('feature', { n: f })}: ${fmt(pair[f], 3)} × ${fmt(pair[products.length + f], 3)} = ${rounded.parts[f]}`;
  const strips = createMatrix({
    name: 'query-key', tone: ['q', 'k'], rowHeight: 30, readout: (row, column) => words(column),
    onhover: (row, column) => bars.light(column), onpick: (row, column) => page.choose({ feature: column }),
  });
  const bars = createBars({ name: 'products', tone: 'a', height: 130, readout: words, onhover: (n) => strips.light(-1, n), onpick: (n) => page.choose({ feature: n }) });
  const map = createMatrix({
    name: 'scores', tone: 'a', maxHeight: 620,
    readout: (row, column) => (last ? t('scores.cell', { i: last.labels[row], j: last.labels[column], score: fmt(last.look.scores.data[row * last.length + column], 3) }) : ''),
    cellText: (row, column) => (last ? fmt(last.look.scores.data[row * last.length + column], 1) : ''),
    onpick: (row, column) => page.choose({ i: row, j: column }),
  });
  const sum = el('div', { class: 'steps' }), table = el('div'), details = el('details', { class: 'all-products' }, el('summary', {}, t('scores.all')), table);
  details.addEventListener('toggle', () => fillTable());
  const frame = sectionFrame(5, 'scores', strips.element, bars.element, sum, details, el('h3', {}, t('scores.whole')), map.element);

  function fillTable() {
    if (!details.open || !last) return;
    const { state, labels } = last, d = products.length;
    fill(table, tableOf(t('scores.table', { i: labels[state.i], j: labels[state.j] }), [t('scores.feature'), `{Q:q}`, `{K:k}`, 'q·k'],
      [...Array.from({ length: d }, (_, f) => rowOfTable(String(f), [fmt(pair[f], 4), fmt(pair[d + f], 4), rounded.parts[f]])), rowOfTable('Σ', ['', '', rounded.sum], 'total')]));
  }

  return {
    element: frame.element,
    *update(view) {
      last = view;
      const { state, info, look, labels, length } = view, d = info.head_size, { i, j } = state;
      pair = new Float32Array(2 * d);
      pair.set(look.queries.data.subarray(i * d, (i + 1) * d));
      pair.set(look.keys.data.subarray(j * d, (j + 1) * d), d);
      products = Float64Array.from({ length: d }, (_, f) => pair[f] * pair[d + f]);
      rounded = roundToSum(products, 3);
      strips.set({ title: t('scores.pair', { i: labels[i], j: labels[j] }), shape: `2 × ${d}`, label: t('scores.pairLabel', { i: labels[i], j: labels[j], d }), rows: 2, columns: d, values: pair, rowLabels: [`q ${labels[i]}`, `k ${labels[j]}`] });
      strips.select(-1, state.feature);
      yield;
      bars.set({ title: t('scores.products'), shape: String(d), label: t('scores.productsLabel', { d, sum: rounded.sum }), values: products, selected: state.feature });
      const score = look.scores.data[i * length + j], root = Math.sqrt(d);
      const [rootText, scoreText] = [Number.isInteger(root) ? String(root) : fmt(root, 4), fmt(score, 3)];
      fill(sum,
        el('p', { class: 'sum-line' }, ...coloured(`{Q:q}·{K:k} = `), rounded.parts.slice(0, 3).map((part, n) => (n && !part.startsWith('−') ? `+ ${part}` : part.replace('−', n ? '− ' : '−'))).join(' '), ` + … (${t('qkv.terms', { n: d })}) = `, el('b', { id: 'score-sum' }, rounded.sum)),
        el('p', { class: 'sum-line' }, ...coloured(`{A:scores}[${labels[i]}, ${labels[j]}] = ${rounded.sum} ÷ √${d} = ${rounded.sum} ÷ ${rootText} = `), el('b', { class: 'tone-a', id: 'score' }, scoreText)));
      yield;
      fillTable();
      map.set({ title: t('scores.map'), shape: `${length} × ${length}`, label: t('matrix.label', { name: t('scores.map'), rows: length, columns: length }), rows: length, columns: length, values: look.scores.data, rowLabels: labels, columnLabels: labels });
      map.select(i, j);
      frame.setFormula(`{A:scores} = {Q} · {K}ᵀ / √D`, `(${length} × ${d}) · (${d} × ${length}) / √${d} = (${length} × ${length})`);
    },
  };
}
