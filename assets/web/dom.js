// Small helpers around the document. No framework: the pages are HTML, the modules fill them.

const SVG = 'http://www.w3.org/2000/svg';
const ICONS = new URL('icons.svg', import.meta.url).pathname;

/** The element with this id. The pages and the modules are shipped together, so it exists. */
export function byId(id) {
  return document.getElementById(id);
}

/** Makes an element: `h('button', { type: 'button', onclick }, 'text', child)`. Text is never parsed as HTML. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An icon of `icons.svg`; decoration only, the text beside it or the label around it says what it means. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `${ICONS}#${name}`);
  svg.append(use);
  return svg;
}

/** Changes the icon in a button without making a new one. */
export function setIcon(button, name) {
  button.querySelector('use').setAttribute('href', `${ICONS}#${name}`);
}

/** Sets the text only if it changed, so that live regions and selections are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
