// Without camera, or without both, the page says what to do, and one joins with what is there.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';
import { startTogether } from './support/participant.mjs';
import { Server } from './support/server.mjs';

const advice = (participant) =>
  eventually('there is advice', () => participant.page.$eval('#join-advice', (element) => element.textContent));

test('a refused camera: help, and in with the microphone', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, ben] = await startTogether(
    ['Anna', chromium(t, server, { colour: 'red' })],
    ['Ben', chromium(t, server, { allowed: ['microphone'] })],
  );
  await anna.join(server, 'studio');
  await ben.page.goto(`${server.origin}/r/studio`);
  assert.match(await advice(ben), /camera is blocked.*allow the camera.*join all the same/is);
  await ben.join(server, 'studio');
  await ben.seesColour(server, 'studio', 'Anna', 'red');
  await anna.personWhere('Ben', 'with voice, without picture', ({ state }) => /^(Quiet|Speaking) · camera off$/.test(state));
  ben.assertNoErrors();
});

test('both refused: help, and in to see and hear', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, ben] = await startTogether(
    ['Anna', chromium(t, server, { colour: 'red' })],
    ['Ben', chromium(t, server, { allowed: [] })],
  );
  await anna.join(server, 'studio');
  await ben.page.goto(`${server.origin}/r/studio`);
  assert.match(await advice(ben), /camera and microphone are blocked/i);
  await ben.join(server, 'studio');
  await ben.seesColour(server, 'studio', 'Anna', 'red');
  ben.assertNoErrors();
});
