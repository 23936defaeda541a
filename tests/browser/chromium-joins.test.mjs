// Chromium joins, sees its own picture in the mix, and a viewer sees it too.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';
import { Participant } from './support/participant.mjs';
import { Server } from './support/server.mjs';

test('a participant and a viewer see the mix', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const anna = new Participant(await chromium(t, server, { colour: 'red' }), 'Anna');
  await anna.join(server, 'studio');
  await anna.seesColour(server, 'studio', 'Anna', 'red');
  await anna.seesFrames();

  const viewer = new Participant(await chromium(t, server), 'the viewer');
  await viewer.watch(server, 'studio');
  await viewer.seesColour(server, 'studio', 'Anna', 'red');
  assert.deepEqual(await viewer.names(), ['Anna']);
  assert.equal(await viewer.page.$eval('#mix', (video) => video.muted), true, 'silent until somebody wants sound');
  await viewer.page.click('#tap');
  await eventually('the sound is on', () => viewer.page.$eval('#mix', (video) => !video.muted && !video.paused));
  await anna.page.waitForFunction(() => document.querySelector('#viewers').textContent.includes('1 person'));
  anna.assertNoErrors();
  viewer.assertNoErrors();
});

test('the lobby lists the live room', { timeout: 60_000 }, async (t) => {
  const server = await Server.forTest(t);
  const anna = new Participant(await chromium(t, server, { colour: 'blue' }), 'Anna');
  await anna.join(server, 'studio');
  const lobby = await chromium(t, server);
  await lobby.goto(`${server.origin}/`);
  const card = await lobby.waitForSelector('.room-card');
  assert.match(await card.evaluate((element) => element.textContent), /studio.*1 person/);
  await card.$eval('a', (link) => link.click());
  await lobby.waitForSelector('#join-form');
  assert.equal(await lobby.$eval('#join-room', (element) => element.textContent), 'studio');
});
