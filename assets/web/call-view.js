// What the room page and the watch page have in common: they show a call.

import { hideBanner, showBanner } from './banner.js';
import { copyText } from './copy.js';
import { byId, h, setText } from './dom.js';
import { offerFullScreen } from './full-screen.js';
import { callHelp } from './help.js';
import { changes } from './participants.js';
import { Player } from './player.js';
import { RenditionChoice } from './rendition-choice.js';
import { countOf } from './rooms.js';
import { saveSettings } from './settings.js';
import { StatsPanel } from './stats-panel.js';
import { makeTabs } from './tabs.js';
import { toast } from './toast.js';
import { askForToken } from './token-dialog.js';
import { keepAwake } from './wake-lock.js';

/**
 * Shows a {@link Call} in the page: the mix, its state, the list of participants, the line. `list` is the page's
 * {@link ParticipantList}, `link` the address that the copy button gives away. Makes nothing happen in the room but
 * the choice of the rendition.
 */
export class CallView {
  /** The mix's player. */
  player;
  #call;
  #list;
  #participants = null; // null before the first list, so that nobody is announced on arrival
  #renditions;
  #peer = null;
  #audioOnly = false;
  #stats;

  constructor(call, { room, list, link, sends, rendition, muted = false }) {
    this.#call = call;
    this.#list = list;
    const video = byId('mix');
    this.player = new Player(video, byId('tap'), { muted });
    this.#renditions = new RenditionChoice(rendition, (name) => {
      saveSettings({ rendition: name });
      call.watch(name);
    });
    this.#stats = new StatsPanel(() => call.stats(), { sends });
    byId('network').append(this.#renditions.element, ...this.#stats.elements);
    setText(byId('room-name'), room);
    makeTabs(document.querySelector('[role=tablist]'), (shown) => (this.#stats.visible = shown === 'network'));
    offerFullScreen(byId('full-screen'), byId('call'), video);
    byId('copy-link').addEventListener('click', async () => toast((await copyText(link)) ? 'Link copied' : link));
    byId('banner-retry').addEventListener('click', () => call.retry());
    byId('rejoin').addEventListener('click', () => call.start());
    call.addEventListener('state', ({ detail }) => this.#showState(detail));
    call.addEventListener('peer', ({ detail }) => this.#showPeer(detail));
    call.addEventListener('message', ({ detail }) => this.#show(detail));
    // Whoever closes the tab is gone at once, not after the server's patience.
    addEventListener('pagehide', () => call.leave());
  }

  #showState({ state, why, retryAt, problem }) {
    const over = state === 'over';
    byId('call').hidden = over;
    byId('over').hidden = !over;
    byId('stage').classList.toggle('dim', state !== 'live');
    byId('call').dataset.state = state;
    keepAwake(!over);
    if (state === 'live') {
      hideBanner();
      byId('stage-note').replaceChildren();
    } else if (state === 'joining') {
      byId('stage-note').replaceChildren(h('div', { class: 'spinner' }), 'Connecting …');
    } else {
      this.#showAway(over, callHelp(why, problem), retryAt);
      if (why === 'unauthorized') this.#askForToken();
    }
  }

  #showAway(over, { title, text }, retryAt) {
    if (!over) {
      showBanner(title, retryAt);
      byId('stage-note').replaceChildren(text);
      return;
    }
    hideBanner();
    this.#participants = null;
    if (document.fullscreenElement) document.exitFullscreen();
    this.player.show(null);
    setText(byId('over-title'), title);
    setText(byId('over-text'), text);
    byId('over-title').focus(); // Where the keyboard goes on, and what a screen reader reads.
  }

  async #askForToken() {
    if (await askForToken()) byId('rejoin').click();
  }

  #showPeer(peer) {
    this.#peer = peer;
    this.#audioOnly = false;
    peer.addEventListener('tracks', () => this.#play());
  }

  #show(message) {
    switch (message.type) {
      case 'welcome':
        this.#renditions.offer(message.renditions);
        break;
      case 'rendition':
        this.#renditions.show(message);
        this.#audioOnly = message.name === 'audio';
        this.#play();
        break;
      case 'participants':
        this.#showParticipants(message);
        break;
      case 'speaking':
        this.#list.showSpeaking(message.speaking);
        break;
      case 'error':
        toast(message.detail || message.title);
        break;
    }
  }

  // Without a picture to come, Firefox would wait for one before it makes a sound: voices then play alone.
  #play() {
    const { received } = this.#peer;
    byId('stage').classList.toggle('audio-only', this.#audioOnly);
    this.player.show(this.#audioOnly ? new MediaStream(received.getAudioTracks()) : received);
  }

  #showParticipants({ participants, viewers }) {
    this.#list.show(participants, this.#call.id);
    const watching = viewers > 0 && h('span', { class: 'watching' }, ` · ${viewers} watching`);
    byId('room-count').replaceChildren(countOf(participants.length, 'person', 'people'), watching || '');
    setText(byId('viewers'), viewers > 0 ? `And ${countOf(viewers, 'person', 'people')} only watching` : '');
    const before = this.#participants;
    this.#participants = participants.filter(({ id }) => id !== this.#call.id);
    if (before === null) return;
    const { joined, left } = changes(before, this.#participants);
    // Everybody leaves and comes back when the line does; that is no news.
    if (joined.length > 0 && joined.length <= 3) toast(`${joined.join(', ')} joined`);
    if (left.length > 0 && left.length <= 3) toast(`${left.join(', ')} left`);
  }
}
