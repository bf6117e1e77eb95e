// @ts-check
// 4. Queries, keys and values: X times a learned matrix, plus a bias.

import { coloured, el, fill } from './dom.js';
import { createMatrix } from './draw/matrix.js';
import { dot, fmt, plusTerm, roundToSum } from './numbers.js';
import { choiceRow, sectionFrame } from './section.js';
import { t } from './text.js';

const MAPS = /** @type {const} */ ([
  { map: 'q', letter: 'Q', tensor: 'queries', parameter: 'query' },
  { map: 'k', letter: 'K', tensor: 'keys', parameter: 'key' },
  { map: 'v', letter: 'V', tensor: 'values', parameter: 'value' },
]);

/**
 * @param {import('./section.js').Page} page
 * @returns {import('./section.js').Section}
 */
export function qkvSection(page) {
  /** @type {import('./section.js').View | null} */
  let last = null;
  const chooser = choiceRow(t('qkv.which'), MAPS.map(({ map, letter, parameter }) => ({ value: map, text: `${letter} · ${t(`qkv.${parameter}`)}`, tone: map })), (map) => page.choose({ map }));
  const input = createMatrix({
    name: 'x', tone: 'x', maxRow: 26, maxHeight: 420,
    readout: (row, column) => (last ? `X[${last.labels[row]}, ${column}] = ${fmt(last.look.x.data[row * last.info.hidden_size + column], 4)}` : ''),
    onhover: (row) => { for (const { matrix } of outputs) matrix.light(row, -1); show(row, -1); },
    onpick: (row) => page.choose({ i: row }),
  });
  // One for each letter: each has its colour.
  const outputs = MAPS.map((entry) => ({
    ...entry,
    matrix: createMatrix({
      name: entry.tensor, tone: entry.map, maxRow: 26, maxHeight: 420,
      readout: (row, column) => (last ? `${entry.letter}[${last.labels[row]}, ${column}] = ${fmt(last.look[entry.tensor].data[row * last.info.head_size + column], 4)}` : ''),
      onhover: (row, column) => { input.light(row, -1); if (last?.state.map === entry.map) weights[MAPS.indexOf(mapNamed(entry.map))].matrix.light(-1, column); show(row, column, entry.map); },
      onpick: (row, column) => page.choose(entry.map === 'q' ? { i: row, feature: column, map: 'q' } : { j: row, feature: column, map: entry.map }),
    }),
  }));
  const weights = MAPS.map((entry) => ({
    ...entry,
    matrix: createMatrix({
      name: `w${entry.map}`, tone: entry.map, maxHeight: 300,
      readout: (row, column) => { const w = last?.look.parameters?.[entry.parameter].weight; return w && last ? `W${entry.map}[${row}, ${column}] = ${fmt(w.data[column * last.info.hidden_size + row], 4)}` : ''; },
      onhover: (row, column) => { if (last?.state.map === entry.map) outputs[MAPS.indexOf(mapNamed(entry.map))].matrix.light(-1, column); show(-1, column); },
      onpick: (row, column) => page.choose({ feature: column }),
    }),
  }));
  const product = el('div', { class: 'product' }), sum = el('p', { class: 'sum-line', 'aria-live': 'off' }), three = el('div', { class: 'three' });
  const note = el('p', { class: 'quiet' });
  const frame = sectionFrame(4, 'qkv', chooser.element, product, sum, note, el('h3', {}, t('qkv.all')), three);

  /** @param {string} map */
  function mapNamed(map) {
    return /** @type {typeof MAPS[number]} */ (MAPS.find((entry) => entry.map === map));
  }

  /**
   * One number of Q, K or V, summand by summand as far as there is room.
   * @param {number} row −1: the chosen token
   * @param {number} column −1: the chosen feature
   * @param {string} [map]
   */
  function show(row, column, map = last?.state.map) {
    if (!last || map !== last.state.map) return;
    const { state, info, look, labels } = last, entry = mapNamed(state.map), c = info.hidden_size, d = info.head_size;
    const i = row >= 0 ? row : state.map === 'q' ? state.i : state.j, f = column >= 0 ? column : state.feature;
    const result = look[entry.tensor].data[i * d + f], linear = look.parameters?.[entry.parameter];
    const name = el('b', { class: `tone-${state.map}` }, `${entry.letter}[${labels[i]}, ${f}]`);
    if (!linear) return fill(sum, name, ' = ', el('b', { id: 'qkv-result' }, fmt(result, 4)));
    const products = dot(look.x.data, i * c, linear.weight.data, f * c, c), bias = linear.bias.data[f];
    const { parts, sum: total } = roundToSum([products, bias], 4);
    fill(sum, name, ' = ', ...coloured(`Σ {X}[${labels[i]}, c] · {${entry.letter}:W}[c, ${f}] + b[${f}]`), el('small', {}, ` (${t('qkv.terms', { n: c })})`), ` = ${parts[0]} ${plusTerm(parts[1])} = `, el('b', { class: `tone-${state.map}`, id: 'qkv-result' }, total));
  }

  let shownMap = '';
  return {
    element: frame.element,
    *update(view) {
      last = view;
      const { state, info, look, labels, length } = view, c = info.hidden_size, d = info.head_size;
      const n = MAPS.findIndex(({ map }) => map === state.map), entry = MAPS[n];
      chooser.set(state.map);
      if (shownMap !== state.map) {
        shownMap = state.map;
        fill(product,
          el('div', { class: 'product-part wide' }, input.element), el('span', { class: 'operator', 'aria-hidden': 'true' }, '×'),
          el('div', { class: 'product-part' }, weights[n].matrix.element), el('span', { class: 'operator', 'aria-hidden': 'true' }, '='),
          el('div', { class: 'product-part', id: 'product-result' }));
        fill(three, ...outputs.map(({ matrix }, place) => el('div', { class: place === n ? 'is-chosen' : null }, matrix.element)));
        // The result stands in the product; the other two wait below.
        product.querySelector('#product-result')?.append(outputs[n].matrix.element);
      }
      input.set({ title: t('qkv.x', { layer: state.layer }), shape: `${length} × ${c}`, label: t('matrix.label', { name: 'X', rows: length, columns: c }), rows: length, columns: c, values: look.x.data, rowLabels: labels });
      input.select(state.map === 'q' ? state.i : state.j, -1);
      yield;
      const linear = look.parameters?.[entry.parameter];
      weights[n].matrix.element.hidden = !linear;
      note.hidden = Boolean(linear);
      note.textContent = linear ? '' : t('qkv.notRecorded');
      if (linear) {
        const turned = new Float32Array(c * d);
        for (let f = 0; f < d; f++) for (let row = 0; row < c; row++) turned[row * d + f] = linear.weight.data[f * c + row];
        weights[n].matrix.set({ title: `W${state.map}`, shape: `${c} × ${d}`, label: t('matrix.label', { name: `W${state.map}`, rows: c, columns: d }), rows: c, columns: d, values: turned });
        weights[n].matrix.select(-1, state.feature);
      }
      for (const { matrix, map, letter, tensor, parameter } of outputs) {
        yield;
        matrix.set({ title: `${letter} · ${t(`qkv.${parameter}`)}`, shape: `${length} × ${d}`, label: t('matrix.label', { name: letter, rows: length, columns: d }), rows: length, columns: d, values: look[tensor].data, rowLabels: labels });
        matrix.select(map === 'q' ? state.i : state.j, state.feature);
      }
      frame.setFormula(`{${entry.letter}} = {X} · {${entry.letter}:W${state.map}} + {${entry.letter}:b${state.map}}`, `(${length} × ${c}) · (${c} × ${d}) + (${d}) = (${length} × ${d})`);
      show(-1, -1);
    },
  };
}
