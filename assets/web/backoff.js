// How long to wait before the next attempt. Pure: the random number is a parameter.

const FIRST_MS = 500;
const LONGEST_MS = 8000;

/**
 * Milliseconds to wait before attempt number `attempt` (0 is the first try after a failure). Doubles from 0.5 s to
 * 8 s; up to a quarter is taken off at random, so that a room full of people does not come back in one instant.
 */
export function backoff(attempt, random = Math.random()) {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(full * (1 - random / 4));
}
