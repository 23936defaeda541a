// A phone's screen stays on while one watches.

let wanted = false;
let lock = null;

/** Keeps the screen on from now on, or no longer. Where the browser cannot, nothing happens. */
export async function keepAwake(on) {
  wanted = on;
  if (!on) {
    await lock?.release().catch(() => {});
    lock = null;
  } else if (document.visibilityState === 'visible') {
    lock = (await navigator.wakeLock?.request('screen').catch(() => null)) ?? null;
  }
}

// The system takes the lock away from a hidden page.
document.addEventListener('visibilitychange', () => {
  if (wanted && document.visibilityState === 'visible') keepAwake(true);
});
