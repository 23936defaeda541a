// Clients that others wrote, in pages of another site: medooze's whip-whep publishes and watches, and a reader that asks as
// MediaMTX's does watches. What one browser publishes is seen and heard by every watcher in both.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium, firefox } from './support/browser.mjs';
import { colourOf } from './support/colour.mjs';
import { elsewhere } from './support/elsewhere.mjs';
import { eventually } from './support/eventually.mjs';
import { Server } from './support/server.mjs';

const AUDIBLE_DB = -50;
const SILENT_DB = -70;
const NOBODY = 2100; // Hz that nobody says
const SOUND = 0.02; // energy in full scale² · s: a second of a tone
const MS = 30_000; // two browsers that encode and decode on two processors

const here = (path) => new URL(path, import.meta.url);

test('whip-whep publishes and watches, and MediaMTX\'s reader watches', { timeout: 120_000 }, async (t) => {
  const server = await Server.forTest(t);
  const site = await elsewhere(t, here('strangers/page.mjs'), {
    'whip.js': here('node_modules/whip-whep/whip.js'),
    'whep.js': here('node_modules/whip-whep/whep.js'),
  });
  const people = [
    { name: 'Chromium', page: chromium(t, server), colour: 'red', css: '#f00', tone: 600 },
    { name: 'Firefox', page: firefox(t), colour: 'blue', css: '#00f', tone: 1000 },
  ];
  for (const person of people) {
    person.page = await person.page;
    await person.page.goto(site);
    await eventually(`the page in ${person.name}`, () => person.page.evaluate(() => Boolean(window.publish)));
    await person.page.click('body'); // sound wants a gesture
    const url = `${server.origin}/whip/studio?name=${person.name}`;
    await person.page.evaluate(
      async (url, css, tone) => { window.calls.publish = await window.publish(url, css, tone); },
      // Firefox has no sound of its own where there is no loudspeaker; its fake microphone says 1000 Hz.
      url, person.css, person.name === 'Firefox' ? null : person.tone,
    );
  }
  await eventually('both publish', async () => {
    const { participants } = await server.room('studio');
    return participants.length === 2 && participants.every(({ video, audio }) => video === 'live' && audio === 'live');
  }, MS);

  for (const { name, page } of people) {
    for (const client of ['view', 'read']) {
      await page.evaluate(
        async (client, url) => { window.calls[client] = await window[client](url, client); },
        client, `${server.origin}/whep/studio`,
      );
      for (const other of people) await seesColour(server, page, client, other, `${client} in ${name}`);
      await hears(page, client, name);
    }
  }
  const { viewers } = await server.room('studio');
  assert.equal(viewers.length, 4);

  // Each ends its session by DELETE.
  for (const { page } of people) {
    await page.evaluate(() => Promise.all(Object.values(window.calls).map((call) => call.stop())));
  }
  await eventually('the room is over', async () => {
    const answer = await fetch(`${server.origin}/api/rooms/studio`);
    return answer.status === 404;
  });
});

async function hears(page, id, name) {
  if (name === 'Firefox') {
    const before = await page.evaluate((id) => window.energy(id), id);
    await eventually(`${id} in Firefox hears something`, async () => {
      const now = await page.evaluate((id) => window.energy(id), id);
      if (now > before + SOUND) return true;
      throw new Error(`the energy is ${now}, and was ${before}`);
    }, MS);
    return;
  }
  await eventually(`${id} in ${name} hears both`, async () => {
    const heard = await page.evaluate((id, tones) => window.levels(id, tones), id, [600, 1000, NOBODY]);
    const nobody = heard?.pop();
    if (heard?.every((level) => level > AUDIBLE_DB) && nobody < SILENT_DB) return true;
    throw new Error(`${heard} and ${nobody} dB`);
  }, MS);
}

async function seesColour(server, page, id, { name, colour }, who) {
  await eventually(`${who} sees ${name} in ${colour}`, async () => {
    const { canvas, participants } = await server.room('studio');
    const { tile } = participants.find((one) => one.name === name);
    const [x, y] = [(tile.x + tile.width / 2) / canvas.width, (tile.y + tile.height / 2) / canvas.height];
    const rgb = await page.evaluate((id, x, y) => window.pixel(id, x, y), id, x, y);
    if (rgb && colourOf(rgb) === colour) return true;
    throw new Error(`the tile's middle is ${rgb}`);
  }, MS);
}
