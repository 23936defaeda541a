// Waiting for a condition, with a deadline.

import { setTimeout as pause } from 'node:timers/promises';

const EVERY_MS = 100;

/**
 * Asks `check` until it gives something true, and returns that. Fails after `ms` with `what` and the last answer or
 * error. The pause between two questions is no wait for anything, only courtesy to the processor.
 */
export async function eventually(what, check, ms = 10_000) {
  const deadline = Date.now() + ms;
  let last;
  for (;;) {
    try {
      last = await check();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}; last: ${describe(last)}`);
    await pause(EVERY_MS);
  }
}

function describe(value) {
  return value instanceof Error ? value.message : JSON.stringify(value);
}
