// With the keyboard alone: from the lobby into a room, mute, look at the line, leave.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';
import { Participant } from './support/participant.mjs';
import { Server } from './support/server.mjs';

const MOST_TABS = 40;

// Presses Tab until the focus is there; everything that has the focus on the way must show it.
async function tabTo(page, selector) {
  for (let presses = 0; presses < MOST_TABS; presses += 1) {
    await page.keyboard.press('Tab');
    const { there, visible, what } = await page.evaluate((selector) => {
      const focused = document.activeElement;
      const style = getComputedStyle(focused);
      const visible = focused === document.body || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2);
      return { there: focused.matches(selector), visible, what: focused.outerHTML.slice(0, 80) };
    }, selector);
    assert.ok(visible, `the focus is visible on ${what}`);
    if (there) return;
  }
  assert.fail(`${selector} cannot be reached with Tab`);
}

test('all of it without a pointer', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const page = await chromium(t, server, { colour: 'blue' });
  const anna = new Participant(page, 'Anna');
  await page.goto(`${server.origin}/`);
  await tabTo(page, '#room');
  await page.keyboard.down('Control');
  await page.keyboard.press('a');
  await page.keyboard.up('Control');
  await page.keyboard.type('studio');
  await page.keyboard.press('Enter');

  await page.waitForSelector('#join-form');
  await eventually('the name has the focus', () => page.evaluate(() => document.activeElement.id === 'name'));
  await page.keyboard.type('Anna m v'); // letters of a name are no shortcuts
  await tabTo(page, '#join-button');
  await page.keyboard.press('Enter');
  await anna.live();
  await anna.personWhere('Anna m v (you)', 'not muted', ({ muted }) => !muted);

  await page.keyboard.press('m');
  await anna.personWhere('Anna m v (you)', 'muted', ({ muted }) => muted);
  await tabTo(page, '#microphone');
  await page.keyboard.press('Space');
  await anna.personWhere('Anna m v (you)', 'unmuted', ({ muted }) => !muted);

  await page.keyboard.press('n');
  await page.waitForSelector('#network:not([hidden])');
  await tabTo(page, '#rendition-auto');
  await page.keyboard.press('ArrowDown');
  await eventually('the first rendition was asked for', async () => {
    const { participants, renditions } = await server.room('studio');
    return renditions.length > 0 && participants[0].rendition === (await page.$eval('#renditions :checked', (radio) => radio.value));
  });

  await tabTo(page, '#leave');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#over:not([hidden])');
  await tabTo(page, '#rejoin');
  anna.assertNoErrors();
});
