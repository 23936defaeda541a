// Rooms: their names and their addresses.

const WORDS = [
  ['amber', 'azure', 'calm', 'clear', 'coral', 'early', 'gentle', 'green', 'ivory', 'quiet', 'silver', 'still'],
  ['bay', 'brook', 'field', 'garden', 'grove', 'harbour', 'hill', 'lake', 'meadow', 'river', 'shore', 'valley'],
];

/** A fresh name for a room, easy to say on the telephone: `calm-harbour-47`. Pure but for the random numbers. */
export function newRoomName(random = Math.random) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  return `${pick(WORDS[0])}-${pick(WORDS[1])}-${10 + Math.floor(random() * 90)}`;
}

/** The room that this page is about: the last part of its address. */
export function roomOfPage() {
  return decodeURIComponent(location.pathname.split('/').filter(Boolean).pop());
}

/** Where a room is joined and where it is watched, with the server's address: links to give away. */
export function linksOf(room) {
  const name = encodeURIComponent(room);
  return { join: `${location.origin}/r/${name}`, watch: `${location.origin}/watch/${name}` };
}

/** "1 person", "3 people": a count with its noun. */
export function countOf(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}
