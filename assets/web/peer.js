// One RTCPeerConnection: one offer with audio and video fixed up front, one answer, candidates both ways. Nothing is
// negotiated again; what we send changes by `replaceTrack`.

import { encodingFor } from './encoding.js';

const DISCONNECTED_PATIENCE_MS = 5000; // ICE often heals within a few seconds, for example when Wi-Fi roams

/**
 * The transport of one join. Events: `candidate` (detail for the server), `tracks` (the received MediaStream has a new
 * track), `connected`, and at most one `failed` (detail is a text).
 */
export class Peer extends EventTarget {
  /** What is received; the tracks come as soon as the answer is in. */
  received = new MediaStream();
  #connection;
  #senders = {};
  #waitingCandidates = [];
  #answered = false;
  #closed = false;
  #patience;
  #tile = null;
  #adaptation = Promise.resolve();

  /** `sends` is false for a viewer. `iceServers` comes from the server's welcome, as it stands. */
  constructor({ iceServers, sends }) {
    super();
    this.#connection = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
    this.#connection.onicecandidate = ({ candidate }) => this.#found(candidate);
    this.#connection.ontrack = ({ track }) => {
      this.received.addTrack(track);
      this.dispatchEvent(new Event('tracks'));
    };
    this.#connection.onconnectionstatechange = () => this.#watch();
    const direction = sends ? 'sendrecv' : 'recvonly';
    for (const kind of ['audio', 'video']) {
      // Also without a device: the m-line's direction cannot change later, a track can be put in at any time.
      const transceiver = this.#connection.addTransceiver(kind, { direction });
      if (kind === 'video') preferVp8(transceiver);
      if (sends) this.#senders[kind] = transceiver.sender;
    }
  }

  /** Makes the offer and returns its SDP. Candidates follow as events. */
  async offer() {
    await this.#connection.setLocalDescription(await this.#connection.createOffer());
    return this.#connection.localDescription.sdp;
  }

  /** Takes the server's answer, and after it the candidates that were faster. */
  async answer(sdp) {
    await this.#connection.setRemoteDescription({ type: 'answer', sdp });
    this.#answered = true;
    for (const candidate of this.#waitingCandidates.splice(0)) await this.#add(candidate);
    await this.adapt();
  }

  /** Takes one of the server's candidates. */
  async addCandidate(candidate) {
    if (this.#answered) await this.#add(candidate);
    else this.#waitingCandidates.push(candidate);
  }

  /** Sends this track from now on; `null` sends nothing. `kind` is `audio` or `video`. */
  async setTrack(kind, track) {
    const sender = this.#senders[kind];
    if (this.#closed || !sender || sender.track === track) return;
    await sender.replaceTrack(track);
    if (kind === 'video' && track) await this.adapt();
  }

  /**
   * Encodes for this tile size (or again for the last one, where the camera changed). One change at a time: the
   * parameters of a sender are read and written back as one transaction.
   */
  adapt(tile = this.#tile) {
    this.#tile = tile;
    this.#adaptation = this.#adaptation.then(() => this.#adaptNow()).catch(() => {});
    return this.#adaptation;
  }

  /** The `RTCStatsReport` of the whole connection. */
  stats() {
    return this.#connection.getStats();
  }

  /** Ends the connection; no events after it. The tracks we sent live on, they belong to the devices. */
  close() {
    this.#closed = true;
    clearTimeout(this.#patience);
    this.#connection.close();
  }

  async #adaptNow() {
    const sender = this.#senders.video;
    if (this.#closed || !sender?.track) return;
    const { width, height } = sender.track.getSettings();
    const encoding = encodingFor({ width, height }, this.#tile);
    try {
      const parameters = sender.getParameters();
      Object.assign(parameters.encodings[0], encoding);
      await sender.setParameters(parameters);
    } catch {
      // Browsers that refuse (older Firefox before the negotiation, or single fields): let the camera give less.
      await sender.track.applyConstraints({
        width: { ideal: Math.round(width / encoding.scaleResolutionDownBy) },
        height: { ideal: Math.round(height / encoding.scaleResolutionDownBy) },
        frameRate: { max: encoding.maxFramerate },
      });
    }
  }

  async #add({ candidate, sdpMLineIndex }) {
    try {
      await this.#connection.addIceCandidate({ candidate: candidate.replace(/^a=/, ''), sdpMLineIndex });
    } catch {
      // One unusable candidate (an address family that is switched off) is no reason to give up the others.
    }
  }

  #found(candidate) {
    // Firefox marks the end of each m-line with an empty candidate and the end of all with null; the server is told once.
    if (this.#closed || candidate?.candidate === '') return;
    const detail = { candidate: candidate?.candidate ?? '', sdpMLineIndex: candidate?.sdpMLineIndex ?? 0 };
    this.dispatchEvent(new CustomEvent('candidate', { detail }));
  }

  #watch() {
    clearTimeout(this.#patience);
    switch (this.#connection.connectionState) {
      case 'connected':
        this.dispatchEvent(new Event('connected'));
        break;
      case 'disconnected':
        this.#patience = setTimeout(() => this.#fail('the media line is gone'), DISCONNECTED_PATIENCE_MS);
        break;
      case 'failed':
        this.#fail('the media line could not be made');
        break;
    }
  }

  #fail(why) {
    if (this.#closed) return;
    this.dispatchEvent(new CustomEvent('failed', { detail: why }));
  }
}

// VP8 first: every browser encodes it at any size. Only where the browser's own order is another one, and without
// leaving any out: Firefox then offers feedback for payload types that are gone, which other parsers refuse.
function preferVp8(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities?.('video')?.codecs ?? [];
  const isVp8 = ({ mimeType }) => mimeType.toLowerCase() === 'video/vp8';
  if (codecs.length === 0 || isVp8(codecs[0])) return;
  try {
    transceiver.setCodecPreferences?.([...codecs.filter(isVp8), ...codecs.filter((codec) => !isVp8(codec))]);
  } catch {
    // The browser's own order also has what is needed.
  }
}
