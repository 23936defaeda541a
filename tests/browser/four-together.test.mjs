// Two Chromium and two Firefox in one room: each sees all four.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium, firefox } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';
import { Participant } from './support/participant.mjs';
import { Server } from './support/server.mjs';

test('two of each browser see four tiles', { timeout: 240_000 }, async (t) => {
  const server = await Server.forTest(t);
  const pages = await Promise.all([
    chromium(t, server, { colour: 'red' }),
    chromium(t, server, { colour: 'blue' }),
    firefox(t),
    firefox(t),
  ]);
  const names = ['Anna', 'Ben', 'Cleo', 'Dana'];
  const people = pages.map((page, index) => new Participant(page, names[index]));
  await Promise.all(people.map((person) => person.join(server, 'studio')));

  const { participants } = await server.room('studio');
  assert.equal(participants.filter(({ tile }) => tile).length, 4, 'four tiles on the canvas');
  for (const person of people) {
    await eventually(`${person.name} lists all`, async () => (await person.names()).join() === names.join());
  }
  const sights = people.flatMap((person) => [
    person.seesColour(server, 'studio', 'Anna', 'red', 30_000),
    person.seesColour(server, 'studio', 'Ben', 'blue', 30_000),
    person.seesChange(server, 'studio', 'Cleo', 30_000),
    person.seesChange(server, 'studio', 'Dana', 30_000),
  ]);
  await Promise.all(sights);
  for (const person of people) person.assertNoErrors();
});
