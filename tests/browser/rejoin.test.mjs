// The server goes away without goodbye and comes back: people are back by themselves, with their devices.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium, firefox } from './support/browser.mjs';
import { Participant, startTogether } from './support/participant.mjs';
import { Server } from './support/server.mjs';

test('Chromium and Firefox come back after a crash of the server', { timeout: 180_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, fox] = await startTogether(
    ['Anna', chromium(t, server, { colour: 'green' })],
    ['Fox', firefox(t)],
  );
  await anna.join(server, 'studio');
  await fox.join(server, 'studio');
  await anna.press('m');
  await fox.personWhere('Anna', 'muted', ({ muted }) => muted);

  await server.crash();
  for (const person of [anna, fox]) {
    await person.page.waitForSelector('#banner:not([hidden])');
    assert.match(await person.page.$eval('#banner', (banner) => banner.textContent), /Connection lost/);
  }

  await server.start();
  for (const person of [anna, fox]) {
    await person.live();
    await person.page.waitForSelector('#banner[hidden]');
  }
  await anna.seesColour(server, 'studio', 'Anna', 'green');
  await fox.seesColour(server, 'studio', 'Anna', 'green');
  await anna.seesChange(server, 'studio', 'Fox');
  await fox.personWhere('Anna', 'still muted after it all', ({ muted }) => muted);
});

test('who is removed stays out until they want back', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const anna = new Participant(await chromium(t, server, { colour: 'green' }), 'Anna');
  await anna.join(server, 'studio');
  const { id } = await anna.personWhere('Anna (you)', 'in the list', () => true);
  const answer = await fetch(`${server.origin}/api/rooms/studio/participants/${id}`, { method: 'DELETE' });
  assert.ok(answer.ok, `${answer.status}`);
  await anna.page.waitForSelector('#over:not([hidden])');
  assert.match(await anna.page.$eval('#over-title', (title) => title.textContent), /removed/);
  await anna.page.click('#rejoin');
  await anna.live();
  await anna.seesColour(server, 'studio', 'Anna', 'green');
});
