// Which rooms are live, and what they look like. Both throw where the server does not answer in time, and
// `TokenNeeded` where it wants a token.

import { fetchWithToken } from './token.js';

/** The live rooms, as `GET /api/rooms` gives them. */
export async function liveRooms() {
  const answer = await successful('/api/rooms');
  const { rooms } = await answer.json();
  return rooms;
}

/** A room's picture, a JPEG. */
export async function pictureOf(room) {
  const answer = await successful(`/api/rooms/${encodeURIComponent(room)}/snapshot.jpg`);
  return answer.blob();
}

async function successful(path) {
  const answer = await fetchWithToken(path);
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  return answer;
}
