// A player with nothing but WHEP knows at once that the server has ended it: RTCDtlsTransport is closed, long before ICE
// tells by its silence. And the server knows at once that a player has closed that says so there and nothing over HTTP.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium, firefox } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';
import { Server } from './support/server.mjs';

const AT_ONCE_MS = 2000;

// Firefox says goodbye when a connection is closed, Chromium goes without a word.
for (const [name, start, says] of [['Chromium', chromium, false], ['Firefox', firefox, true]]) {
  test(`${name} knows at once that its WHEP session is over`, { timeout: 90_000 }, async (t) => {
    const server = await Server.forTest(t);
    const page = await start(t, server);
    await server.bots(t, 'studio', 1);
    // A page without scripts of its own.
    await page.goto(`${server.origin}/healthz`);
    await page.evaluate(watch, '/whep/studio');
    const states = () => page.evaluate(() => [window.player.connectionState, ...window.dtlsStates]);
    await eventually('it watches', async () => (await states()).join() === 'connected,connected');

    const { viewers } = await server.room('studio');
    assert.equal(viewers.length, 1);
    const removed = await fetch(`${server.origin}/api/rooms/studio/participants/${viewers[0].id}`, { method: 'DELETE' });
    assert.equal(removed.status, 204);
    await eventually('DTLS is closed', async () => (await states()).at(-1) === 'closed', AT_ONCE_MS);
    // It was not the silence.
    assert.deepEqual(await states(), ['connected', 'connected', 'closed']);

    if (!says) return;
    await page.evaluate(watch, '/whep/studio');
    await eventually('it watches again', async () => (await states()).join() === 'connected,connected');
    await page.evaluate(() => window.player.close());
    await eventually('it is gone', async () => (await server.room('studio')).viewers.length === 0, AT_ONCE_MS);
  });
}

/** Watches by WHEP; runs in the page. */
async function watch(endpoint) {
  const player = new RTCPeerConnection();
  window.player = player;
  for (const kind of ['audio', 'video']) player.addTransceiver(kind, { direction: 'recvonly' });
  await player.setLocalDescription();
  await new Promise((resolve) => {
    player.onicegatheringstatechange = () => player.iceGatheringState === 'complete' && resolve();
  });
  const headers = { 'content-type': 'application/sdp' };
  const answer = await fetch(endpoint, { method: 'POST', headers, body: player.localDescription.sdp });
  await player.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
  const { transport } = player.getReceivers()[0];
  window.dtlsStates = transport.state === 'connected' ? ['connected'] : [];
  transport.onstatechange = () => transport.state !== 'connecting' && window.dtlsStates.push(transport.state);
}
