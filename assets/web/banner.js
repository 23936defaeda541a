// The calm line above the stage: that the call is away and when it comes back.

import { byId, setText } from './dom.js';

let countdown;

/**
 * Shows what happened and that the next attempt comes at `retryAt` (ms of the clock). The seconds are for the eye: read
 * out one by one they would drown everything else.
 */
export function showBanner(title, retryAt) {
  clearInterval(countdown);
  const update = () => {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    setText(byId('banner-count'), seconds > 0 ? `Trying again in ${seconds} s` : 'Trying again …');
  };
  byId('banner').hidden = false;
  setText(byId('banner-text'), `${title}.`);
  update();
  countdown = setInterval(update, 1000);
}

/** Takes it away. */
export function hideBanner() {
  clearInterval(countdown);
  byId('banner').hidden = true;
  setText(byId('banner-text'), ''); // The same news is news again the next time.
}
