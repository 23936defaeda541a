// The client's pure modules, without a browser.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

// The pages are served as they are, without a package that would tell Node that these files are modules.
async function load(name) {
  const source = await readFile(new URL(`../../assets/web/${name}`, import.meta.url), 'utf8');
  return import(`data:text/javascript,${encodeURIComponent(source)}`);
}

const { backoff } = await load('backoff.js');
const { encodingFor } = await load('encoding.js');
const { callHelp, deviceHelp, deviceProblem, pictureHelp, problemKind, worthAskingAlone } = await load('help.js');
const { levelOf } = await load('meter.js');
const { MuteState } = await load('mute-state.js');
const { changes, colourOf, initialsOf, stateOf } = await load('participants.js');
const { newRoomName } = await load('rooms.js');
const { readStats } = await load('stats.js');

test('attempts come ever more slowly, from half a second to eight, and never all at once', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 50].map((attempt) => backoff(attempt, 0)), [500, 1000, 2000, 4000, 8000, 8000, 8000]);
  assert.equal(backoff(0, 1), 375);
  assert.equal(backoff(9, 1), 6000);
});

test('no more pixels are encoded than the tile shows, and never more than the camera has', () => {
  const at = (source, tile) => encodingFor(source, tile).scaleResolutionDownBy;
  assert.equal(at({ width: 1280, height: 720 }, { width: 640, height: 360 }), 2);
  assert.equal(at({ width: 640, height: 360 }, { width: 1280, height: 720 }), 1);
  assert.equal(at({ width: 1920, height: 1080 }, null), 1.5);
  assert.equal(at({ width: 1080, height: 1920 }, null), 1.5, 'upright');
  assert.equal(at({ width: 1280, height: 720 }, { width: 426, height: 240 }), 1280 / 426, 'not one pixel more');
  const tile = { width: 320, height: 180 };
  assert.equal(at({ width: 640, height: 400 }, { ...tile, fit: 'auto' }), 2, 'the tile is filled, edges are cut');
  assert.equal(at({ width: 640, height: 480 }, { ...tile, fit: 'auto' }), 480 / 180, 'shown whole');
  assert.equal(at({ width: 360, height: 640 }, { ...tile, fit: 'auto' }), 640 / 180, 'shown whole: upright');
  assert.equal(at({ width: 640, height: 480 }, { ...tile, fit: 'fill' }), 2);
  assert.equal(at({ width: 640, height: 400 }, { ...tile, fit: 'fit' }), 400 / 180);
  assert.equal(at({}, { width: 320, height: 180 }), 1, 'a camera that does not tell its size');
  const rate = (tile) => encodingFor({ width: 1280, height: 720 }, tile).maxBitrate;
  assert.ok(rate({ width: 1280, height: 720 }) > rate({ width: 640, height: 360 }));
  assert.ok(rate({ width: 16, height: 10 }) >= 100_000);
});

test('every reason for no camera has a title and something to do', () => {
  const named = (name, message = '') => Object.assign(new Error(message), { name });
  const cases = [
    [null, 'insecure'],
    [named('NotAllowedError'), 'refused'],
    [named('NotAllowedError', 'Permission denied by system'), 'system'],
    [named('NotReadableError'), 'busy'],
    [named('NotFoundError'), 'missing'],
    [named('OverconstrainedError'), 'missing'],
    [named('TypeError'), 'unknown'],
  ];
  const titles = new Set();
  for (const [error, problem] of cases) {
    assert.equal(deviceProblem(error), problem);
    const { title, text } = deviceHelp(problem, ['camera'], { address: 'http://localhost:8080/r/x' });
    assert.match(title, /camera/i);
    assert.match(text, /join all the same/);
    titles.add(title);
  }
  assert.equal(titles.size, 6);
});

test('who refused both is not asked again for each', () => {
  const refused = Object.assign(new Error(), { name: 'NotAllowedError' });
  const missing = Object.assign(new Error(), { name: 'NotFoundError' });
  assert.deepEqual(worthAskingAlone(refused, {}), []);
  assert.deepEqual(worthAskingAlone(refused, { microphone: 'denied', camera: 'denied' }), []);
  assert.deepEqual(worthAskingAlone(refused, { microphone: 'granted', camera: 'denied' }), ['microphone']);
  assert.deepEqual(worthAskingAlone(refused, { microphone: 'prompt', camera: 'denied' }), ['microphone']);
  assert.deepEqual(worthAskingAlone(missing, {}), ['microphone', 'camera']);
});

test('the reasons of an end are told in words', () => {
  assert.match(callHelp('removed').title, /removed/);
  assert.match(callHelp('left').title, /left/);
  assert.equal(problemKind('urn:tessera:problem:nothing-live'), 'nothing-live');
  assert.match(callHelp('x', { kind: 'nothing-live' }).title, /Nothing is live/);
  assert.equal(callHelp('x', { kind: 'full', title: 'There is no more place', detail: 'd' }).title, 'There is no more place');
});

test('the level meter is silent at -60 dBFS and full at 0', () => {
  assert.equal(levelOf(new Float32Array(64)), 0);
  assert.equal(levelOf(new Float32Array(64).fill(1)), 1);
  assert.ok(Math.abs(levelOf(new Float32Array(64).fill(10 ** (-30 / 20))) - 0.5) < 1e-6);
});

test('our own wish to mute is not undone by older news, and nobody else opens the microphone', () => {
  const mute = new MuteState(false);
  mute.wish(true);
  assert.equal(mute.told(false), 'none', 'older news');
  assert.equal(mute.told(true), 'none');
  assert.equal(mute.told(false), 'asked');
  assert.equal(mute.muted, true);
  assert.equal(mute.told(true), 'none', 'told again');
  mute.wish(false);
  assert.equal(mute.told(false), 'none');
  assert.equal(mute.told(true), 'muted');
  assert.equal(mute.muted, true);
  assert.equal(mute.reconnect(), true, 'the new connection is told');
});

test('people: initials, changes and states', () => {
  assert.deepEqual(['Anna Schmidt', 'mei', ' Ada  de la Cruz ', 'Ann (x) de Vries', 'éa ß', '', '—', '😀 x'].map(initialsOf), ['AS', 'M', 'AC', 'AV', 'ÉSS', '?', '?', 'X']);
  const [a, b] = [{ id: '1', name: 'A' }, { id: '2', name: 'B' }];
  assert.deepEqual(changes([a], [b]), { joined: ['B'], left: ['A'] });
  assert.equal(stateOf({ muted: false, audio: 'live', video: 'live' }, true), 'Speaking');
  assert.equal(stateOf({ muted: false, audio: 'live', video: 'live' }, false), 'Quiet');
  assert.equal(stateOf({ muted: true, audio: 'live', video: 'none' }, true), 'Muted · camera off');
  assert.equal(stateOf({ muted: false, audio: 'silent', video: 'live' }, false), 'No microphone');
});

test('colours go by the last digit of the whole id, which a double cannot hold', () => {
  assert.equal(colourOf('0000000000000000'), '#3b6ea8');
  assert.equal(colourOf('ffffffffffffffff'), '#a84f6b'); // 18446744073709551615
  assert.equal(colourOf('fffffffffffffffe'), '#6d7f2f');
});

test('a new name for a room is a valid one', () => {
  for (let n = 0; n < 1; n += 0.01) assert.match(newRoomName(() => n), /^[a-z]+-[a-z]+-[1-9][0-9]$/);
});

test('statistics are rates between two reports', () => {
  const report = (seconds, bytes, lost, packets) =>
    new Map([
      ['out', { id: 'out', type: 'outbound-rtp', kind: 'video', timestamp: seconds * 1000, bytesSent: bytes, headerBytesSent: 0, framesEncoded: seconds * 30, frameWidth: 640, frameHeight: 360, codecId: 'c', ssrc: 1 }],
      ['in', { id: 'in', type: 'inbound-rtp', kind: 'video', timestamp: seconds * 1000, bytesReceived: bytes, headerBytesReceived: 0, packetsLost: lost, packetsReceived: packets, jitterBufferDelay: seconds, jitterBufferEmittedCount: seconds * 25, codecId: 'c' }],
      ['c', { id: 'c', type: 'codec', mimeType: 'video/VP8' }],
      ['r', { id: 'r', type: 'remote-inbound-rtp', ssrc: 1, fractionLost: 0.02, roundTripTime: 0.05 }],
    ]);
  const first = readStats(report(1, 1000, 0, 100));
  assert.equal(first.up.video.kbps, null, 'no rate from one report');
  const { up, down, roundTrip } = readStats(report(3, 251_000, 5, 195), first);
  assert.equal(up.video.kbps, 1000);
  assert.equal(up.video.fps, 30);
  assert.equal(up.video.loss, 2);
  assert.equal(up.video.codec, 'VP8');
  assert.equal(down.video.loss, 5);
  assert.equal(down.video.jitterBuffer, 40);
  assert.equal(roundTrip, 50);
  assert.equal(down.audio, null);
});

test('whose picture is refused is told so, and why', () => {
  assert.match(pictureHelp({ reason: 'too_large', width: 8192, height: 4320 }), /8192 × 4320 is too large/);
  const reasons = ['too_large', 'too_many_pixels', 'too_many_frames', 'size_changes_too_often'];
  for (const reason of reasons) assert.match(pictureHelp({ reason, width: 16, height: 16 }), /^Nobody sees your picture/);
  const state = stateOf({ muted: false, audio: 'live', video: 'silent', refused: { reason: 'too_large' } }, false);
  assert.equal(state, 'Quiet · picture is too much');
});
