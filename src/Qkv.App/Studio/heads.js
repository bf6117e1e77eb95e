// @ts-check
// 2. Every head of every layer, small.

import { el, fill } from './dom.js';
import { barCell, percent } from './draw/bars.js';
import { colourTable } from './draw/colours.js';
import { fmt } from './numbers.js';
import { soon } from './schedule.js';
import { rowOfTable, sectionFrame, tableOf } from './section.js';
import { t } from './text.js';
import { thumbnailSide } from './thumbnail.js';

/**
 * @param {import('./section.js').Page} page
 * @returns {import('./section.js').Section}
 */
export function headsSection(page) {
  const grid = el('div', { class: 'head-grid', role: 'group', 'aria-label': t('heads.grid') }), facts = el('div', { class: 'head-facts' });
  const frame = sectionFrame(2, 'heads', el('div', { class: 'two-columns wide-left' }, grid, facts));
  /** @type {Map<string, { button: HTMLButtonElement, canvas: HTMLCanvasElement, drawn: boolean }>} */
  let thumbnails = new Map();
  /** @type {import('./source.js').Reading | null} */
  let shown = null;
  /** @type {IntersectionObserver | null} */
  let watcher = null;

  grid.addEventListener('keydown', (event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest('button');
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!button || !step) return;
    event.preventDefault();
    thumbnails.get(`${Number(button.dataset.layer) + step[0]}.${Number(button.dataset.head) + step[1]}`)?.button.focus();
  });

  return {
    element: frame.element,
    update({ state, info, reading, length }) {
      if (shown !== reading) build(info, reading, length);
      for (const [name, { button }] of thumbnails) {
        const chosen = name === `${state.layer}.${state.head}`;
        button.setAttribute('aria-pressed', String(chosen));
        button.tabIndex = chosen ? 0 : -1;
      }
      const fact = reading.facts.find((one) => one.layer === state.layer && one.head === state.head);
      frame.setFormula(`${info.layers} × ${info.heads} = ${info.layers * info.heads} × ({A:weights} ${length} × ${length})`);
      if (fact) {
        const most = Math.log(length);
        fill(facts, tableOf(t('heads.factsOf', { layer: state.layer, head: state.head }), ['', t('heads.mean')], [
          rowOfTable(t('heads.entropy', { most: fmt(most, 2) }), [barCell(fact.entropy / most, fmt(fact.entropy, 3))]),
          rowOfTable(t('heads.distance'), [barCell(fact.distance / length, fmt(fact.distance, 2))]),
          .../** @type {const} */ (['cls', 'sep', 'self', 'previous', 'next']).map((name) => rowOfTable(t(`heads.${name}`), [barCell(fact[name], percent(fact[name]))])),
        ]), el('p', { class: 'quiet' }, t('heads.factsNote')));
      }
    },
  };

  /**
   * @param {import('./source.js').Info} info
   * @param {import('./source.js').Reading} reading
   * @param {number} length
   */
  function build(info, reading, length) {
    shown = reading;
    watcher?.disconnect();
    thumbnails = new Map();
    watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) draw(/** @type {HTMLElement} */ (entry.target), reading);
    }, { rootMargin: '300px' });
    const rows = [];
    for (let layer = 0; layer < info.layers; layer++) {
      const row = el('div', { class: 'head-row' }, el('span', { class: 'row-name' }, t('layer', { n: layer })));
      for (let head = 0; head < info.heads; head++) {
        const canvas = el('canvas', { width: thumbnailSide(length), height: thumbnailSide(length) });
        const fact = reading.facts.find((one) => one.layer === layer && one.head === head);
        const button = el('button', {
          type: 'button', class: 'thumbnail', 'data-layer': layer, 'data-head': head, 'aria-label': t('heads.thumbnail', { layer, head, entropy: fact ? fmt(fact.entropy, 2) : '?' }),
          onclick: () => page.choose({ layer, head }),
        }, canvas);
        thumbnails.set(`${layer}.${head}`, { button, canvas, drawn: false });
        watcher.observe(button);
        row.append(button);
      }
      rows.push(row);
    }
    fill(grid, ...rows);
  }

  /**
   * @param {HTMLElement} button
   * @param {import('./source.js').Reading} reading
   */
  async function draw(button, reading) {
    const layer = Number(button.dataset.layer), head = Number(button.dataset.head), thumbnail = thumbnails.get(`${layer}.${head}`);
    if (!thumbnail || thumbnail.drawn || thumbnail.button !== button) return;
    thumbnail.drawn = true;
    try {
      const peaks = await reading.thumbnail(layer, head);
      soon(thumbnail.canvas, () => drawThumbnail(thumbnail.canvas, peaks));
    } catch {
      // The text has been changed meanwhile, or the server is gone; the page says the latter.
      thumbnail.drawn = false;
    }
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} peaks (side, side)
 */
function drawThumbnail(canvas, peaks) {
  const side = canvas.width, table = colourTable('a', false), image = new ImageData(side, side), pixels = new Uint32Array(image.data.buffer);
  for (let n = 0; n < pixels.length; n++) pixels[n] = table[(255 * peaks[n] + 0.5) | 0];
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d')).putImageData(image, 0, 0);
}
