// @ts-check
// 6. The softmax: a row of scores becomes a row of weights; and why the scores are divided by √D.

import { coloured, el, fill } from './dom.js';
import { barCell, createBars } from './draw/bars.js';
import { createMatrix } from './draw/matrix.js';
import { entropyOf, fmt, jacobianNorm, largestOf, roundToSum, softmax } from './numbers.js';
import { rowOfTable, sectionFrame, tableOf } from './section.js';
import { t } from './text.js';

// More rows than this are one row, "all others".
const ROWS = 10;

/**
 * @param {import('./section.js').Page} page
 * @returns {import('./section.js').Section}
 */
export function weightsSection(page) {
  /** @type {import('./section.js').View | null} */
  let last = null;
  let row = softmax([]), scores = new Float64Array(0);
  const before = createBars({ name: 'scores-row', tone: 'a', height: 90, readout: (n) => (last ? `${last.labels[n]}: ${fmt(scores[n], 3)}` : ''), onhover: (n) => after.light(n), onpick: (j) => page.choose({ j }) });
  const after = createBars({ name: 'weights-row', tone: 'a', height: 130, readout: (n) => (last ? `${last.labels[n]}: ${fmt(row.weights[n], 4)}` : ''), onhover: (n) => before.light(n), onpick: (j) => page.choose({ j }) });
  /** @type {(string[] | null)[]} */
  let rowTexts = [];
  const map = createMatrix({
    name: 'weights', tone: 'a', signed: false, maxHeight: 620,
    readout: (i, j) => (last ? t('weights.cell', { i: last.labels[i], j: last.labels[j], weight: fmt(last.look.weights.data[i * last.length + j], 4) }) : ''),
    cellText: (i, j) => {
      if (!last) return '';
      // Two digits that add up to 1.00 along the row.
      const texts = rowTexts[i] ??= roundToSum(last.look.weights.data.subarray(i * last.length, (i + 1) * last.length), 2).parts;
      return texts[j].replace(/^0\./, '.');
    },
    onpick: (i, j) => page.choose({ i, j }),
  });
  const scaled = el('input', { type: 'checkbox', role: 'switch', id: 'without-root', onchange: () => page.choose({ scaled: !scaled.checked }) });
  const table = el('div'), compared = el('div');
  const frame = sectionFrame(6, 'weights',
    el('p', { class: 'switch' }, scaled, el('label', { for: 'without-root' }, t('weights.without'))),
    el('div', { class: 'two-columns' }, el('div', { class: 'stacked' }, before.element, after.element), table), el('h3', {}, t('weights.why')), el('div', { class: 'two-columns' }, el('p', {}, t('weights.whyText')), compared), el('h3', {}, t('weights.whole')), map.element);
  /** @type {any} */
  let mapOf = null;

  return {
    element: frame.element,
    *update(view) {
      last = view;
      const { state, info, look, labels, length } = view, { i, j } = state, root = Math.sqrt(info.head_size);
      const divided = look.scores.data.subarray(i * length, (i + 1) * length);
      scores = Float64Array.from(divided, (score) => (state.scaled ? score : score * root));
      scaled.checked = !state.scaled;
      row = softmax(scores);
      if (state.scaled) row.weights.set(look.weights.data.subarray(i * length, (i + 1) * length));
      yield;
      before.set({ title: t(state.scaled ? 'weights.before' : 'weights.beforeRaw', { i: labels[i] }), shape: String(length), label: t('weights.beforeLabel', { i: labels[i] }), values: scores, selected: j });
      yield;
      after.set({ title: t('weights.after', { i: labels[i] }), shape: String(length), label: t('weights.afterLabel', { i: labels[i], most: labels[largestOf(row.weights, 1)[0]] }), values: row.weights, labels, selected: j, most: 1 });

      yield;
      // exp(score − largest), as the kernel computes it, so that nothing overflows.
      const shown = length <= ROWS + 1 ? labels.map((_, n) => n) : largestOf(row.weights, ROWS);
      const rest = length - shown.length, others = (/** @type {ArrayLike<number>} */ all) => {
        let sum = 0;
        for (let n = 0; n < length; n++) sum += all[n];
        return sum - shown.reduce((part, n) => part + all[n], 0);
      };
      const exponentials = roundToSum([...shown.map((n) => row.exponentials[n]), ...(rest ? [others(row.exponentials)] : [])], 4);
      const weights = roundToSum([...shown.map((n) => row.weights[n]), ...(rest ? [others(row.weights)] : [])], 4);
      const rows = shown.map((n, place) => rowOfTable(labels[n], [fmt(scores[n], 3), exponentials.parts[place], barCell(row.weights[n], weights.parts[place])], n === j ? 'is-key' : ''));
      if (rest) rows.push(rowOfTable(t('weights.others', { n: rest }), ['', exponentials.parts[shown.length], barCell(0, weights.parts[shown.length])]));
      rows.push(rowOfTable('Σ', ['', exponentials.sum, weights.sum], 'total'));
      fill(table, tableOf(t('weights.table', { i: labels[i] }), [t('weights.token'), '{A:s}', `exp(s − ${fmt(row.largest, 3)})`, `÷ ${exponentials.sum}`], rows));
      table.id = 'softmax-table';

      yield;
      const other = softmax(Float64Array.from(divided, (score) => score * root)), own = look.weights.data.subarray(i * length, (i + 1) * length);
      /** @param {(p: ArrayLike<number>) => number} of @param {number} digits */
      const both = (of, digits) => [fmt(of(own), digits), fmt(of(other.weights), digits)];
      fill(compared, tableOf(t('weights.compared'), ['', t('weights.withRoot', { d: info.head_size }), t('weights.withoutRoot')], [
        rowOfTable(t('weights.largest'), both((p) => p[largestOf(p, 1)[0]], 4)),
        rowOfTable(t('weights.entropy', { most: fmt(Math.log(length), 2) }), both(entropyOf, 4)),
        rowOfTable(t('weights.slope', { j: labels[j] }), both((p) => p[j] * (1 - p[j]), 6)),
        rowOfTable(t('weights.jacobian'), both(jacobianNorm, 6)),
      ]));
      compared.id = 'saturation';

      yield;
      if (mapOf !== look) {
        mapOf = look;
        rowTexts = [];
        map.set({ title: t('weights.map'), shape: `${length} × ${length}`, label: t('matrix.label', { name: t('weights.map'), rows: length, columns: length }), rows: length, columns: length, values: look.weights.data, rowLabels: labels, columnLabels: labels, limit: 1 });
      }
      map.select(i, j);
      const place = shown.indexOf(j);
      frame.setFormula(`{A:weights} = softmax({A:scores})`, place >= 0 ? `{A:weights}[${labels[i]}, ${labels[j]}] = ${exponentials.parts[place]} ÷ ${exponentials.sum} = ${weights.parts[place]}` : `Σ {A:weights}[${labels[i]}, …] = ${weights.sum}`);
    },
  };
}
