// What the strangers in JavaScript are told, and the RTP that they are given and give.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { parseArgs } from 'node:util';

/** What the command line says: `{ call, url, audio, video }`. */
export function told() {
  const text = { type: 'string' };
  const options = { call: text, url: text, audio: text, video: text, colour: text, tone: text };
  const { values } = parseArgs({ options });
  return { ...values, audio: Number(values.audio), video: Number(values.video) };
}

/** A medium's wire to the test: `take` gets what is to be sent; what is returned takes what was received. */
export async function wire(port, take) {
  const socket = createSocket('udp4');
  socket.on('message', take);
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.send(''); // so that the test knows where this is
  return (packet) => socket.send(packet);
}

/** Posts the offer; `{ answer, leave }`, of which `leave` ends the session. */
export async function post(url, offer) {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: offer });
  const answer = await response.text();
  if (response.status !== 201) throw new Error(`${response.status}: ${answer}`);
  const resource = new URL(response.headers.get('location'), url);
  const leave = async () => {
    const gone = await fetch(resource, { method: 'DELETE' });
    if (!gone.ok) throw new Error(`DELETE: ${gone.status}`);
  };
  return { answer, leave };
}

/** Until whoever started this has enough of it. */
export async function enough() {
  process.stdin.resume();
  await once(process.stdin, 'end');
}
