// Colours that survive encoding, scaling and either matrix of coefficients well enough to be told apart.

/** Limited-range Y, Cb, Cr for cameras, and about what that is in RGB. */
export const COLOURS = {
  red: { yuv: [82, 90, 240], rgb: [255, 0, 0] },
  green: { yuv: [145, 54, 34], rgb: [0, 255, 0] },
  blue: { yuv: [41, 240, 110], rgb: [0, 0, 255] },
  yellow: { yuv: [210, 16, 146], rgb: [255, 255, 0] },
};

const FURTHEST = 150; // of 441 at most; the four are at least 255 apart

/** The name of the colour that an RGB triple is nearest to, or null if it is near none. */
export function colourOf(rgb) {
  const distance = ([r, g, b]) => Math.hypot(r - rgb[0], g - rgb[1], b - rgb[2]);
  const [name, { rgb: nearest }] = Object.entries(COLOURS).sort(([, a], [, b]) => distance(a.rgb) - distance(b.rgb))[0];
  return distance(nearest) <= FURTHEST ? name : null;
}
