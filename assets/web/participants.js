// What is to be said about the people in a room. Pure.

// An avatar in the list looks like its participant's slate in the picture: `src/media/still.rs` has the same colours in
// the same order, chosen in the same way, and the same rule for the initials.
const COLOURS = [
  '#3b6ea8', '#8a5a9e', '#2f8f7a', '#b0643c', '#6d7f2f', '#a84f6b', '#4f7f9f', '#7a6bb0', '#9a7b2e', '#3f8a52',
];

/** The colour that is always the same for a participant. `id` is 16 hexadecimal digits. */
export function colourOf(id) {
  return COLOURS[Number(BigInt(`0x${id}`) % BigInt(COLOURS.length))];
}

/** Up to two letters for an avatar: of the first and the last word that has one. */
export function initialsOf(name) {
  const letters = name.split(/\s+/).map((word) => /[\p{Alphabetic}\p{N}]/u.exec(word)?.[0]).filter(Boolean);
  return [...letters.slice(0, 1), ...letters.slice(1).slice(-1)].join('').toUpperCase() || '?';
}

/** What changed between two lists of participants, for people to hear: `{joined, left}`, names. */
export function changes(before, after) {
  const missing = (list, other) => list.filter(({ id }) => !other.some((one) => one.id === id)).map(({ name }) => name);
  return { joined: missing(after, before), left: missing(before, after) };
}

/** The state of a participant in words. */
export function stateOf({ muted, audio, video, refused }, speaking) {
  const sound = muted ? 'muted' : audio === 'live' ? (speaking ? 'speaking' : 'quiet') : 'no microphone';
  const sight = refused ? 'picture is too much' : video === 'live' ? null : 'camera off';
  const text = [sound, sight].filter(Boolean).join(' · ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
