// @ts-check
// The page: what is chosen, what was read, and the sections that show it.

import { contextSection } from './context.js';
import { el, fill } from './dom.js';
import { forgetColours } from './draw/colours.js';
import { embeddingsSection } from './embeddings.js';
import { experimentsSection } from './experiments.js';
import { headsSection } from './heads.js';
import { keepSection } from './keep.js';
import { largestOf } from './numbers.js';
import { qkvSection } from './qkv.js';
import { soon, whenDone } from './schedule.js';
import { fillChoices } from './section.js';
import { scoresSection } from './scores.js';
import { openSource, SourceError } from './source.js';
import { defaultState, readState, writeState } from './state.js';
import { language, setLanguage, t } from './text.js';
import { tokensSection } from './tokens.js';
import { weightsSection } from './weights.js';

/** @typedef {import('./state.js').State} State */

const appState = { current: defaultState() };
/** @type {import('./source.js').Source} */
let appSource;
/** @type {{ a: string, b: string, reading: import('./source.js').Reading } | null} */
let appReading = null;
/** @type {import('./section.js').View | null} */
let appView = null;
/** @type {import('./section.js').Section[]} */
let appSections = [];
/** @type {ReturnType<typeof tokensSection>} */
let firstSection;
/** @type {ReturnType<typeof choiceBar>} */
let appBar;
let appLoading = new AbortController();
/** @type {Set<Element>} */
const onScreen = new Set();
const screenWatcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) onScreen.add(entry.target);
    else onScreen.delete(entry.target);
  }
});

/** @type {import('./section.js').Page} */
const thePage = {
  choose(patch) {
    appState.current = { ...appState.current, ...patch };
    delete document.body.dataset.ready;
    writeAddress();
    refresh();
  },
};

function writeAddress() {
  const hash = writeState(appState.current);
  try {
    history.replaceState(null, '', hash);
  } catch {
    // Some browsers refuse this in a file from the disk, or a hundred times in a row; the view is the same without.
  }
}

/** Reads what is not read yet, then draws. */
async function refresh() {
  appLoading.abort();
  const loading = appLoading = new AbortController(), { signal } = loading;
  firstSection.busy(true);
  try {
    const { a, b } = appState.current;
    if (!appReading || appReading.a !== a || appReading.b !== b) {
      const reading = await appSource.read(a, b, signal);
      if (signal.aborted) return;
      appReading = { a, b, reading };
    }
    const { reading } = appReading;
    settleHead(reading);
    const { layer, head } = appState.current;
    const look = await appSource.look(a, b, layer, head, signal);
    if (signal.aborted) return;
    settleTokens(reading, look);
    writeAddress();
    firstSection.fail('');
    show(reading, look);
  } catch (problem) {
    if (signal.aborted) return;
    firstSection.fail(problem instanceof SourceError ? problem.message : t('offline'));
    if (!(problem instanceof SourceError) && !(problem instanceof TypeError)) throw problem;
  } finally {
    if (appLoading === loading) firstSection.busy(false);
  }
}

/**
 * A head to begin with: one that looks at some of the words, rather than at one token, at all alike, or at [CLS] and [SEP].
 * @param {import('./source.js').Reading} reading
 */
function settleHead(reading) {
  const state = appState.current, { layers, heads } = appSource.info;
  if (state.layer >= 0 && state.layer < layers && state.head >= 0 && state.head < heads) return;
  const middle = Math.log(reading.tokens.length) / 2;
  const plainness = (/** @type {import('./source.js').Facts} */ one) => Math.abs(one.entropy - middle) + 2 * (one.cls + one.sep);
  const best = [...reading.facts].sort((a, b) => plainness(a) - plainness(b))[0];
  appState.current = { ...state, layer: best?.layer ?? layers - 1, head: best?.head ?? 0 };
}

/**
 * Tokens to begin with: one in the middle, and what it looks at most.
 * @param {import('./source.js').Reading} reading
 * @param {import('./source.js').HeadView} look
 */
function settleTokens({ tokens }, look) {
  const state = appState.current, length = tokens.length;
  let { i, j } = state;
  if (!(i >= 0 && i < length)) {
    const words = tokens.flatMap((token, n) => (token.special ? [] : [n]));
    i = words[Math.floor((Math.min(words.length, 12) - 1) / 2)] ?? 0;
  }
  if (!(j >= 0 && j < length)) {
    const row = look.weights.data.subarray(i * length, (i + 1) * length);
    j = largestOf(row, length).find((n) => n !== i && !tokens[n].special) ?? 0;
  }
  appState.current = { ...state, i, j, feature: Math.min(state.feature, appSource.info.head_size - 1) };
}

/** @param {import('./source.js').Reading} reading @param {import('./source.js').HeadView} look */
function show(reading, look) {
  const { tokens } = reading;
  const labels = appView && appView.tokens === tokens ? appView.labels : tokens.map(({ token }) => token);
  appView = { state: appState.current, source: appSource, info: appSource.info, reading, look, tokens, labels, length: tokens.length };
  appBar.update(appView);
  draw();
}

function draw() {
  for (const section of appSections) {
    soon(section, function* () {
      if (!appView) return;
      const steps = section.update(appView);
      if (steps) yield* steps;
      section.element.dataset.drawn = 'true';
    }, () => onScreen.has(section.element));
  }
  whenDone('drawn', () => { document.body.dataset.ready = 'true'; });
}

/** Layer, head, i and j, always at hand. */
function choiceBar() {
  /** @param {string} id @param {string} label @param {(value: number) => Partial<State>} patch @param {string} tone */
  const select = (id, label, patch, tone) => {
    const box = el('select', { id, onchange: () => thePage.choose(patch(Number(box.value))) });
    return { box, field: el('label', { class: `bar-field ${tone}`, for: id }, el('span', {}, label), box) };
  };
  const layer = select('choose-layer', t('layerName'), (value) => ({ layer: value }), '');
  const head = select('choose-head', t('headName'), (value) => ({ head: value }), '');
  const query = select('choose-query', t('query'), (value) => ({ i: value }), 'tone-q');
  const key = select('choose-key', t('key'), (value) => ({ j: value }), 'tone-k');
  const element = el('nav', { class: 'choice-bar', 'aria-label': t('choices') }, layer.field, head.field, query.field, key.field);
  /** @type {any} */
  let shown = null;
  return {
    element,
    /** @param {import('./section.js').View} view */
    update({ state, info, tokens, labels }) {
      for (const [box, count, words, chosen] of /** @type {const} */ ([
        [layer.box, info.layers, String, state.layer], [head.box, info.heads, String, state.head],
        [query.box, tokens.length, (/** @type {number} */ n) => `${n} ${labels[n]}`, state.i], [key.box, tokens.length, (/** @type {number} */ n) => `${n} ${labels[n]}`, state.j],
      ])) {
        box.value = String(chosen);
        if (shown !== tokens || box.value !== String(chosen)) fillChoices(box, count, words, chosen);
      }
      shown = tokens;
    },
  };
}

function isDark() {
  const { theme } = appState.current;
  return theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function applyTheme() {
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light';
  forgetColours();
}

/** The whole page, in the chosen language and theme. */
function buildPage() {
  setLanguage(appState.current.lang);
  document.documentElement.lang = language() === 'zh' ? 'zh-CN' : 'en';
  document.title = t('title');
  applyTheme();
  onScreen.clear();
  screenWatcher.disconnect();
  firstSection = tokensSection(thePage);
  appSections = [firstSection, headsSection(thePage), embeddingsSection(thePage), qkvSection(thePage), scoresSection(thePage), weightsSection(thePage), contextSection(thePage), experimentsSection(thePage), keepSection(thePage)];
  appBar = choiceBar();
  const themeButton = el('button', { type: 'button', class: 'plain', id: 'theme-switch', onclick: () => { appState.current = { ...appState.current, theme: isDark() ? 'light' : 'dark' }; writeAddress(); rebuild('theme-switch'); } }, t(isDark() ? 'theme.light' : 'theme.dark'));
  const languageButton = el('button', { type: 'button', class: 'plain', id: 'language-switch', lang: language() === 'zh' ? 'en' : 'zh-CN', onclick: () => { appState.current = { ...appState.current, lang: language() === 'zh' ? 'en' : 'zh' }; writeAddress(); rebuild('language-switch'); } }, t('language'));
  const caveat = el('aside', { class: 'caveat', 'aria-labelledby': 'caveat-title' }, el('h2', { id: 'caveat-title' }, t('caveatTitle')), el('p', {}, t('caveat')));
  fill(document.body,
    el('a', { class: 'skip', href: '#tokens', onclick: (/** @type {Event} */ event) => { event.preventDefault(); document.getElementById('sentence-a')?.focus(); } }, t('skip')),
    el('header', { class: 'page-head' },
      el('div', { class: 'page-top' },
        el('span', { class: 'brand' }, el('span', { class: 'tone-q' }, 'Q'), el('span', { class: 'tone-k' }, 'k'), el('span', { class: 'tone-v' }, 'v')),
        el('div', { class: 'page-switches' }, themeButton, languageButton)),
      el('h1', {}, t('tagline')),
      el('p', { class: 'intro' }, t('intro')),
      appSource.recorded ? el('p', { class: 'recorded-note' }, t('recordedNote')) : null),
    appBar.element,
    el('main', {}, ...appSections.flatMap((section) => (section.element.id === 'experiments' ? [caveat, section.element] : [section.element]))),
    // Keeps its place in the exported file, where it holds the trace.
    document.getElementById('trace'));
  for (const { element } of appSections) screenWatcher.observe(element);
}

/** @param {string} focus the element that had the focus */
function rebuild(focus) {
  delete document.body.dataset.ready;
  buildPage();
  document.getElementById(focus)?.focus({ preventScroll: true });
  if (appView) {
    appBar.update(appView);
    draw();
  }
  refresh();
}

async function startPage() {
  const base = { ...defaultState(), lang: navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en' };
  try {
    appSource = await openSource();
  } catch {
    setLanguage(base.lang);
    fill(document.body, el('main', { class: 'dead' }, el('h1', {}, 'Qkv'), el('p', { role: 'alert' }, t('offline'))));
    return;
  }
  const start = appSource.view ? { ...base, ...appSource.view } : base;
  // A recorded page has one sentence; its address can choose everything else.
  const read = (/** @type {State} */ from) => ({ ...readState(location.hash, from), ...(appSource.recorded ? { a: start.a, b: start.b } : {}) });
  appState.current = read(start);
  buildPage();
  addEventListener('hashchange', () => {
    const next = read(appState.current), { lang, theme } = appState.current;
    appState.current = next;
    if (next.lang !== lang || next.theme !== theme) rebuild('');
    else refresh();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { if (!appState.current.theme) rebuild(''); });
  await refresh();
}

startPage();
