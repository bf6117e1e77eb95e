// @ts-check
// A matrix as a heat map on a canvas: one colour a number, rows and columns that light up, a readout of the exact number.

import { el, svg } from '../dom.js';
import { soon } from '../schedule.js';
import { colourIndex, colourTable, cssColour, inkOn, themeColour } from './colours.js';
import { fillCaption, saveMenu } from './picture.js';
import { fmt } from '../numbers.js';

/** @typedef {import('./colours.js').Tone} Tone */

/**
 * @typedef {object} MatrixOptions
 * @property {string} name of the file when saved
 * @property {Tone | Tone[]} tone of all rows, or of each
 * @property {boolean} [signed] whether zero is in the middle of the colours; true if left out
 * @property {boolean} [ownLimits] whether every row has its own scale
 * @property {number} [maxCell] the largest side of a cell, in CSS pixels
 * @property {number} [maxHeight]
 * @property {number} [maxRow] the largest height of a row
 * @property {number} [rowHeight] a fixed height of rows
 * @property {number[]} [rules] rows that have a line above them
 * @property {(row: number, column: number) => string} readout the words for a cell
 * @property {(row: number, column: number) => void} [onpick]
 * @property {(row: number, column: number) => void} [onhover] (−1, −1) when the pointer leaves
 * @property {(row: number, column: number) => string} [cellText] the number in a cell, where there is room
 */

/**
 * @typedef {object} MatrixData
 * @property {string} title
 * @property {string} [shape] such as "8 × 64"
 * @property {string} label for screen readers
 * @property {number} rows
 * @property {number} columns
 * @property {ArrayLike<number>} values row after row
 * @property {string[]} [rowLabels]
 * @property {string[]} [columnLabels]
 * @property {number} [limit] the largest size; found when left out
 * @property {{ row: number, from: number, to: number, strong: boolean }[]} [boxes] parts of rows that belong together
 */

const LABEL_FONT = '12px system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif';
const LABEL_WIDTH = 76;

// So many cells are coloured between two looks at the clock: well under a millisecond's work, or a few before the code is warm.
const CELLS_A_STEP = 8192;

/** @type {WeakSet<Element>} */
const shownMatrices = new WeakSet();
const matrixWatcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) shownMatrices.add(target);
    else shownMatrices.delete(target);
  }
});

/** @param {MatrixOptions} options */
export function createMatrix(options) {
  const signed = options.signed ?? true;
  const cells = el('canvas', { class: 'cells' }), marks = el('canvas', { class: 'marks' });
  const plot = el('div', { class: 'plot', tabindex: '0', role: 'application' }, cells, marks);
  const caption = el('figcaption'), readout = el('output', { class: 'readout' }), scale = el('span', { class: 'scale' });
  const element = el('figure', { class: 'picture matrix' }, el('div', { class: 'picture-head' }, caption, saveMenu(options.name, () => toSvg())), plot, el('div', { class: 'picture-foot' }, scale, readout));
  // The figure is as wide as its picture; this tells how wide it may be.
  const holder = el('div', { class: 'matrix-holder' }, element);
  const small = el('canvas');

  const onScreen = () => shownMatrices.has(holder);

  /** @type {MatrixData} */
  let data = { title: '', label: '', rows: 0, columns: 0, values: [] };
  let limits = [0], width = 0, left = 0, top = 0, cellWidth = 1, cellHeight = 1;
  let selected = { row: -1, column: -1 }, hovered = { row: -1, column: -1 };

  /** @param {number} row @returns {Tone} */
  const toneOf = (row) => (Array.isArray(options.tone) ? options.tone[row] : options.tone);
  /** @param {number} row */
  const limitOf = (row) => limits[options.ownLimits ? row : 0];
  /** @param {number} row @param {number} column */
  const bytesAt = (row, column) => colourTable(toneOf(row), signed)[colourIndex(data.values[row * data.columns + column], limitOf(row), signed)];

  function* measure() {
    limits = new Array(options.ownLimits ? data.rows : 1).fill(0);
    if (data.limit !== undefined) {
      limits.fill(data.limit);
      return;
    }
    const { rows, columns, values } = data;
    for (let row = 0, cellsDone = 0; row < rows; row++) {
      let most = 0;
      for (let n = row * columns; n < (row + 1) * columns; n++) {
        const value = values[n], size = value < 0 ? -value : value;
        if (size > most && size < Infinity) most = size;
      }
      const place = options.ownLimits ? row : 0;
      if (most > limits[place]) limits[place] = most;
      if ((cellsDone += columns) >= CELLS_A_STEP) {
        cellsDone = 0;
        yield;
      }
    }
  }

  function layout() {
    const available = holder.clientWidth;
    if (available === 0 || data.rows === 0) return false;
    const context = /** @type {CanvasRenderingContext2D} */ (cells.getContext('2d'));
    context.font = LABEL_FONT;
    const most = options.maxCell ?? 48;
    /** @param {string[] | undefined} labels */
    const widest = (labels) => Math.min(LABEL_WIDTH, Math.ceil(Math.max(0, ...(labels ?? []).map((label) => context.measureText(label).width))));
    const rowLabels = data.rowLabels && data.rows <= 64 ? widest(data.rowLabels) + 8 : 0;
    const columnLabels = data.columnLabels && data.columns <= 64 ? widest(data.columnLabels) : 0;
    left = rowLabels;
    cellWidth = Math.min(most, (available - left) / data.columns);
    const turned = columnLabels > cellWidth - 2;
    top = columnLabels && cellWidth >= 11 ? (turned ? columnLabels + 8 : 20) : 0;
    cellHeight = options.rowHeight ?? Math.min(options.maxRow ?? most, options.maxRow ? Infinity : cellWidth, options.maxHeight ? options.maxHeight / data.rows : Infinity);
    if (data.rowLabels && data.rows <= 64 && !options.rowHeight) cellHeight = Math.max(cellHeight, Math.min(14, cellWidth < 4 ? 14 : cellHeight));
    if (left && cellHeight < 11) {
      left = 0;
      cellWidth = Math.min(most, available / data.columns);
    }
    width = Math.ceil(left + cellWidth * data.columns);
    return true;
  }

  function* draw() {
    yield* measure();
    yield* paint();
    showReadout();
  }

  const heightOf = () => Math.ceil(top + cellHeight * data.rows + 1);

  /** @param {HTMLCanvasElement} canvas */
  function prepare(canvas) {
    const ratio = window.devicePixelRatio || 1, height = heightOf();
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    // New memory is dear; most of the time the size is as before.
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.globalAlpha = 1;
    context.clearRect(0, 0, width, height);
    return context;
  }

  function* paint() {
    if (!layout()) return;
    yield;
    plot.style.height = `${heightOf()}px`;
    const { rows, columns, values } = data;
    const image = new ImageData(columns, rows), pixels = new Uint32Array(image.data.buffer);
    for (let row = 0, cellsDone = 0; row < rows; row++) {
      const table = colourTable(toneOf(row), signed), limit = limitOf(row) || 1, factor = (signed ? 127.5 : 255) / limit, zero = signed ? 127.5 : 0;
      for (let n = row * columns; n < (row + 1) * columns; n++) {
        const at = values[n] * factor + zero + 0.5;
        pixels[n] = table[at > 255 ? 255 : at > 0 ? at | 0 : 0];
      }
      if ((cellsDone += columns) >= CELLS_A_STEP) {
        cellsDone = 0;
        yield;
      }
    }
    yield;
    const context = prepare(cells);
    yield;
    small.width = columns;
    small.height = rows;
    /** @type {CanvasRenderingContext2D} */ (small.getContext('2d')).putImageData(image, 0, 0);
    context.imageSmoothingEnabled = cellWidth < 1 || cellHeight < 1;
    context.drawImage(small, left, top, cellWidth * columns, cellHeight * rows);
    yield;

    context.font = LABEL_FONT;
    context.fillStyle = cssOf('ink-soft');
    context.textBaseline = 'middle';
    context.textAlign = 'right';
    if (left) for (let row = 0; row < rows; row++) context.fillText(shortened(context, data.rowLabels?.[row] ?? ''), left - 8, top + (row + 0.5) * cellHeight);
    if (top) for (let column = 0; column < columns; column++) {
      const label = shortened(context, data.columnLabels?.[column] ?? '');
      context.save();
      context.translate(left + (column + 0.5) * cellWidth, top === 20 ? top / 2 : top - 6);
      context.textAlign = top === 20 ? 'center' : 'left';
      if (top !== 20) context.rotate(-Math.PI / 2);
      context.fillText(label, 0, 0);
      context.restore();
    }
    // Cells that are large enough stand apart a little, and some carry their number.
    if (cellWidth >= 10 && cellHeight >= 10) {
      context.strokeStyle = cssOf('paper');
      context.lineWidth = 1;
      context.beginPath();
      for (let column = 0; column <= columns; column++) { context.moveTo(left + column * cellWidth, top); context.lineTo(left + column * cellWidth, top + rows * cellHeight); }
      for (let row = 0; row <= rows; row++) { context.moveTo(left, top + row * cellHeight); context.lineTo(left + columns * cellWidth, top + row * cellHeight); }
      context.stroke();
    }
    if (options.cellText && cellWidth >= 32 && cellHeight >= 20) {
      context.font = '12px ui-monospace, Menlo, Consolas, monospace';
      context.textAlign = 'center';
      for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
        context.fillStyle = inkOn(bytesAt(row, column));
        context.fillText(options.cellText(row, column), left + (column + 0.5) * cellWidth, top + (row + 0.5) * cellHeight + 1);
      }
    }
    for (const row of options.rules ?? []) {
      context.fillStyle = cssOf('ink');
      context.fillRect(left, top + row * cellHeight - 1, columns * cellWidth, 2);
    }
    for (const { row, from, to, strong } of data.boxes ?? []) {
      context.strokeStyle = cssOf(strong ? 'ink' : 'paper');
      context.lineWidth = 2;
      context.strokeRect(left + from * cellWidth + 1, top + row * cellHeight + 1, (to - from) * cellWidth - 2, cellHeight - 2);
    }
    element.style.maxWidth = `${Math.max(width, 280)}px`;
    yield;
    paintMarks();
    yield;
    paintScale();
  }

  function paintMarks() {
    if (width === 0) return;
    const context = prepare(marks), across = cellWidth * data.columns, down = cellHeight * data.rows;
    /** @param {{ row: number, column: number }} cell @param {boolean} strong */
    const mark = (cell, strong) => {
      if (cell.row < 0 && cell.column < 0) return;
      context.strokeStyle = cssOf(strong ? 'ink' : 'ink-soft');
      context.lineWidth = strong ? 2 : 1;
      const x = left + cell.column * cellWidth, y = top + cell.row * cellHeight;
      if (cell.row >= 0) context.strokeRect(left + 0.5, y, across - 1, cellHeight);
      if (cell.column >= 0) {
        context.globalAlpha = cell.row >= 0 ? 0.45 : 1;
        context.strokeRect(x, top + 0.5, cellWidth, down - 1);
        context.globalAlpha = 1;
        if (cell.row >= 0 && cellWidth >= 3) {
          context.lineWidth = 3;
          context.strokeRect(x, y, cellWidth, cellHeight);
        }
      }
    };
    mark(selected, true);
    mark(hovered, false);
  }

  function paintScale() {
    const limit = Math.max(...limits);
    const bar = el('span', { class: 'scale-bar' });
    const table = colourTable(toneOf(data.rows - 1), signed);
    bar.style.backgroundImage = `linear-gradient(to right, ${Array.from({ length: 9 }, (_, n) => cssColour(table[Math.round(n * 255 / 8)])).join(', ')})`;
    scale.replaceChildren(options.ownLimits ? '' : signed ? fmt(-limit, 2) : '0', bar, options.ownLimits ? '' : fmt(limit, 2));
  }

  function showReadout() {
    const cell = hovered.row >= 0 || hovered.column >= 0 ? hovered : selected;
    const inside = cell.row >= 0 && cell.column >= 0 && cell.row < data.rows && cell.column < data.columns;
    const words = inside ? options.readout(cell.row, cell.column) : '';
    if (readout.textContent !== words) readout.textContent = words;
  }

  /** @param {PointerEvent | MouseEvent} event */
  function cellUnder(event) {
    const box = cells.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - left) / cellWidth), row = Math.floor((event.clientY - box.top - top) / cellHeight);
    return row >= 0 && column >= 0 && row < data.rows && column < data.columns ? { row, column } : { row: -1, column: -1 };
  }

  /** @param {{ row: number, column: number }} cell */
  function hover(cell) {
    if (cell.row === hovered.row && cell.column === hovered.column) return;
    hovered = cell;
    options.onhover?.(cell.row, cell.column);
    soon(marks, () => { paintMarks(); showReadout(); });
  }

  plot.addEventListener('pointermove', (event) => hover(cellUnder(event)));
  plot.addEventListener('pointerleave', () => hover({ row: -1, column: -1 }));
  plot.addEventListener('click', (event) => {
    const cell = cellUnder(event);
    if (cell.row >= 0) pick(cell);
  });
  plot.addEventListener('blur', () => hover({ row: -1, column: -1 }));
  plot.addEventListener('keydown', (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -1e9], End: [0, 1e9], PageUp: [-1e9, 0], PageDown: [1e9, 0] }[event.key];
    const from = hovered.row >= 0 ? hovered : { row: Math.max(0, selected.row), column: Math.max(0, selected.column) };
    if (step) {
      event.preventDefault();
      hover({ row: Math.max(0, Math.min(data.rows - 1, from.row + step[0])), column: Math.max(0, Math.min(data.columns - 1, from.column + step[1])) });
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      pick(from);
    }
  });

  /** @param {{ row: number, column: number }} cell */
  function pick(cell) {
    selected = cell;
    showReadout();
    soon(marks, paintMarks);
    options.onpick?.(cell.row, cell.column);
  }

  let knownWidth = 0;
  new ResizeObserver(() => {
    if (holder.clientWidth === knownWidth) return;
    knownWidth = holder.clientWidth;
    soon(cells, draw, onScreen);
  }).observe(holder);
  matrixWatcher.observe(holder);

  function toSvg() {
    const height = heightOf(), foot = 26;
    const picture = svg('svg', { xmlns: 'http://www.w3.org/2000/svg', width: width + 20, height: height + 40 + foot, viewBox: `-10 -34 ${width + 20} ${height + 40 + foot}`, 'font-family': 'system-ui, sans-serif', 'font-size': 12 },
      svg('rect', { x: -10, y: -34, width: width + 20, height: height + 40 + foot, fill: cssOf('paper') }),
      svg('text', { x: 0, y: -14, fill: cssOf('ink'), 'font-size': 14, 'font-weight': 600 }, `${data.title}${data.shape ? `  ${data.shape}` : ''}`));
    if (data.rows * data.columns <= 4096) {
      for (let row = 0; row < data.rows; row++) for (let column = 0; column < data.columns; column++) {
        const bytes = bytesAt(row, column), x = left + column * cellWidth, y = top + row * cellHeight;
        picture.append(svg('rect', { x: round2(x), y: round2(y), width: round2(cellWidth), height: round2(cellHeight), fill: cssColour(bytes) }));
        if (options.cellText && cellWidth >= 32 && cellHeight >= 20)
          picture.append(svg('text', { x: round2(x + cellWidth / 2), y: round2(y + cellHeight / 2 + 4), fill: inkOn(bytes), 'text-anchor': 'middle' }, options.cellText(row, column)));
      }
    } else {
      // Too many for shapes: the cells as an image, one pixel each.
      picture.append(svg('image', { x: left, y: top, width: round2(cellWidth * data.columns), height: round2(cellHeight * data.rows), preserveAspectRatio: 'none', 'image-rendering': 'pixelated', href: small.toDataURL() }));
    }
    if (left) for (let row = 0; row < data.rows; row++) picture.append(svg('text', { x: left - 8, y: round2(top + (row + 0.5) * cellHeight + 4), fill: cssOf('ink-soft'), 'text-anchor': 'end' }, data.rowLabels?.[row]));
    if (top) for (let column = 0; column < data.columns; column++) {
      const x = round2(left + (column + 0.5) * cellWidth);
      picture.append(top === 20 ? svg('text', { x, y: top - 6, fill: cssOf('ink-soft'), 'text-anchor': 'middle' }, data.columnLabels?.[column])
        : svg('text', { x: 0, y: 4, transform: `translate(${x} ${top - 6}) rotate(-90)`, fill: cssOf('ink-soft') }, data.columnLabels?.[column]));
    }
    picture.append(svg('text', { x: 0, y: height + 16, fill: cssOf('ink-soft') }, readout.textContent ?? ''));
    return picture;
  }

  return {
    element: holder,
    /** @param {MatrixData} next */
    set(next) {
      data = next;
      hovered = { row: -1, column: -1 };
      fillCaption(caption, next.title, next.shape);
      plot.setAttribute('aria-label', next.label);
      soon(cells, draw, onScreen);
    },
    /**
     * Marks a cell, a row (column −1) or a column (row −1).
     * @param {number} row
     * @param {number} column
     */
    select(row, column) {
      selected = { row, column };
      soon(marks, () => { paintMarks(); showReadout(); }, onScreen);
    },
    /** @param {number} row @param {number} column */
    light(row, column) {
      hovered = { row, column };
      soon(marks, paintMarks);
    },
  };
}

/** @param {number} value */
function round2(value) {
  return Math.round(value * 100) / 100;
}

/** @param {string} name */
function cssOf(name) {
  const [r, g, b] = themeColour(name);
  return `rgb(${r},${g},${b})`;
}

/** @param {CanvasRenderingContext2D} context @param {string} label */
function shortened(context, label) {
  if (context.measureText(label).width <= LABEL_WIDTH) return label;
  while (label.length > 1 && context.measureText(`${label}…`).width > LABEL_WIDTH) label = label.slice(0, -1);
  return `${label}…`;
}
