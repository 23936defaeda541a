// In the page of another site: publishers and watchers by the clients of others.

import { WHEPClient } from './whep.js';
import { WHIPClient } from './whip.js';

const AMPLITUDE = 0.25;
// A tone that never ends is taken for noise otherwise.
const PLAIN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** Publishes a picture of one colour, and a tone or the microphone's sound, by medooze's WHIP client. */
async function publish(url, colour, tone) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [640, 360];
  const context = canvas.getContext('2d');
  const draw = () => {
    context.fillStyle = colour;
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  draw();
  setInterval(draw, 50); // a canvas that nobody paints gives no frames
  const sound = tone ? synthesised(tone) : await navigator.mediaDevices.getUserMedia({ audio: PLAIN });
  const pc = new RTCPeerConnection();
  for (const track of [...sound.getTracks(), ...canvas.captureStream(20).getTracks()]) {
    pc.addTransceiver(track, { direction: 'sendonly' });
  }
  const client = new WHIPClient();
  await client.publish(pc, url);
  return client;
}

function synthesised(tone) {
  const context = new AudioContext();
  const [source, gain] = [new OscillatorNode(context, { frequency: tone }), new GainNode(context, { gain: AMPLITUDE })];
  const destination = new MediaStreamAudioDestinationNode(context);
  source.connect(gain).connect(destination);
  source.start();
  return destination.stream;
}

/** Watches by medooze's WHEP client, into the page's video of this id. */
async function view(url, id) {
  const pc = new RTCPeerConnection();
  for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
  show(pc, id);
  const client = new WHEPClient();
  await client.view(pc, url);
  return client;
}

/** Watches as MediaMTX's reader does: asks for the ICE servers by OPTIONS, offers a data channel too, then trickles. */
async function read(url, id) {
  const asked = await fetch(url, { method: 'OPTIONS' });
  if (!asked.ok) throw new Error(`OPTIONS: ${asked.status}`);
  const pc = new RTCPeerConnection({ iceServers: iceServers(asked.headers.get('link')), sdpSemantics: 'unified-plan' });
  for (const kind of ['video', 'audio']) pc.addTransceiver(kind, { direction: 'recvonly' });
  pc.createDataChannel('');
  show(pc, id);
  const waiting = [];
  let resource;
  const trickle = (candidate) => patch(resource, pc.localDescription.sdp, [candidate]);
  pc.onicecandidate = ({ candidate }) => {
    if (!candidate) return;
    if (resource) trickle(candidate);
    else waiting.push(candidate);
  };
  const offer = await pc.createOffer();
  await pc.setLocalDescription(offer);
  const posted = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: offer.sdp });
  const answer = await posted.text();
  if (posted.status !== 201) throw new Error(`POST: ${posted.status} ${answer}`);
  resource = new URL(posted.headers.get('location'), url);
  await pc.setRemoteDescription({ type: 'answer', sdp: answer });
  if (waiting.length > 0) await patch(resource, offer.sdp, waiting);
  return { stop: () => fetch(resource, { method: 'DELETE' }).then(() => pc.close()) };
}

/** The ICE servers that a Link header (RFC 8288) names. */
function iceServers(link) {
  const servers = (link ?? '').split(/,\s*(?=<)/).filter((one) => one.includes('rel="ice-server"'));
  return servers.map((one) => {
    const parameter = (name) => one.match(new RegExp(`${name}="([^"]*)"`))?.[1];
    return { urls: [one.match(/<([^>]*)>/)[1]], username: parameter('username'), credential: parameter('credential') };
  });
}

/** Sends candidates (RFC 8840), each below the m-line that it is of. */
async function patch(resource, sdp, candidates) {
  const [session, ...sections] = sdp.split(/^(?=m=)/m);
  const line = (text, name) => text.match(new RegExp(`^a=${name}:.*`, 'm'))?.[0].trim();
  const from = (name) => line(session, name) ?? line(sections[0], name);
  const lines = [from('ice-ufrag'), from('ice-pwd')];
  for (const [index, section] of sections.entries()) {
    const own = candidates.filter(({ sdpMLineIndex }) => sdpMLineIndex === index);
    if (own.length > 0) lines.push(section.split('\r\n', 1)[0], line(section, 'mid'), ...own.map(({ candidate }) => `a=${candidate}`));
  }
  const headers = { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*' };
  const sent = await fetch(resource, { method: 'PATCH', headers, body: `${lines.join('\r\n')}\r\n` });
  if (sent.status !== 204) throw new Error(`PATCH: ${sent.status} ${await sent.text()}`);
}

/** Shows and analyses what comes on this connection. */
function show(pc, id) {
  const video = document.createElement('video');
  Object.assign(video, { id, muted: true, autoplay: true, playsInline: true, srcObject: new MediaStream() });
  document.body.append(video);
  video.pc = pc;
  pc.ontrack = ({ track }) => {
    video.srcObject.addTrack(track);
    video.play().catch(() => {}); // a second track interrupts the first one's beginning
    if (track.kind !== 'audio') return;
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    video.analyser = analyser;
  };
}

/** The RGB of a video at a point, in parts of its width and height, or null without a picture. */
function pixel(id, x, y) {
  const video = document.getElementById(id);
  if (!video || video.readyState < video.HAVE_CURRENT_DATA || video.videoWidth === 0) return null;
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext('2d');
  context.drawImage(video, x * video.videoWidth, y * video.videoHeight, 8, 8, 0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

/** How loud these tones (Hz) are right now, in dB. */
function levels(id, tones) {
  const analyser = document.getElementById(id)?.analyser;
  if (!analyser) return null;
  const spectrum = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(spectrum);
  return tones.map((tone) => {
    const bin = Math.round((tone * analyser.fftSize) / analyser.context.sampleRate);
    return Math.max(-200, ...spectrum.slice(bin - 1, bin + 2));
  });
}

/** The energy of all the sound that came in so far, of full scale² · s. */
async function energy(id) {
  const report = await document.getElementById(id)?.pc.getStats();
  const inbound = [...(report?.values() ?? [])].find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
  return inbound?.totalAudioEnergy ?? 0;
}

Object.assign(window, { publish, view, read, pixel, levels, energy, calls: {} });
