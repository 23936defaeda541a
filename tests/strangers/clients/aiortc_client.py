"""aiortc: WebRTC in Python, with OpenSSL for DTLS and FFmpeg's codecs."""

import asyncio
import fractions
import socket
import struct
import sys
from urllib.parse import urljoin

import aiohttp
import av
import numpy
from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from OpenSSL import SSL

from stranger import arguments

RATE = 48_000
PIECE = 960  # samples: 20 ms
AMPLITUDE = 0.25
SEEN = (160, 90)  # small enough for a datagram


class Colour(VideoStreamTrack):
    """A picture of one colour, 640x360 at 30 a second."""

    def __init__(self, yuv):
        super().__init__()
        y, u, v = yuv
        planes = [numpy.full((360, 640), y), numpy.full((90, 640), u), numpy.full((90, 640), v)]
        self.picture = numpy.concatenate(planes).astype(numpy.uint8)

    async def recv(self):
        frame = av.VideoFrame.from_ndarray(self.picture, format="yuv420p")
        frame.pts, frame.time_base = await self.next_timestamp()
        return frame


class Tone(AudioStreamTrack):
    """A tone that never ends, in both channels: FFmpeg makes one channel 3 dB quieter where it makes two of it."""

    def __init__(self, hertz):
        super().__init__()
        self.hertz, self.at, self.start = hertz, 0, None

    async def recv(self):
        loop = asyncio.get_running_loop()
        self.start = self.start or loop.time()
        await asyncio.sleep(max(0, self.start + self.at / RATE - loop.time()))
        phase = 2 * numpy.pi * self.hertz * (self.at + numpy.arange(PIECE)) / RATE
        samples = (AMPLITUDE * 32_767 * numpy.sin(phase)).astype(numpy.int16)
        frame = av.AudioFrame.from_ndarray(samples.repeat(2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.at, fractions.Fraction(1, RATE)
        self.at += PIECE
        return frame


async def tell(track, port):
    """Hands on what is decoded, until the track ends."""
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.connect(("127.0.0.1", port))
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    while True:
        frame = await track.recv()
        if track.kind == "audio":
            for piece in resampler.resample(frame):
                wire.send(piece.to_ndarray().tobytes())
        else:
            small = frame.reformat(*SEEN, format="yuv420p")
            wire.send(struct.pack("!HH", *SEEN) + small.to_ndarray().tobytes())


async def renegotiate(peer):
    """Asks for another handshake as soon as there was one, and again each time that DTLS repeats itself."""
    dtls = peer.getTransceivers()[0].sender.transport
    while dtls.state != "connected":
        await asyncio.sleep(0.05)
    # aiortc has no way to ask for it: this is its OpenSSL connection.
    connection = dtls._ssl
    while True:
        connection.renegotiate()
        try:
            connection.do_handshake()
        except SSL.Error:
            # It waits for the other end, whose part aiortc's own reader takes.
            pass
        await dtls._write_ssl()
        await asyncio.sleep(0.02)
        connection.DTLSv1_handle_timeout()


async def main():
    told = arguments()
    # Of its own accord it asks a STUN server of Google's.
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    ports = {"audio": told.audio, "video": told.video}
    tasks = set()

    @peer.on("track")
    def on_track(track):
        if told.call != "publish":
            tasks.add(asyncio.ensure_future(tell(track, ports[track.kind])))

    if told.call == "watch":
        peer.addTransceiver("audio", direction="recvonly")
        peer.addTransceiver("video", direction="recvonly")
    else:
        direction = "sendrecv" if told.call == "join" else "sendonly"
        peer.addTransceiver(Tone(told.tone), direction=direction)
        peer.addTransceiver(Colour(told.colour), direction=direction)
    await peer.setLocalDescription(await peer.createOffer())
    async with aiohttp.ClientSession() as http:
        headers = {"Content-Type": "application/sdp"}
        offer = peer.localDescription.sdp.replace("a=setup:actpass\r\n", told.setup)
        async with http.post(told.url, data=offer, headers=headers) as answer:
            sdp = await answer.text()
            if answer.status != 201:
                sys.exit(f"{answer.status}: {sdp}")
            resource = urljoin(told.url, answer.headers["Location"])
        await peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        if told.renegotiate:
            tasks.add(asyncio.ensure_future(renegotiate(peer)))
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        async with http.delete(resource) as answer:
            answer.raise_for_status()
    for task in tasks:
        task.cancel()
    await peer.close()


asyncio.run(main())
