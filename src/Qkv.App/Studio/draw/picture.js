// @ts-check
// A picture that can be kept: a figure with a caption and a small menu that saves it as SVG or PNG.

import { download, el, fill } from '../dom.js';
import { t } from '../text.js';

const PNG_SCALE = 2;

/**
 * @param {string} name of the file, without ending
 * @param {() => SVGSVGElement} draw the picture as it stands now, with colours in it
 */
export function saveMenu(name, draw) {
  const menu = el('details', { class: 'save' });
  const close = () => { menu.open = false; };
  menu.append(
    el('summary', { title: t('save.picture') }, el('span', { 'aria-hidden': 'true' }, '↓'), el('span', { class: 'unseen' }, t('save.picture'))),
    el('div', { class: 'save-choices' },
      el('button', { type: 'button', onclick: () => { close(); download(`${name}.svg`, new Blob([svgText(draw())], { type: 'image/svg+xml' })); } }, 'SVG'),
      el('button', { type: 'button', onclick: async () => { close(); download(`${name}.png`, await pngOf(draw())); } }, 'PNG')));
  menu.addEventListener('focusout', (event) => {
    if (!menu.contains(/** @type {Node | null} */ (event.relatedTarget))) close();
  });
  menu.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') close();
  });
  return menu;
}

/**
 * @param {HTMLElement} caption
 * @param {string} title
 * @param {string} [shape]
 */
export function fillCaption(caption, title, shape = '') {
  fill(caption, el('span', { class: 'picture-title' }, title), shape && el('span', { class: 'shape' }, shape));
}

/** @param {SVGSVGElement} picture */
function svgText(picture) {
  return new XMLSerializer().serializeToString(picture);
}

/**
 * @param {SVGSVGElement} picture
 * @returns {Promise<Blob>}
 */
async function pngOf(picture) {
  const image = new Image();
  const url = URL.createObjectURL(new Blob([svgText(picture)], { type: 'image/svg+xml' }));
  try {
    image.src = url;
    await image.decode();
    const canvas = el('canvas', { width: Math.ceil(image.width * PNG_SCALE), height: Math.ceil(image.height * PNG_SCALE) });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('PNG')))));
  } finally {
    URL.revokeObjectURL(url);
  }
}
