// @ts-check
// Elements. Text only ever becomes a text node: nothing on this page reads a string as HTML.

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * @param {Element} element
 * @param {Record<string, any>} properties `on…` is a listener, `class` the classes, false and null leave the attribute out
 */
export function setProperties(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === false || value === null || value === undefined) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  setProperties(element, properties);
  for (const child of children) if (child) element.append(child);
  return element;
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [properties]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  setProperties(element, properties);
  for (const child of children) if (child) element.append(child);
  return element;
}

/**
 * New children in place of the old ones.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren(.../** @type {(Node | string)[]} */ (children.filter((child) => child)));
}

/**
 * A line with marks: `{Q}` becomes a coloured Q. Marks are q, k, v, x and a for attention; `{Q:text}` colours other text.
 * @param {string} line
 * @returns {Node[]}
 */
export function coloured(line) {
  return line.split(/(\{[QKVXA](?::[^}]*)?\})/).filter((part) => part).map((part) => {
    const mark = /^\{([QKVXA])(?::([^}]*))?\}$/.exec(part);
    return mark ? el('span', { class: `tone-${mark[1].toLowerCase()}` }, mark[2] ?? mark[1]) : document.createTextNode(part);
  });
}

/**
 * @param {string} name
 * @param {Blob} blob
 */
export function download(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = el('a', { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
