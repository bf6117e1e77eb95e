// @ts-check
// 9. Keep it: a link, the trace, the page itself.

import { download, el, fill } from './dom.js';
import { experimentsDone } from './experiments.js';
import { sectionFrame } from './section.js';
import { SourceError } from './source.js';
import { writeState } from './state.js';
import { t } from './text.js';

/**
 * @param {import('./section.js').Page} page
 * @returns {import('./section.js').Section}
 */
export function keepSection(page) {
  /** @type {import('./section.js').View | null} */
  let last = null;
  const status = el('p', { class: 'status', role: 'status' });
  const link = el('input', { type: 'text', id: 'view-link', readonly: true, onfocus: () => link.select() });
  const copy = el('button', {
    type: 'button', class: 'primary', onclick: async () => {
      try {
        await navigator.clipboard.writeText(link.value);
      } catch {
        link.select();
        document.execCommand('copy');
      }
      fill(status, t('keep.copied'));
    },
  }, t('keep.copy'));

  /** @param {'json' | 'safetensors' | 'html'} kind @param {string} name */
  const button = (kind, name) => el('button', { type: 'button', class: 'keep-button', 'data-kind': kind, onclick: () => save(kind, name) }, el('b', {}, t(`keep.${kind}`)), el('span', { class: 'quiet' }, t(`keep.${kind}About`)));
  const buttons = el('div', { class: 'keep-buttons' }, button('html', 'attention.html'), button('json', 'trace.json'), button('safetensors', 'trace.safetensors'));

  /** @param {'json' | 'safetensors' | 'html'} kind @param {string} name */
  async function save(kind, name) {
    if (!last) return;
    const { state, source } = last, text = { text: state.a, ...(state.b ? { pair: state.b } : {}) };
    const request = kind === 'html'
      ? { ...text, parameters: { layer: state.layer, head: state.head }, view: state, experiments: experimentsDone(state.a, state.b).slice(-6) }
      : kind === 'json' ? { ...text, tensors: ['*'], facts: true, parameters: { layer: state.layer, head: state.head } } : { ...text, tensors: ['*'] };
    fill(status, t('keep.working'));
    try {
      download(name, await source.file(kind, request));
      fill(status, t('keep.done', { name }));
    } catch (problem) {
      fill(status, problem instanceof SourceError ? problem.message : t('offline'));
    }
  }

  const frame = sectionFrame(9, 'keep', el('div', { class: 'link-row' }, el('label', { for: 'view-link' }, t('keep.link')), link, copy), buttons, status, el('p', { class: 'quiet' }, t('keep.pictures')), el('p', { class: 'quiet' }, t('keep.rounding')));
  return {
    element: frame.element,
    update(view) {
      last = view;
      link.value = location.href.split('#')[0] + writeState(view.state);
      for (const kind of ['html', 'safetensors']) /** @type {HTMLElement} */ (buttons.querySelector(`[data-kind=${kind}]`)).hidden = view.source.recorded;
      frame.setFormula();
    },
  };
}
