// Being in a room and staying there: joins, and joins again whenever the server or the line was away.

import { backoff } from './backoff.js';
import { problemKind } from './help.js';
import { Peer } from './peer.js';
import { Signalling } from './signalling.js';
import { isTokenNeeded } from './token.js';

const ATTEMPT_DEADLINE_MS = 15000; // from opening the WebSocket to media
const SETTLED_MS = 5000;
const FINAL_REASONS = ['left', 'removed'];
// Problems that trying again does not heal.
const FINAL_PROBLEMS = ['malformed-sdp', 'unsupported-sdp'];

/**
 * A call. Events, all with a `detail`:
 * - `state`: `{state, why, retryAt, problem}`, where state is `joining`, `live`, `waiting` (for the next attempt, at
 *   `retryAt` in ms of the clock) or `over` (final; `why` is a close reason, `problem`, `unauthorized` or `left`);
 * - `peer`: a new {@link Peer} whose `received` is now to be shown;
 * - `message`: the room's events, as the server sent them, after `welcome` and `answer`.
 */
export class Call extends EventTarget {
  /** Our id in the room, once there is one. It changes with every rejoin. */
  id = null;
  /** The welcome of the present connection. */
  welcome = null;
  #options;
  #signalling = null;
  #peer = null;
  #attempt = 0;
  #state = 'over';
  #timer;
  #deadline;
  #cameraOn = false; // as the room knows it
  #rendition;
  #asked; // the rendition that our join asked for
  #lastProblem = null;
  #online = () => this.#state === 'waiting' && this.retry();

  /**
   * `devices` gives the tracks to send (`devices.track('audio' | 'video')`, a track or null), or is null for a viewer.
   * `rendition` is what to ask for at first.
   */
  constructor({ room, name, devices = null, rendition = 'auto' }) {
    super();
    this.#options = { room, name, devices };
    this.#rendition = rendition;
  }

  /** Begins, or begins again after the end. */
  start() {
    addEventListener('online', this.#online);
    this.#attempt = 0;
    this.#connect();
  }

  /** Leaves for good. */
  leave() {
    this.#signalling?.send({ type: 'leave' });
    this.#finish('left');
  }

  /** Tries at once instead of waiting any longer. */
  retry() {
    if (this.#state === 'waiting') this.#connect();
  }

  /** Sends a track from now on; see {@link Peer#setTrack}. Of a camera that goes off the room is told: it cannot see it. */
  async setTrack(kind, track) {
    const on = track !== null;
    if (kind === 'video' && this.id !== null && on !== this.#cameraOn) {
      this.#cameraOn = on;
      this.#send({ type: 'camera', on });
    }
    await this.#peer?.setTrack(kind, track);
  }

  /** Encodes for this tile; without one anew for the last, because the camera's picture changed its shape. */
  adapt(tile) {
    return this.#peer?.adapt(tile);
  }

  /** Mutes a participant, or with `null` oneself. */
  mute(participant, muted) {
    this.#send(participant === null ? { type: 'mute', muted } : { type: 'mute', participant, muted });
  }

  /** Watches this rendition (a name, `auto` or `audio`) from now on, also after a rejoin. */
  watch(rendition) {
    this.#rendition = rendition;
    this.#send({ type: 'rendition', name: rendition });
  }

  /** The `RTCStatsReport`, or null while there is no connection. */
  async stats() {
    return this.#peer ? this.#peer.stats() : null;
  }

  #connect() {
    this.#drop();
    this.#announce({ state: 'joining' });
    const signalling = new Signalling(this.#options.room, this.#options.name);
    this.#signalling = signalling;
    this.#deadline = setTimeout(() => this.#retryLater('the connection took too long'), ATTEMPT_DEADLINE_MS);
    signalling.addEventListener('lost', ({ detail }) => this.#lost(signalling, detail));
    signalling.addEventListener('message', ({ detail }) => {
      this.#receive(detail).catch((error) => {
        if (this.#signalling === signalling) this.#retryLater(error.message);
      });
    });
  }

  // A browser does not say why a WebSocket was refused, so that has to be asked for.
  async #lost(signalling, why) {
    const refused = this.#peer === null && (await isTokenNeeded());
    if (this.#signalling !== signalling) return;
    if (!refused) return this.#retryLater(why);
    this.#lastProblem = null;
    this.#finish('unauthorized');
  }

  async #receive(message) {
    switch (message.type) {
      case 'welcome':
        return this.#join(message);
      case 'answer':
        this.id = message.peer;
        if (this.#rendition !== this.#asked) this.watch(this.#rendition);
        await this.#peer?.answer(message.sdp);
        break;
      case 'candidate':
        return this.#peer?.addCandidate(message);
      case 'error':
        if (this.id === null) return this.#refused(message);
        break; // Of a request in the room: for the page to show.
      case 'closed':
        if (FINAL_REASONS.includes(message.reason)) return this.#finish(message.reason);
        return this.#retryLater(message.reason);
    }
    this.dispatchEvent(new CustomEvent('message', { detail: message }));
  }

  async #join(welcome) {
    const { devices } = this.#options;
    const signalling = this.#signalling;
    const peer = new Peer({ iceServers: welcome.iceServers, sends: devices !== null });
    this.welcome = welcome;
    this.#peer = peer;
    peer.addEventListener('connected', () => this.#live());
    peer.addEventListener('failed', ({ detail }) => this.#retryLater(detail));
    const early = [];
    let offered = false;
    peer.addEventListener('candidate', ({ detail }) => {
      if (offered) signalling.send({ type: 'candidate', ...detail });
      else early.push(detail);
    });
    this.#cameraOn = Boolean(devices?.track('video'));
    for (const kind of devices ? ['audio', 'video'] : []) await peer.setTrack(kind, devices.track(kind));
    const sdp = await peer.offer();
    const known = ['auto', 'audio', ...welcome.renditions.map(({ name }) => name)];
    if (!known.includes(this.#rendition)) this.#rendition = 'auto';
    this.#asked = this.#rendition;
    signalling.send({ type: devices ? 'join' : 'watch', sdp, rendition: this.#asked });
    offered = true;
    for (const candidate of early) signalling.send({ type: 'candidate', ...candidate });
    this.dispatchEvent(new CustomEvent('message', { detail: welcome }));
    this.dispatchEvent(new CustomEvent('peer', { detail: peer }));
  }

  #live() {
    clearTimeout(this.#deadline);
    clearTimeout(this.#timer);
    this.#lastProblem = null;
    // Only a line that holds is a success; one that breaks at once must not be tried twice a second for ever.
    this.#timer = setTimeout(() => (this.#attempt = 0), SETTLED_MS);
    if (this.#state !== 'live') this.#announce({ state: 'live' });
  }

  #refused({ problem, title, detail }) {
    this.#lastProblem = { kind: problemKind(problem), title, detail };
    if (FINAL_PROBLEMS.includes(this.#lastProblem.kind)) this.#finish('problem');
    else this.#retryLater(title);
  }

  #retryLater(why) {
    if (this.#state === 'over' || this.#state === 'waiting') return;
    this.#drop();
    const delay = backoff(this.#attempt);
    this.#attempt += 1;
    this.#timer = setTimeout(() => this.#connect(), delay);
    this.#announce({ state: 'waiting', why, retryAt: Date.now() + delay, problem: this.#lastProblem });
  }

  #finish(why) {
    if (this.#state === 'over') return;
    removeEventListener('online', this.#online);
    this.#drop();
    this.#announce({ state: 'over', why, problem: this.#lastProblem });
  }

  #announce(detail) {
    this.#state = detail.state;
    this.dispatchEvent(new CustomEvent('state', { detail }));
  }

  // Before the answer the server has nobody to do it for; what was meant for then is in the join.
  #send(message) {
    if (this.id !== null) this.#signalling?.send(message);
  }

  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    this.#signalling?.close();
    this.#peer?.close();
    this.#signalling = null;
    this.#peer = null;
    this.id = null;
  }
}
