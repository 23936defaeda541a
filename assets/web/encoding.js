// How our picture is encoded: no more pixels than are shown. Pure.

const MAX_WIDTH = 1280;
const MAX_HEIGHT = 720;
export const MAX_FRAMERATE = 30;
const BITS_PER_PIXEL = 0.09; // what VP8 and H.264 in real time need for talking heads: 640x360 at 30 fps ≈ 620 kbit/s
const LEAST_BITRATE = 120_000;
const MOST_BITRATE = 2_000_000;
const SAME_SHAPE = 0.01;

/**
 * The encoding for a source of `source` ({width, height} in pixels) that is shown in `tile` ({width, height} in canvas
 * pixels and how it is filled, `fit`; or nothing as long as it is unknown). The picture is never enlarged; without a tile
 * it is only capped at 1280x720. Bitrate in bit/s.
 */
export function encodingFor(source, tile) {
  const { width, height } = source;
  if (!width || !height) return { scaleResolutionDownBy: 1, maxBitrate: MOST_BITRATE, maxFramerate: MAX_FRAMERATE };
  // A phone held upright has its long side up: the cap is on the longer and the shorter side.
  const cap = Math.max(Math.max(width, height) / MAX_WIDTH, Math.min(width, height) / MAX_HEIGHT);
  const scale = Math.max(1, cap, tile?.width && tile?.height ? scaleFor(source, tile) : 1);
  const pixels = (width / scale) * (height / scale);
  const bitrate = Math.round(pixels * MAX_FRAMERATE * BITS_PER_PIXEL);
  return {
    scaleResolutionDownBy: scale,
    maxBitrate: Math.min(MOST_BITRATE, Math.max(LEAST_BITRATE, bitrate)),
    maxFramerate: MAX_FRAMERATE,
  };
}

// A tile has whole, even sides: of a third of 1280x720 remain 426x240. Where the shapes differ by that alone, the picture
// is made to fit, so that it has the tile's very size and the server need not scale it by a pixel.
function scaleFor(source, tile) {
  const [across, down] = [source.width / tile.width, source.height / tile.height];
  const [least, most] = [Math.min(across, down), Math.max(across, down)];
  if (most / least - 1 < SAME_SHAPE) return most;
  return fills(least / most, tile.fit) ? least : most;
}

// Whether the server cuts a picture, of which this share is left then, to fill its tile, or shows all of it: as
// `layout::fills` decides.
function fills(share, fit) {
  if (fit === 'fill') return true;
  return fit !== 'fit' && share >= 5 / 6;
}
