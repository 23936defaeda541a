// Nobody sends more pixels than are shown: with the tile, what the browser encodes shrinks and grows.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium, firefox } from './support/browser.mjs';
import { observe, statsOf } from './support/connection.mjs';
import { eventually } from './support/eventually.mjs';
import { startTogether } from './support/participant.mjs';
import { Server } from './support/server.mjs';

const ROOM = 'studio';
const BOTS = 3; // with the two browsers three columns: tiles of 426x240

/** The width of the person's tile, of what the browser encodes for it, and of what the server decodes. */
async function widths(server, person) {
  const { participants } = await server.room(ROOM);
  const { tile, picture } = participants.find(({ name }) => name === person.name);
  const { frameWidth } = (await statsOf(person.page, 'outbound-rtp', 'video')) ?? {};
  return { tile: tile?.width, encoded: frameWidth, decoded: picture?.width };
}

const widthsWhere = (server, person, what, check) =>
  eventually(`${person.name} ${what}`, async () => {
    const now = await widths(server, person);
    if (check(now)) return now;
    throw new Error(JSON.stringify(now));
  }, 20_000);

test('what is encoded follows the size of the tile', { timeout: 120_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, fox] = await startTogether(
    ['Anna', chromium(t, server, { colour: 'red', size: [1280, 720] })],
    ['Fox', firefox(t)],
  );
  for (const person of [anna, fox]) {
    await observe(person.page);
    await person.join(server, ROOM);
  }
  // How much of a large tile's size a browser uses is also up to its line and processor.
  const large = ({ tile, encoded, decoded }) => tile === 640 && encoded > 426 && encoded <= tile && decoded === encoded;
  const small = ({ tile, encoded, decoded }) => tile === 426 && encoded <= tile && encoded > 0.9 * tile && decoded === encoded;
  for (const person of [anna, fox]) await widthsWhere(server, person, 'fills a large tile', large);

  const stop = await server.bots(t, ROOM, BOTS);
  for (const person of [anna, fox]) await widthsWhere(server, person, 'encodes for a small tile', small);
  await fox.seesColour(server, ROOM, 'Anna', 'red');
  await anna.seesChange(server, ROOM, 'Fox');

  await stop();
  for (const person of [anna, fox]) await widthsWhere(server, person, 'fills a large tile again', large);
  await fox.seesColour(server, ROOM, 'Anna', 'red');
  for (const person of [anna, fox]) person.assertNoErrors();
  assert.deepEqual(await anna.names(), ['Anna', 'Fox']);
});
