// People hear each other and not themselves; who watches hears them all after the tap.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium, firefox } from './support/browser.mjs';
import { observe, statsOf } from './support/connection.mjs';
import { eventually } from './support/eventually.mjs';
import { Participant, startTogether } from './support/participant.mjs';
import { Server } from './support/server.mjs';

const ANNA = 500; // Hz
const BEN = 1300;
const AUDIBLE_DB = -50;
const SOUND = 0.002; // energy in full scale² · s: some words
const SILENT = 0.0001;
const BELOW_DB = 25; // how much weaker than a voice that is heard one is that is not

/** Begins to listen to what the page receives: from now on it keeps the loudest level that each of the tones had. */
async function listen({ page }, tones) {
  await page.evaluate((tones) => {
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(document.querySelector('#mix').srcObject).connect(analyser);
    const spectrum = new Float32Array(analyser.frequencyBinCount);
    window.loudest = tones.map(() => -Infinity);
    setInterval(() => {
      analyser.getFloatFrequencyData(spectrum);
      tones.forEach((tone, index) => {
        const bin = Math.round((tone * analyser.fftSize) / context.sampleRate);
        const level = Math.max(...spectrum.slice(bin - 1, bin + 2));
        window.loudest[index] = Math.max(window.loudest[index], level);
      });
    }, 50);
  }, tones);
}

// Where nothing at all was heard, the level is minus infinity, which JSON has no number for.
const loudest = async ({ page }) =>
  (await page.evaluate(() => window.loudest)).map((level) => level ?? -Infinity);

/** The energy of all the sound that came in so far, and how long that was. */
async function energyAndTime({ page }) {
  const stats = await statsOf(page, 'inbound-rtp', 'audio');
  return { energy: stats?.totalAudioEnergy ?? 0, seconds: stats?.totalSamplesDuration ?? 0 };
}

/** Waits until sound of clearly more energy came in. */
async function hearsSound(person) {
  const before = await energyAndTime(person);
  await eventually(`${person.name} hears something`, async () => {
    const now = await energyAndTime(person);
    if (now.energy > before.energy + SOUND) return true;
    throw new Error(`${JSON.stringify(before)} then, ${JSON.stringify(now)} now`);
  });
}

test('each hears the other and not the own voice', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const [anna, ben] = await startTogether(
    ['Anna', chromium(t, server, { colour: 'red', tone: ANNA })],
    ['Ben', chromium(t, server, { colour: 'blue', tone: BEN })],
  );
  for (const person of [anna, ben]) {
    await observe(person.page);
    await person.join(server, 'studio');
  }
  for (const [person, own, other] of [[anna, ANNA, BEN], [ben, BEN, ANNA]]) {
    await listen(person, [own, other]);
    await eventually(`${person.name} hears the other`, async () => {
      const [, heard] = await loudest(person);
      if (heard > AUDIBLE_DB) return true;
      throw new Error(`the loudest was ${heard} dB`);
    });
  }
  // Of the other's voice more is sure to come; meanwhile the own one had its time too.
  for (const [person, own] of [[anna, 'Anna'], [ben, 'Ben']]) {
    await hearsSound(person);
    await person.personWhere(`${own} (you)`, 'speaking', ({ state }) => state.startsWith('Speaking'));
    await hearsSound(person);
    const [self, heard] = await loudest(person);
    assert.ok(self < heard - BELOW_DB, `${own} hears the own voice at ${self} dB, the other's at ${heard} dB`);
  }

  await ben.press('m');
  await anna.personWhere('Ben', 'muted', ({ muted }) => muted);
  await eventually('Anna no more hears Ben', async () => {
    await anna.page.evaluate(() => window.loudest.fill(-Infinity));
    const before = await energyAndTime(anna);
    const after = await eventually('two seconds were heard', async () => {
      const now = await energyAndTime(anna);
      return now.seconds >= before.seconds + 2 && now;
    });
    return after.energy - before.energy < SILENT && (await loudest(anna))[1] < AUDIBLE_DB;
  });
  for (const person of [anna, ben]) person.assertNoErrors();
});

test('a viewer hears everybody after the tap', { timeout: 90_000 }, async (t) => {
  const server = await Server.forTest(t);
  const anna = new Participant(await chromium(t, server, { colour: 'red', tone: ANNA }), 'Anna');
  const [fox, viewer] = await startTogether(
    ['Fox', firefox(t)],
    ['the viewer', chromium(t, server)],
  );
  for (const person of [anna, fox, viewer]) await observe(person.page);
  await anna.join(server, 'studio');
  await viewer.watch(server, 'studio');
  await viewer.page.click('#tap');
  await eventually('the sound is on', () => viewer.page.$eval('#mix', (video) => !video.muted && !video.paused));
  await hearsSound(viewer);
  await listen(viewer, [ANNA]);
  await eventually('the viewer hears Anna', async () => (await loudest(viewer))[0] > AUDIBLE_DB);

  await fox.join(server, 'studio');
  await hearsSound(fox);
  await hearsSound(anna); // Firefox's fake microphone is a tone of 440 Hz
  for (const person of [anna, fox, viewer]) person.assertNoErrors();
});
