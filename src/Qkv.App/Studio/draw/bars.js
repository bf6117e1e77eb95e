// @ts-check
// Numbers as bars above and below a line.

import { el, fill, svg } from '../dom.js';
import { fmt } from '../numbers.js';
import { soon } from '../schedule.js';
import { fillCaption, saveMenu } from './picture.js';

/**
 * @typedef {object} BarsOptions
 * @property {string} name of the file when saved
 * @property {import('./colours.js').Tone} tone
 * @property {number} height of the bars, in CSS pixels
 * @property {(n: number) => string} readout
 * @property {(n: number) => void} [onpick]
 * @property {(n: number) => void} [onhover]
 */

/** @typedef {{ title: string, shape?: string, label: string, values: ArrayLike<number>, labels?: string[], selected: number, least?: number, most?: number }} BarsData */

/** @param {BarsOptions} options */
export function createBars(options) {
  const caption = el('figcaption'), readout = el('output', { class: 'readout' });
  const picture = svg('svg', { 'aria-hidden': 'true', xmlns: 'http://www.w3.org/2000/svg' });
  const plot = el('div', { class: 'plot bars-plot', tabindex: '0', role: 'application' }, picture);
  const element = el('figure', { class: 'picture bars' }, el('div', { class: 'picture-head' }, caption, saveMenu(options.name, () => toSvg())), plot, el('div', { class: 'picture-foot' }, readout));
  /** @type {BarsData} */
  let data = { title: '', label: '', values: [], selected: -1 };
  let hovered = -1, step = 1, width = 0;

  function paint() {
    width = plot.clientWidth;
    const count = data.values.length;
    if (width === 0 || count === 0) return;
    step = Math.min(56, width / count);
    let most = Math.max(0, data.most ?? 0), least = Math.min(0, data.least ?? 0);
    for (let n = 0; n < count; n++) if (Number.isFinite(data.values[n])) {
      most = Math.max(most, data.values[n]);
      least = Math.min(least, data.values[n]);
    }
    const labelled = Boolean(data.labels) && step >= 15, top = 6, foot = labelled ? 22 : 6, range = most - least || 1;
    const zero = top + (most / range) * options.height, height = top + options.height + foot;
    const gap = step > 6 ? Math.min(6, step * 0.2) : 0;
    /** @param {number} n */
    const bar = (n) => {
      const value = Number.isFinite(data.values[n]) ? data.values[n] : least;
      const y = zero - (value / range) * options.height;
      return `M${(n * step + gap / 2).toFixed(2)} ${zero.toFixed(2)}V${y.toFixed(2)}h${(step - gap).toFixed(2)}V${zero.toFixed(2)}z`;
    };
    let above = '', below = '';
    for (let n = 0; n < count; n++) {
      if (data.values[n] >= 0) above += bar(n);
      else below += bar(n);
    }
    picture.setAttribute('width', String(width));
    picture.setAttribute('height', String(height));
    picture.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const marked = hovered >= 0 ? hovered : data.selected;
    fill(picture,
      marked >= 0 && marked < count && svg('rect', { class: 'bar-mark', x: marked * step, y: 0, width: Math.max(2, step), height: top + options.height + 4, rx: 3 }),
      svg('path', { class: `bar-${options.tone}`, d: above }),
      svg('path', { class: 'bar-negative', d: below }),
      svg('line', { class: 'bar-axis', x1: 0, x2: step * count, y1: zero, y2: zero }),
      ...(labelled ? Array.from({ length: count }, (_, n) => svg('text', { class: 'bar-label', x: (n + 0.5) * step, y: height - 6, 'text-anchor': 'middle', ...(step < 30 ? { 'font-size': 11 } : {}) }, clipped(data.labels?.[n] ?? '', step))) : []));
    showReadout();
  }

  function showReadout() {
    const n = hovered >= 0 ? hovered : data.selected;
    const words = n >= 0 && n < data.values.length ? options.readout(n) : '';
    if (readout.textContent !== words) readout.textContent = words;
  }

  /** @param {number} n */
  function hover(n) {
    if (n === hovered) return;
    hovered = n;
    options.onhover?.(n);
    soon(picture, paint);
  }

  /** @param {MouseEvent} event */
  const under = (event) => {
    const n = Math.floor((event.clientX - picture.getBoundingClientRect().left) / step);
    return n >= 0 && n < data.values.length ? n : -1;
  };
  plot.addEventListener('pointermove', (event) => hover(under(event)));
  plot.addEventListener('pointerleave', () => hover(-1));
  plot.addEventListener('blur', () => hover(-1));
  plot.addEventListener('click', (event) => {
    if (under(event) >= 0) options.onpick?.(under(event));
  });
  plot.addEventListener('keydown', (event) => {
    const from = hovered >= 0 ? hovered : Math.max(0, data.selected), last = data.values.length - 1;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      hover(Math.max(0, Math.min(last, to)));
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      options.onpick?.(from);
    }
  });

  let knownWidth = 0;
  new ResizeObserver(() => {
    if (plot.clientWidth === knownWidth) return;
    knownWidth = plot.clientWidth;
    soon(picture, paint);
  }).observe(plot);

  /** The picture with its colours written into it, as it will stand alone. */
  function toSvg() {
    const copy = /** @type {SVGSVGElement} */ (picture.cloneNode(true));
    copy.setAttribute('font-family', 'system-ui, sans-serif');
    const from = picture.querySelectorAll('*'), to = copy.querySelectorAll('*');
    to.forEach((shape, n) => {
      const style = getComputedStyle(from[n]);
      for (const name of ['fill', 'stroke', 'font-size']) shape.setAttribute(name, style.getPropertyValue(name));
      shape.removeAttribute('class');
    });
    const height = Number(copy.getAttribute('height'));
    copy.setAttribute('height', String(height + 34));
    copy.setAttribute('viewBox', `0 -34 ${width} ${height + 34}`);
    const style = getComputedStyle(document.documentElement);
    copy.prepend(svg('rect', { x: 0, y: -34, width, height: height + 34, fill: style.getPropertyValue('--paper') }),
      svg('text', { x: 4, y: -14, 'font-size': 14, 'font-weight': 600, fill: style.getPropertyValue('--ink') }, `${data.title}  ${readout.textContent}`));
    copy.removeAttribute('aria-hidden');
    return copy;
  }

  return {
    element,
    /** @param {BarsData} next */
    set(next) {
      data = next;
      hovered = -1;
      fillCaption(caption, next.title, next.shape);
      plot.setAttribute('aria-label', next.label);
      paint();
    },
    /** @param {number} n */
    light(n) {
      hovered = n;
      soon(picture, paint);
    },
  };
}

/** @param {string} label @param {number} room */
function clipped(label, room) {
  const most = Math.max(1, Math.floor(room / (/[^\x00-\u02ff]/.test(label) ? 13 : 7.2)));
  return label.length <= most ? label : most < 3 ? label.slice(0, most) : `${label.slice(0, most - 1)}…`;
}

/**
 * A number with a small bar behind it, for tables.
 * @param {number} share 0 … 1
 * @param {string} text
 */
export function barCell(share, text) {
  const bar = el('span', { class: 'cell-bar' });
  bar.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return el('td', { class: 'with-bar' }, bar, el('span', { class: 'cell-number' }, text));
}

/** @param {number} value */
export function percent(value) {
  return `${fmt(value * 100, 1)} %`;
}
