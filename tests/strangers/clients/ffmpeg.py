"""ffmpeg's WHIP muxer, in the build that the package imageio-ffmpeg brings: it only publishes, in H.264."""

import subprocess
import sys

import imageio_ffmpeg

from stranger import arguments

told = arguments()
y, u, v = told.colour
picture = f"color=c=black:s=640x360:r=30,format=yuv420p,lutyuv=y={y}:u={u}:v={v}"
# A sine of this source has an eighth of full scale, in one channel.
voice = f"sine=frequency={told.tone}:sample_rate=48000,volume=2,pan=stereo|c0=c0|c1=c0"
ffmpeg = subprocess.Popen(
    [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "warning", "-re"]
    + ["-f", "lavfi", "-i", picture, "-re", "-f", "lavfi", "-i", voice]
    + ["-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30"]
    + ["-b:v", "500k", "-threads", "1", "-c:a", "libopus", "-b:a", "64k", "-f", "whip", told.url],
    stdin=subprocess.PIPE,
)
sys.stdin.read()
# As somebody who types q: it ends its session with a DELETE.
ffmpeg.communicate(b"q", timeout=10)
sys.exit(ffmpeg.returncode)
