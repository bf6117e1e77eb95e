// @ts-check
// What is chosen. All of it is in the address, so that a link shows the same view.

/**
 * @typedef {object} State
 * @property {string} a sentence A
 * @property {string} b sentence B, or ''
 * @property {number} layer
 * @property {number} head
 * @property {number} i the token that asks
 * @property {number} j the token that it asks about
 * @property {number} feature of a head, 0 … D − 1
 * @property {'q' | 'k' | 'v'} map which of the three maps section 4 opens up
 * @property {boolean} scaled whether scores are divided by √D in section 6
 * @property {string} experiment the experiment, as `kind` or `kind:argument:argument`
 * @property {string} lang
 * @property {string} theme '', 'light' or 'dark'
 */

/** @returns {State} */
export function defaultState() {
  return { a: '我想吃酸菜鱼', b: '', layer: -1, head: -1, i: -1, j: -1, feature: 0, map: 'q', scaled: true, experiment: '', lang: '', theme: '' };
}

/** @param {string | null} text */
function wholeNumber(text) {
  return text !== null && /^\d{1,6}$/.test(text) ? Number(text) : -1;
}

/**
 * @param {string} hash as in the address
 * @param {State} base what the address does not say
 * @returns {State}
 */
export function readState(hash, base) {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const map = fields.get('map');
  return {
    a: fields.get('a') ?? base.a,
    b: fields.get('b') ?? base.b,
    layer: fields.has('layer') ? wholeNumber(fields.get('layer')) : base.layer,
    head: fields.has('head') ? wholeNumber(fields.get('head')) : base.head,
    i: fields.has('i') ? wholeNumber(fields.get('i')) : base.i,
    j: fields.has('j') ? wholeNumber(fields.get('j')) : base.j,
    feature: Math.max(0, fields.has('feature') ? wholeNumber(fields.get('feature')) : base.feature),
    map: map === 'k' || map === 'v' || map === 'q' ? map : base.map,
    scaled: fields.has('scaled') ? fields.get('scaled') !== '0' : base.scaled,
    experiment: fields.get('experiment') ?? base.experiment,
    lang: fields.get('lang') ?? base.lang,
    theme: fields.get('theme') ?? base.theme,
  };
}

/**
 * @param {State} state
 * @returns {string} for the address
 */
export function writeState(state) {
  const fields = new URLSearchParams({ a: state.a });
  if (state.b) fields.set('b', state.b);
  for (const name of /** @type {const} */ (['layer', 'head', 'i', 'j', 'feature'])) fields.set(name, String(state[name]));
  if (state.map !== 'q') fields.set('map', state.map);
  if (!state.scaled) fields.set('scaled', '0');
  if (state.experiment) fields.set('experiment', state.experiment);
  if (state.lang) fields.set('lang', state.lang);
  if (state.theme) fields.set('theme', state.theme);
  return `#${fields}`;
}
