// On a phone's width nothing is cut off and everything that is pressed is large enough.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium } from './support/browser.mjs';
import { Participant } from './support/participant.mjs';
import { Server } from './support/server.mjs';

const LEAST_TARGET = 24; // WCAG 2.2, 2.5.8

async function assertFits(page, what) {
  const { width, content, small } = await page.evaluate((least) => {
    const shown = [...document.querySelectorAll('button, .button, input, select')].filter((one) => one.offsetParent);
    const small = shown
      .map((one) => [one.id || one.textContent, one.closest('label')?.getBoundingClientRect() ?? one.getBoundingClientRect()])
      .filter(([, box]) => box.width < least || box.height < least || box.right > innerWidth || box.left < 0)
      .map(([name]) => name);
    return { width: innerWidth, content: document.documentElement.scrollWidth, small };
  }, LEAST_TARGET);
  assert.equal(content, width, `${what} does not scroll sideways`);
  assert.deepEqual(small, [], `${what}: all controls are on the screen and large enough`);
}

test('every page fits 360 pixels', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const page = await chromium(t, server, { colour: 'red' });
  await page.setViewport({ width: 360, height: 720, isMobile: true, hasTouch: true });
  await page.goto(`${server.origin}/`);
  await assertFits(page, 'the lobby');
  await page.goto(`${server.origin}/r/a-room-with-a-rather-long-name-for-such-a-small-screen`);
  await assertFits(page, 'the join page');
  const anna = new Participant(page, 'Anna of the very long name');
  await anna.join(server, 'a-room-with-a-rather-long-name-for-such-a-small-screen');
  for (const tab of ['#tab-people', '#tab-network', '#tab-devices']) {
    await page.click(tab);
    await assertFits(page, `the room with ${tab}`);
  }
  anna.assertNoErrors();
});
