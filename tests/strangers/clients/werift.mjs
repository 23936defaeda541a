// werift: WebRTC in TypeScript, all of it.

import {
  MediaStreamTrack,
  RTCPeerConnection,
  useOPUS,
  useVP8,
} from 'werift';

import { enough, post, told, wire } from './wire.mjs';

const { call, url, audio, video } = told();
const direction = { join: 'sendrecv', publish: 'sendonly', watch: 'recvonly' }[call];
const peer = new RTCPeerConnection({
  iceServers: [],
  codecs: { audio: [useOPUS({ payloadType: 111 })], video: [useVP8({ payloadType: 96 })] },
});

for (const [kind, port] of [['audio', audio], ['video', video]]) {
  const track = new MediaStreamTrack({ kind });
  const send = call === 'watch' ? () => {} : (packet) => track.writeRtp(packet);
  const receive = await wire(port, send);
  const transceiver = peer.addTransceiver(call === 'watch' ? kind : track, { direction });
  transceiver.onTrack.subscribe((received) => {
    if (call !== 'publish') received.onReceiveRtp.subscribe((packet) => receive(packet.serialize()));
  });
}

await peer.setLocalDescription(await peer.createOffer());
const { answer, leave } = await post(url, peer.localDescription.sdp);
await peer.setRemoteDescription({ type: 'answer', sdp: answer });
await enough();
await leave();
await peer.close();
process.exit(0);
