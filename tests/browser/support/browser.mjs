// Browsers, one per participant, each with an empty profile.

import puppeteer from 'puppeteer-core';

import { cameraFile } from './camera.mjs';
import { microphoneFile } from './microphone.mjs';

const CHROMIUM = process.env.TESSERA_TEST_CHROMIUM ?? '/usr/bin/chromium';
const FIREFOX = process.env.TESSERA_TEST_FIREFOX ?? '/usr/bin/firefox-esr';
const DESKTOP = { width: 1280, height: 800 };

/**
 * Starts Chromium with a camera of this `colour` and `size` and a microphone of this `tone` (Hz), and a page in it.
 * Without colour or tone it is Chromium's own. `allowed` are the devices that the person allows; all others are refused.
 */
export async function chromium(t, server, { colour = null, size, tone = null, allowed = ['camera', 'microphone'] } = {}) {
  const browser = await puppeteer.launch({
    executablePath: CHROMIUM,
    defaultViewport: DESKTOP,
    args: [
      '--no-sandbox', // the tests may run as root in a container
      '--disable-gpu',
      '--disable-background-networking',
      '--use-fake-device-for-media-stream',
      ...(colour ? [`--use-file-for-fake-video-capture=${await cameraFile(t, colour, size)}`] : []),
      ...(tone ? [`--use-file-for-fake-audio-capture=${await microphoneFile(t, tone)}`] : []),
      `--unsafely-treat-insecure-origin-as-secure=${server.origin}`,
    ],
  });
  t.after(() => browser.close());
  // Whatever is not named here is refused.
  await browser.defaultBrowserContext().overridePermissions(server.origin, allowed);
  return firstPage(browser);
}

/** Starts Firefox with its own fake camera, whose colour changes all the time, and a page in it. */
export async function firefox(t) {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    defaultViewport: DESKTOP,
    extraPrefsFirefox: {
      'media.devices.insecure.enabled': true,
      'media.getusermedia.insecure.enabled': true,
      'media.navigator.permission.disabled': true,
      'media.navigator.streams.fake': true,
      'media.peerconnection.ice.obfuscate_host_addresses': false,
      'media.autoplay.default': 0,
    },
  });
  t.after(() => browser.close());
  return firstPage(browser);
}

async function firstPage(browser) {
  const [page] = await browser.pages();
  return page ?? browser.newPage();
}
