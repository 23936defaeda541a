// Short notices, seen and read out: the page's polite live region.

import { byId, h } from './dom.js';

const SHOWN_MS = 6000;
const MOST = 3;

/** Shows a notice for a few seconds. */
export function toast(text) {
  const region = byId('toasts');
  const notice = h('p', { class: 'toast' }, text);
  region.append(notice);
  while (region.children.length > MOST) region.firstElementChild.remove();
  setTimeout(() => notice.remove(), SHOWN_MS);
}
