// A server that asks for a token: it comes with the link, or the page asks for it, and then everything works as ever.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';
import { Participant } from './support/participant.mjs';
import { Server } from './support/server.mjs';

const TOKEN = 'c0mpass+N0rth/42=='; // with all that an address might garble

const textOf = (page, selector) => page.$eval(selector, (element) => element.textContent);
const closed = (page) => page.waitForFunction(() => document.querySelector('dialog') === null);

// Types into the dialog, which must have the focus by itself, and confirms with the keyboard.
async function answer(page, token) {
  await page.waitForSelector('dialog[open]');
  await eventually('the token has the focus', () => page.evaluate(() => document.activeElement.id === 'token'));
  await page.keyboard.type(token);
  await page.keyboard.press('Enter');
}

test('a link brings the token, and the tab keeps it', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t, { token: TOKEN });
  const anna = new Participant(await chromium(t, server, { colour: 'red' }), 'Anna');
  await anna.page.goto(`${server.origin}/#token=${TOKEN}`);
  await anna.page.waitForSelector('#empty:not([hidden])');
  assert.equal(anna.page.url(), `${server.origin}/`, 'the address is without it');
  await anna.join(server, 'studio');
  await anna.seesColour(server, 'studio', 'Anna', 'red');
  assert.equal(await anna.page.$('dialog'), null, 'nobody was asked');
  anna.assertNoErrors();
  assert.ok(!server.log.includes('c0mpass'), server.log);
});

test('who has no token is asked for it, and gets in with the keyboard alone', { timeout: 120_000 }, async (t) => {
  const server = await Server.forTest(t, { token: TOKEN });
  const anna = new Participant(await chromium(t, server, { colour: 'green' }), 'Anna');
  await anna.page.goto(`${server.origin}/r/studio`);
  await answer(anna.page, 'south');
  await eventually('it is refused', async () => /does not take/.test(await textOf(anna.page, '#token-problem')));
  await answer(anna.page, TOKEN);
  await closed(anna.page);
  await eventually('the name has the focus', () => anna.page.evaluate(() => document.activeElement.id === 'name'));
  await anna.page.keyboard.type('Anna');
  await anna.page.keyboard.press('Enter');
  await anna.live();
  await anna.seesColour(server, 'studio', 'Anna', 'green');

  const viewer = new Participant(await chromium(t, server), 'the viewer');
  await viewer.page.goto(`${server.origin}/watch/studio`);
  await viewer.page.waitForSelector('#over:not([hidden])');
  assert.match(await textOf(viewer.page, '#over-title'), /asks for a token/);
  await answer(viewer.page, TOKEN);
  await viewer.live();
  await viewer.seesColour(server, 'studio', 'Anna', 'green');
  anna.assertNoErrors();
  viewer.assertNoErrors();
});

test('the lobby asks once, and shows the rooms to who has the token', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t, { token: TOKEN });
  const stop = await server.bots(t, 'studio', 1);
  const page = await chromium(t, server);
  await page.goto(`${server.origin}/`);
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  await closed(page);
  await page.waitForSelector('#closed:not([hidden])');
  assert.equal(await page.$('.room-card'), null);
  await page.focus('#enter-token');
  await page.keyboard.press('Enter');
  await answer(page, TOKEN);
  const card = await page.waitForSelector('.room-card');
  assert.match(await card.evaluate((element) => element.textContent), /studio.*1 person/);
  await eventually('the room has a picture', () => card.$eval('img', (image) => image.naturalWidth > 0));
  await stop();
  await eventually('the bot has left', async () => /no-room/.test(await server.room('studio').catch(String)));
});
