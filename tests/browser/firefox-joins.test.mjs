// Firefox does what Chromium does; its only codec for sending and receiving here is VP8.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium, firefox } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';
import { startTogether } from './support/participant.mjs';
import { Server } from './support/server.mjs';

test('Firefox joins, sees and is seen, mutes, watches and leaves', { timeout: 120_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, fox] = await startTogether(
    ['Anna', chromium(t, server, { colour: 'yellow' })],
    ['Fox', firefox(t)],
  );
  await anna.join(server, 'studio');
  await fox.join(server, 'studio');

  await fox.seesColour(server, 'studio', 'Anna', 'yellow');
  await anna.seesChange(server, 'studio', 'Fox');
  await fox.seesFrames();
  const { participants } = await server.room('studio');
  assert.equal(participants.find(({ name }) => name === 'Fox').picture.codec, 'VP8');

  await fox.page.click('#microphone');
  await anna.personWhere('Fox', 'muted', ({ muted }) => muted);
  await fox.page.click('#microphone');
  await anna.personWhere('Fox', 'unmuted', ({ muted }) => !muted);

  await fox.page.click('#leave');
  await eventually('Fox is gone', async () => (await anna.names()).join() === 'Anna');

  await fox.watch(server, 'studio');
  await fox.seesColour(server, 'studio', 'Anna', 'yellow');
  anna.assertNoErrors();
  fox.assertNoErrors();
});
