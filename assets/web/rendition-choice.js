// What we receive: automatic, one of the ladder's renditions, or voices only.

import { h, setText } from './dom.js';

/** A bitrate in bit/s for people. Pure. */
export function bitrateText(bitrate) {
  return bitrate >= 1_000_000 ? `${(bitrate / 1_000_000).toFixed(1)} Mbit/s` : `${Math.round(bitrate / 1000)} kbit/s`;
}

/** The choice, on the page once its `element` is. `onChoose(name)` is told what the person wants. */
export class RenditionChoice {
  element = h('fieldset', { class: 'renditions', id: 'renditions' }, h('legend', {}, 'What you receive'));
  #onChoose;
  #names = '';
  #wanted;

  constructor(wanted, onChoose) {
    this.#wanted = wanted;
    this.#onChoose = onChoose;
  }

  /** The renditions that the server offers. */
  offer(renditions) {
    const names = renditions.map(({ name }) => name).join();
    if (names === this.#names) return; // After a rejoin: nobody's focus is taken away.
    this.#names = names;
    for (const row of this.element.querySelectorAll('.rendition')) row.remove();
    const known = ['auto', 'audio', ...renditions.map(({ name }) => name)];
    if (!known.includes(this.#wanted)) this.#wanted = 'auto';
    this.element.append(
      this.#row('auto', 'Automatic', ''),
      ...renditions.map(({ name, width, height, bitrate }) =>
        this.#row(name, name.charAt(0).toUpperCase() + name.slice(1), `${width}×${height} · ${bitrateText(bitrate)}`),
      ),
      this.#row('audio', 'Audio only', 'voices'),
    );
  }

  /** What the server says that we receive: `{name, auto}`. */
  show({ name, auto }) {
    const detail = this.element.querySelector('#rendition-auto ~ .rendition-detail');
    if (detail) setText(detail, auto ? `now ${name}` : '');
  }

  #row(name, text, detail) {
    const radio = h('input', { type: 'radio', name: 'rendition', value: name, id: `rendition-${name}` });
    radio.checked = name === this.#wanted;
    radio.addEventListener('change', () => {
      this.#wanted = name;
      this.#onChoose(name);
    });
    return h('label', { class: 'rendition' }, radio, h('span', {}, text), h('span', { class: 'rendition-detail soft small' }, detail));
  }
}
