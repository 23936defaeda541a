// Camera and microphone: asking for them, keeping them, letting them go.

import { deviceProblem, worthAskingAlone } from './help.js';

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const KINDS = ['microphone', 'camera'];

/**
 * The devices of this page. Events: `change` whenever a track, a problem or the list of devices is another one, and
 * `lost` (detail is `camera` or `microphone`) when one was unplugged or taken away while in use.
 */
export class Devices extends EventTarget {
  /** Per kind, why it is not there (see `deviceProblem`), or null. */
  problems = { microphone: null, camera: null };
  /** Per kind, what there is to choose from: `[{id, label}]`. Labels are empty until one was allowed. */
  lists = { microphone: [], camera: [] };
  #tracks = { microphone: null, camera: null };
  #wanted = { microphone: '', camera: '' };
  #turn = Promise.resolve();

  /** `wanted` are the remembered device ids, empty for the default ones. */
  constructor(wanted) {
    super();
    this.#wanted = { ...this.#wanted, ...wanted };
    navigator.mediaDevices?.addEventListener('devicechange', () => this.refresh());
  }

  /** The track that is to be sent for `audio` or `video` (or `microphone`, `camera`), or null. */
  track(kind) {
    return this.#tracks[{ audio: 'microphone', video: 'camera' }[kind] ?? kind];
  }

  /** Opens these kinds, with one question to the person where both are wanted. Never throws: see `problems`. */
  open(kinds) {
    return this.#inTurn(async () => {
      if (!navigator.mediaDevices?.getUserMedia) {
        for (const kind of kinds) this.problems[kind] = deviceProblem(null);
      } else if (kinds.length === 2) {
        await this.#openBoth();
      } else {
        for (const kind of kinds) await this.#openOne(kind);
      }
      await this.refresh();
    });
  }

  /** Changes to another device, or only remembers it where the kind is off. */
  choose(kind, id) {
    this.#wanted[kind] = id;
    if (!this.#tracks[kind]) return Promise.resolve();
    return this.#inTurn(async () => {
      // Some systems open a camera only once: let the old one go first.
      this.#release(kind);
      await this.#openOne(kind);
      this.#changed();
    });
  }

  /** Lets the device go, so that its light goes out. */
  close(kind) {
    return this.#inTurn(async () => {
      this.#release(kind);
      this.#changed();
    });
  }

  /** Reads the list of devices anew. */
  async refresh() {
    const all = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
    const of = (type) => all.filter(({ kind, deviceId }) => kind === type && deviceId !== '');
    const named = ({ deviceId, label }, index) => ({ id: deviceId, label: label || `Device ${index + 1}` });
    this.lists = { microphone: of('audioinput').map(named), camera: of('videoinput').map(named) };
    this.#changed();
  }

  // One change after the other: two quick presses of a button must not leave a camera open that nobody holds.
  #inTurn(step) {
    this.#turn = this.#turn.then(step, step);
    return this.#turn;
  }

  async #openBoth() {
    try {
      const stream = await this.#ask(KINDS);
      for (const track of stream.getTracks()) this.#hold(track.kind === 'audio' ? 'microphone' : 'camera', track);
    } catch (error) {
      for (const kind of KINDS) this.problems[kind] = deviceProblem(error);
      const states = Object.fromEntries(await Promise.all(KINDS.map(async (kind) => [kind, await permission(kind)])));
      for (const kind of worthAskingAlone(error, states)) await this.#openOne(kind);
    }
  }

  async #openOne(kind) {
    try {
      const [track] = (await this.#ask([kind])).getTracks();
      this.#hold(kind, track);
    } catch (error) {
      this.problems[kind] = deviceProblem(error);
    }
  }

  #ask(kinds) {
    const constraints = (kind, base) => {
      if (!kinds.includes(kind)) return false;
      // Not `exact`: a device that was unplugged since last time is replaced by the default one without a word.
      return this.#wanted[kind] ? { ...base, deviceId: { ideal: this.#wanted[kind] } } : base;
    };
    return navigator.mediaDevices.getUserMedia({
      audio: constraints('microphone', AUDIO),
      video: constraints('camera', VIDEO),
    });
  }

  #hold(kind, track) {
    this.#release(kind);
    this.problems[kind] = null;
    this.#tracks[kind] = track;
    track.addEventListener('ended', () => {
      if (this.#tracks[kind] !== track) return;
      this.#tracks[kind] = null;
      this.problems[kind] = 'missing';
      this.#changed();
      this.dispatchEvent(new CustomEvent('lost', { detail: kind }));
    });
  }

  #release(kind) {
    const track = this.#tracks[kind];
    this.#tracks[kind] = null;
    track?.stop();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}

async function permission(name) {
  try {
    return (await navigator.permissions.query({ name })).state;
  } catch {
    return undefined; // Not every browser tells.
  }
}
