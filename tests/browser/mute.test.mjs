// Muting oneself and others shows at everybody's list, and nobody's microphone is opened by somebody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';
import { startTogether } from './support/participant.mjs';
import { Server } from './support/server.mjs';

const sends = (participant) =>
  participant.page.$eval('#microphone', (button) => button.querySelector('span').textContent === 'Mute');

test('mute and unmute show at the others', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, ben] = await startTogether(
    ['Anna', chromium(t, server, { colour: 'red' })],
    ['Ben', chromium(t, server, { colour: 'blue' })],
  );
  await anna.join(server, 'studio');
  await ben.join(server, 'studio');
  await ben.personWhere('Anna', 'speaks or could', ({ muted }) => !muted);

  await anna.press('m');
  await ben.personWhere('Anna', 'muted', ({ muted, state }) => muted && state.startsWith('Muted'));
  await anna.press('m');
  await ben.personWhere('Anna', 'unmuted', ({ muted }) => !muted);

  const { id } = await anna.personWhere('Anna (you)', 'in the list', () => true);
  await ben.page.click(`.person[data-id="${id}"] .person-mute`);
  await anna.personWhere('Anna (you)', 'muted by Ben', ({ muted }) => muted);
  await eventually("Anna's own switch follows", async () => !(await sends(anna)));

  await ben.page.click(`.person[data-id="${id}"] .person-mute`);
  await anna.page.waitForFunction(() => document.querySelector('#toasts').textContent.includes('asks you to speak'));
  assert.equal(await sends(anna), false, 'only Anna opens her microphone');
  await ben.personWhere('Anna', 'still muted', ({ muted }) => muted);

  await anna.press('m');
  await ben.personWhere('Anna', 'unmuted by herself', ({ muted }) => !muted);
  anna.assertNoErrors();
  ben.assertNoErrors();
});

test('the camera off is a slate at the others, and on again a picture', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, ben] = await startTogether(
    ['Anna', chromium(t, server, { colour: 'red' })],
    ['Ben', chromium(t, server, { colour: 'blue' })],
  );
  await anna.join(server, 'studio');
  await ben.join(server, 'studio');
  await ben.seesColour(server, 'studio', 'Anna', 'red');
  await anna.press('v');
  await ben.personWhere('Anna', 'without camera', ({ state }) => state.includes('amera off'));
  await ben.seesSlate(server, 'studio', 'Anna');
  const held = await anna.page.evaluate(() => document.querySelector('#preview').srcObject);
  assert.equal(held, null, 'nothing on the page holds the camera');
  await anna.press('v');
  await ben.personWhere('Anna', 'with camera', ({ state }) => !state.includes('amera off'));
  await ben.seesColour(server, 'studio', 'Anna', 'red');
  anna.assertNoErrors();
});
