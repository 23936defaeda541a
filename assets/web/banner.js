// The calm line above the stage: that the call is away and when it comes back.

import { byId, setText } from './dom.js';

let countdown;

/** Shows what happened and, with `retryAt` (ms of the clock), how long until the next attempt. */
export function showBanner(title, retryAt = null) {
  clearInterval(countdown);
  const update = () => {
    const seconds = retryAt === null ? 0 : Math.ceil((retryAt - Date.now()) / 1000);
    setText(byId('banner-text'), seconds > 1 ? `${title}. Trying again in ${seconds} s.` : `${title}. Trying again …`);
  };
  byId('banner-retry').hidden = retryAt === null;
  byId('banner').hidden = false;
  update();
  if (retryAt !== null) countdown = setInterval(update, 1000);
}

/** Takes it away. */
export function hideBanner() {
  clearInterval(countdown);
  byId('banner').hidden = true;
}
