// The choice of the rendition changes what comes: the size of the picture, or no picture at all, and back.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium, firefox } from './support/browser.mjs';
import { observe, statsOf } from './support/connection.mjs';
import { eventually } from './support/eventually.mjs';
import { Participant } from './support/participant.mjs';
import { Server } from './support/server.mjs';

const choose = async ({ page }, name) => {
  await page.click('#tab-network');
  await page.click(`label:has(#rendition-${name})`);
};

const has = (person, size) => eventually(`${person.name} has ${size}`, async () => {
  const now = await person.size();
  if (now === size) return true;
  throw new Error(now);
});

async function changesRendition(server, person) {
  await has(person, '1280x720');
  await choose(person, 'low');
  await has(person, '320x180');
  await person.seesColour(server, 'studio', 'Anna', 'green');
  await choose(person, 'medium');
  await has(person, '640x360');

  await choose(person, 'audio');
  await person.page.waitForSelector('#stage.audio-only');
  const sound = async () => (await statsOf(person.page, 'inbound-rtp', 'audio')).packetsReceived;
  const frames = async () => (await statsOf(person.page, 'inbound-rtp', 'video'))?.framesReceived ?? 0;
  // What was under way may still come; after 25 voice packets (half a second) without a picture none does.
  const [from, pictures] = await eventually('no more pictures come', async () => {
    const before = [await sound(), await frames()];
    await eventually('the sound goes on', async () => (await sound()) > before[0] + 25);
    return (await frames()) === before[1] && before;
  });
  const playing = await person.page.$eval('#mix', (video) => [video.paused, video.srcObject.getVideoTracks().length]);
  assert.deepEqual(playing, [false, 0], 'voices play alone');
  assert.ok((await sound()) > from && (await frames()) === pictures);

  await choose(person, 'auto');
  await has(person, '1280x720');
  await person.page.waitForSelector('#stage:not(.audio-only)');
  await person.seesColour(server, 'studio', 'Anna', 'green');
  await person.seesFrames();
  person.assertNoErrors();
}

for (const [name, open] of [['Chromium', (t, server) => chromium(t, server)], ['Firefox', (t) => firefox(t)]]) {
  test(`${name}: smaller, voices alone, and back`, { timeout: 90_000 }, async (t) => {
    const server = await Server.forTest(t);
    const anna = new Participant(await chromium(t, server, { colour: 'green' }), 'Anna');
    await anna.join(server, 'studio');
    const ben = new Participant(await open(t, server), 'Ben');
    await observe(ben.page);
    await ben.join(server, 'studio');
    await changesRendition(server, ben);
    assert.equal(await anna.size(), '1280x720', 'others keep theirs');
  });
}
