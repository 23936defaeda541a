// Who is in the room, on the page.

import { byId, h, icon, setIcon, setText } from './dom.js';
import { colourOf, initialsOf, stateOf } from './participants.js';

/**
 * Fills the list of participants. `onMute(id, muted)` is asked when a row's mute button is pressed; without it there
 * are no buttons (viewers).
 */
export class ParticipantList {
  #rows = new Map();
  #participants = [];
  #speaking = new Set();
  #own = null;
  #onMute;

  constructor(onMute = null) {
    this.#onMute = onMute;
  }

  /** The participants now, and which of them we are. */
  show(participants, own) {
    this.#participants = participants;
    this.#own = own;
    this.#speaking = new Set(participants.filter(({ speaking }) => speaking).map(({ id }) => id));
    const ids = new Set(participants.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    for (const participant of participants) {
      if (!this.#rows.has(participant.id)) {
        const row = this.#makeRow(participant.id);
        this.#rows.set(participant.id, row);
        byId('participants').append(row.element);
      }
    }
    this.#update();
  }

  /** Who speaks now. */
  showSpeaking(ids) {
    this.#speaking = new Set(ids);
    this.#update();
  }

  #makeRow(id) {
    const avatar = h('span', { class: 'avatar', 'aria-hidden': 'true' });
    avatar.style.setProperty('--colour', colourOf(id));
    const name = h('p', { class: 'person-name' });
    const state = h('p', { class: 'person-state' });
    const button =
      this.#onMute &&
      h('button', { class: 'person-mute', type: 'button', onclick: () => this.#toggle(id) }, icon('mic'));
    const element = h('li', { class: 'person', 'data-id': id }, avatar, h('div', { class: 'person-text' }, name, state), button);
    return { element, avatar, name, state, button };
  }

  #toggle(id) {
    const participant = this.#participants.find((one) => one.id === id);
    if (participant) this.#onMute(id, !participant.muted);
  }

  #update() {
    for (const participant of this.#participants) {
      const row = this.#rows.get(participant.id);
      const speaking = this.#speaking.has(participant.id);
      const own = participant.id === this.#own;
      row.element.classList.toggle('speaking', speaking);
      row.element.dataset.muted = String(participant.muted);
      setText(row.avatar, initialsOf(participant.name));
      setText(row.name, own ? `${participant.name} (you)` : participant.name);
      setText(row.state, stateOf(participant, speaking));
      if (!row.button) continue;
      const label = own
        ? participant.muted ? 'Unmute yourself' : 'Mute yourself'
        : `${participant.muted ? 'Unmute' : 'Mute'} ${participant.name}`;
      row.button.setAttribute('aria-label', label);
      row.button.title = label;
      row.button.classList.toggle('off', participant.muted);
      setIcon(row.button, participant.muted ? 'mic-off' : 'mic');
    }
  }
}
