"""What the strangers in Python are told on their command line."""

import argparse


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--call", choices=["join", "publish", "watch"], required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--audio", type=int, required=True, help="the UDP port on loopback that takes the sound heard")
    parser.add_argument("--video", type=int, required=True, help="the one that takes the pictures seen")
    parser.add_argument("--colour", type=lambda text: [int(level) for level in text.split(",")], help="Y,U,V")
    parser.add_argument("--tone", type=int, help="Hz")
    parser.add_argument("--setup", default="a=setup:actpass\r\n", help="who begins the DTLS handshake, as a line of SDP")
    parser.add_argument("--renegotiate", action="store_true", help="ask for another DTLS handshake all the time")
    return parser.parse_args()
