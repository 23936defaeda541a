// Microphones of one tone: files for Chromium's `--use-file-for-fake-audio-capture`.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const RATE = 48_000;
const SECONDS = 6; // Chromium plays the file again and again
const AMPLITUDE = 0.3;
// Bursts, as words are: a tone that never ends is taken for noise and removed.
const WORD_SECONDS = 0.4;
const PAUSE_SECONDS = 0.2;

/** Writes the microphone of this tone (Hz) and returns the file's path. It is removed when the test `t` is over. */
export async function microphoneFile(t, tone) {
  const directory = await mkdtemp(join(tmpdir(), 'tessera-microphone-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, `${tone}.wav`);
  const samples = Buffer.alloc(RATE * SECONDS * 2);
  for (let at = 0; at < RATE * SECONDS; at += 1) {
    const into = (at / RATE) % (WORD_SECONDS + PAUSE_SECONDS);
    // The ends of a word are faded, as a click would be of all frequencies.
    const fade = Math.max(0, Math.min(1, into / 0.02, (WORD_SECONDS - into) / 0.02));
    samples.writeInt16LE(Math.round(32_767 * AMPLITUDE * fade * Math.sin((2 * Math.PI * tone * at) / RATE)), at * 2);
  }
  await writeFile(path, Buffer.concat([header(samples.length), samples]));
  return path;
}

// RIFF WAVE: 16 bit, one channel.
function header(bytes) {
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + bytes, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20); // PCM
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(RATE, 24);
  head.writeUInt32LE(RATE * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(bytes, 40);
  return head;
}
