// The panel's figures are those of the line.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium, firefox } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';
import { startTogether } from './support/participant.mjs';
import { Server } from './support/server.mjs';

/** The table as it stands: `{label: [up, down]}`. */
const table = ({ page }) =>
  page.$$eval('#stats tbody tr', (rows) =>
    Object.fromEntries(rows.map((row) => [row.cells[0].textContent, [...row.cells].slice(1).map((cell) => cell.textContent)])),
  );

const between = (text, least, most) => Number.parseFloat(text) >= least && Number.parseFloat(text) <= most;

async function showsPlausibleFigures(person) {
  await person.page.click('#tab-network');
  const rows = await eventually(`${person.name}'s figures are there`, async () => {
    const now = await table(person);
    const complete = now['Picture kbit/s']?.every((text) => between(text, 1, 5000))
      && now['Voice kbit/s'].every((text) => between(text, 1, 200))
      && now['Frames a second'].every((text) => between(text, 1, 61))
      && now['Jitter buffer'][1] !== '–' && now['Round trip'][1] !== '–';
    if (complete) return now;
    throw new Error(JSON.stringify(now));
  });
  assert.deepEqual(rows.Codec, ['VP8', 'VP8']);
  assert.equal(rows.Size[1].replace('×', 'x'), await person.size());
  assert.match(rows.Size[0], /^\d+×\d+$/);
  assert.ok(between(rows['Round trip'][1], 0, 500) && between(rows['Jitter buffer'][1], 0, 2000), JSON.stringify(rows));
  person.assertNoErrors();
}

test('rates, sizes and frames are plausible in both browsers', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, fox] = await startTogether(
    ['Anna', chromium(t, server)],
    ['Fox', firefox(t)],
  );
  await anna.join(server, 'studio');
  await fox.join(server, 'studio');
  await showsPlausibleFigures(anna);
  await showsPlausibleFigures(fox);
});
