// The colours that browsers show of the mix are those that were sent, in a tile of SD's size and of HD's.

import { test } from 'node:test';

import { chromium, firefox } from './support/browser.mjs';
import { COLOURS } from './support/colour.mjs';
import { eventually } from './support/eventually.mjs';
import { startTogether } from './support/participant.mjs';
import { Server } from './support/server.mjs';

const ROOM = 'studio';
const MOST = 10; // of 255: what coding costs; BT.601 taken for BT.709 or the other way is off by 19 in this colour

async function seesExactly(server, person, width) {
  await eventually(`${person.name} sees the very green in a tile of ${width}`, async () => {
    const { participants } = await server.room(ROOM);
    const tile = participants.find(({ name }) => name === 'Anna').tile;
    const rgb = await person.tilePixel(server, ROOM, 'Anna');
    const off = rgb && Math.max(...rgb.map((part, at) => Math.abs(part - COLOURS.green.rgb[at])));
    if (tile.width === width && off !== null && off <= MOST) return true;
    throw new Error(`${rgb} in a tile of ${tile.width}`);
  }, 20_000);
}

test('colours stay what they are', { timeout: 120_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, fox] = await startTogether(['Anna', chromium(t, server, { colour: 'green', size: [640, 360] })], ['Fox', firefox(t)]);
  await anna.join(server, ROOM);
  await fox.watch(server, ROOM);
  for (const person of [anna, fox]) await seesExactly(server, person, 1280);
  await server.bots(t, ROOM, 1);
  for (const person of [anna, fox]) await seesExactly(server, person, 640);
  for (const person of [anna, fox]) person.assertNoErrors();
});
