// Cameras of one colour: files for Chromium's `--use-file-for-fake-video-capture`.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { COLOURS } from './colour.mjs';

const SIZE = [640, 360];
const FRAMES = 2; // Chromium plays the file again and again

/** Writes the camera of this colour and returns the file's path. It is removed when the test `t` is over. */
export async function cameraFile(t, colour, [width, height] = SIZE) {
  const directory = await mkdtemp(join(tmpdir(), 'tessera-camera-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, `${colour}.y4m`);
  const [y, cb, cr] = COLOURS[colour].yuv;
  const pixels = width * height;
  const planes = [Buffer.alloc(pixels, y), Buffer.alloc(pixels / 4, cb), Buffer.alloc(pixels / 4, cr)];
  const frame = Buffer.concat([Buffer.from('FRAME\n'), ...planes]);
  const header = Buffer.from(`YUV4MPEG2 W${width} H${height} F30:1 Ip A1:1 C420jpeg\n`);
  await writeFile(path, Buffer.concat([header, ...Array(FRAMES).fill(frame)]));
  return path;
}
