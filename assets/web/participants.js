// What is to be said about the people in a room. Pure.

/** Up to two letters for an avatar: of the first and the last word. */
export function initialsOf(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const letter = (word) => [...word][0]?.toLocaleUpperCase() ?? '';
  if (words.length === 0) return '?';
  return words.length === 1 ? letter(words[0]) : letter(words[0]) + letter(words.at(-1));
}

/** What changed between two lists of participants, for people to hear: `{joined, left}`, names. */
export function changes(before, after) {
  const missing = (list, other) => list.filter(({ id }) => !other.some((one) => one.id === id)).map(({ name }) => name);
  return { joined: missing(after, before), left: missing(before, after) };
}

/** The state of a participant in words. */
export function stateOf({ muted, audio, video }, speaking) {
  const sound = muted ? 'muted' : audio === 'live' ? (speaking ? 'speaking' : null) : 'no microphone';
  const sight = video === 'live' ? null : 'camera off';
  const text = [sound, sight].filter(Boolean).join(' · ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
