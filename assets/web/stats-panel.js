// The table of what really goes up and down.

import { h } from './dom.js';
import { readStats } from './stats.js';

const EVERY_MS = 1000;

/** The table's rows from `readStats`: `[label, up, down]`, texts. Pure. */
export function statsRows({ up, down, roundTrip }, sends) {
  const both = (label, medium, text) => [label, text(up[medium]), text(down[medium])];
  const size = (one) => (one?.width ? `${one.width}×${one.height}` : '–');
  const number = (name, unit, digits = 0) => (one) => {
    const value = one?.[name];
    return value === null || value === undefined ? '–' : `${value.toFixed(digits)}${unit}`;
  };
  const rows = [
    both('Picture kbit/s', 'video', number('kbps', '')),
    both('Size', 'video', size),
    both('Frames a second', 'video', number('fps', '')),
    both('Codec', 'video', (one) => one?.codec ?? '–'),
    both('Picture loss', 'video', number('loss', ' %', 1)),
    both('Voice kbit/s', 'audio', number('kbps', '')),
    both('Voice loss', 'audio', number('loss', ' %', 1)),
    both('Jitter buffer', 'video', number('jitterBuffer', ' ms')),
    both('Freezes', 'video', number('freezes', '')),
  ];
  if (up.video?.limit) rows.push(['Held back by', up.video.limit, '']);
  const trip = roundTrip === null ? '–' : `${Math.round(roundTrip)} ms`;
  rows.push(['Round trip', '', trip]);
  return rows.map(([label, above, below]) => (sends ? [label, above, below] : [label, below]));
}

/** The table and its heading, filled every second while it is `visible`. `read` returns an `RTCStatsReport` or null. */
export class StatsPanel {
  /** What to put on the page. */
  elements;
  #table = h('div', { id: 'stats' });
  #read;
  #sends;
  #previous = null;
  #timer = null;

  constructor(read, { sends }) {
    this.#read = read;
    this.#sends = sends;
    this.elements = [h('h2', {}, sends ? 'What really goes up and down' : 'What really comes down'), this.#table];
  }

  /** Whether anybody looks at it. */
  set visible(visible) {
    clearInterval(this.#timer);
    this.#previous = null;
    if (!visible) return;
    this.#timer = setInterval(() => this.#tick(), EVERY_MS);
    this.#tick();
  }

  async #tick() {
    const report = await this.#read().catch(() => null);
    if (!report) return;
    this.#previous = readStats(report, this.#previous);
    this.#draw(statsRows(this.#previous, this.#sends));
  }

  #draw(rows) {
    const head = this.#sends ? ['', 'Up', 'Down'] : ['', 'Down'];
    const cells = (row) => row.map((text, index) => h(index === 0 ? 'th' : 'td', index === 0 ? { scope: 'row' } : {}, text));
    const titles = head.map((text) => (text ? h('th', { scope: 'col' }, text) : h('td')));
    this.#table.replaceChildren(
      h('table', { class: 'stats' }, h('thead', {}, h('tr', {}, ...titles)), h('tbody', {}, ...rows.map((row) => h('tr', {}, ...cells(row))))),
    );
  }
}
