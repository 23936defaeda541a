// libdatachannel, which OBS sends with: WebRTC in C++, by the bindings of node-datachannel.

import datachannel from 'node-datachannel';

import { enough, post, told, wire } from './wire.mjs';

const { call, url, audio, video } = told();
const direction = { join: 'SendRecv', publish: 'SendOnly', watch: 'RecvOnly' }[call];
const peer = new datachannel.PeerConnection('stranger', { iceServers: [], disableAutoNegotiation: true });

const media = [
  [audio, new datachannel.Audio('audio', direction), 11_111],
  [video, new datachannel.Video('video', direction), 22_222],
];
for (const [port, medium, ssrc] of media) {
  if (medium instanceof datachannel.Audio) medium.addOpusCodec(111);
  else medium.addVP8Codec(96);
  if (call !== 'watch') medium.addSSRC(ssrc, 'stranger', 'stranger', medium.mid());
  const track = peer.addTrack(medium);
  if (call !== 'publish') track.setMediaHandler(new datachannel.RtcpReceivingSession());
  const receive = await wire(port, (packet) => {
    if (call !== 'watch' && track.isOpen() && packet.length > 0) track.sendMessageBinary(packet);
  });
  track.onMessage((packet) => {
    if (call !== 'publish') receive(packet);
  });
}

const offer = await new Promise((gathered) => {
  peer.onGatheringStateChange((state) => {
    if (state === 'complete') gathered(peer.localDescription().sdp);
  });
  peer.setLocalDescription('offer');
});
const { answer, leave } = await post(url, offer);
peer.setRemoteDescription(answer, 'answer');
await enough();
await leave();
peer.close();
datachannel.cleanup();
process.exit(0);
