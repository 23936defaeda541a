// Who leaves is gone: from the list and from the picture, whose tiles move.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium } from './support/browser.mjs';
import { colourOf } from './support/colour.mjs';
import { eventually } from './support/eventually.mjs';
import { startTogether } from './support/participant.mjs';
import { Server } from './support/server.mjs';

test('leaving removes the tile', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, ben] = await startTogether(
    ['Anna', chromium(t, server, { colour: 'red' })],
    ['Ben', chromium(t, server, { colour: 'green' })],
  );
  await anna.join(server, 'studio');
  await ben.join(server, 'studio');
  await anna.seesColour(server, 'studio', 'Ben', 'green');
  await anna.seesColour(server, 'studio', 'Anna', 'red');
  const { canvas, participants } = await server.room('studio');
  const { tile } = participants.find(({ name }) => name === 'Ben');

  await ben.page.click('#leave');
  await ben.page.waitForSelector('#over:not([hidden])');
  assert.equal(await ben.page.$eval('#over-title', (title) => title.textContent), 'You left the room');

  await eventually('Ben is gone from the list', async () => (await anna.names()).join() === 'Anna');
  await eventually('no green is left where Ben was', async () => {
    const rgb = await anna.pixel((tile.x + tile.width / 2) / canvas.width, (tile.y + tile.height / 2) / canvas.height);
    return colourOf(rgb) !== 'green';
  });
  await anna.seesColour(server, 'studio', 'Anna', 'red');

  await ben.page.click('#rejoin');
  await ben.live();
  await anna.seesColour(server, 'studio', 'Ben', 'green');
  anna.assertNoErrors();
  ben.assertNoErrors();
});

test('closing the tab is leaving', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, ben] = await startTogether(
    ['Anna', chromium(t, server, { colour: 'red' })],
    ['Ben', chromium(t, server, { colour: 'green' })],
  );
  await anna.join(server, 'studio');
  await ben.join(server, 'studio');
  await eventually('both are listed', async () => (await anna.names()).join() === 'Anna,Ben');
  await ben.page.goto('about:blank');
  await eventually('Ben is gone', async () => (await anna.names()).join() === 'Anna', 3000);
});
