#!/usr/bin/env bash
# Installs what Tessera needs from Debian's packages; does nothing, quickly, where nothing is missing.
#
#   scripts/install-deps.sh [GROUP…]     groups: run, build, test; without any: run and build
#
#   run    what the server needs: GStreamer's plugins, and fonts for the names on the tiles
#   build  compilers and headers (Rust itself comes from https://rustup.rs)
#   test   browsers with Node.js to drive them, Python for a stranger (tests/strangers), a TURN server, network namespaces
#
# Debian 12 and 13, with apt; uses sudo where it is not run by root.
set -euo pipefail

# webrtcbin, DTLS, SRTP, openh264 and rsvg are in plugins-bad, x264 in plugins-ugly, avdec_h264 in libav. The fonts are for
# names in any script: Noto's core for most; its CJK fonts, at 90 MB, because no smaller one has both Hangul and the rarer
# ideographs that names are written with (U+20BB7); Symbola for emoji, whose glyphs are outlines: rsvg draws text as
# outlines, and of a font of coloured pictures only blots would remain.
run_packages=(
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
    gstreamer1.0-libav gstreamer1.0-nice
    fonts-noto-core fonts-noto-cjk fonts-symbola
    ca-certificates
)
# CMake is for libopus, which the opus crate builds from its own sources; curl asks the server whether it is ready.
build_packages=(
    build-essential cmake pkg-config curl
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev
)
test_packages=(chromium firefox-esr coturn iproute2 nftables python3-venv util-linux)

# The oldest Node.js whose test runner can write two reports at once; Debian 12 has 18.19.
oldest_node=18

fail() {
    printf 'install-deps: %s\n' "$1" >&2
    exit 1
}

has_node() {
    command -v npm >/dev/null && local version && version=$(node --version 2>/dev/null) &&
        version=${version#v} && ((${version%%.*} >= oldest_node))
}

# Prints those of the packages given that are not installed.
missing_of() {
    dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
        awk -v wanted="$*" '
            $1 == "installed" { installed[$2] = 1 }
            END { n = split(wanted, names, " "); for (i = 1; i <= n; i++) if (!(names[i] in installed)) print names[i] }'
}

[ $# -gt 0 ] || set -- run build
wanted=()
for group in "$@"; do
    case $group in
        run) wanted+=("${run_packages[@]}") ;;
        build) wanted+=("${build_packages[@]}") ;;
        test)
            wanted+=("${test_packages[@]}")
            # Whoever has a Node.js of their own, from elsewhere and newer than Debian's, keeps it.
            has_node || wanted+=(nodejs npm)
            ;;
        *) fail "there is no group '$group'; the groups are run, build and test" ;;
    esac
done

command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
    fail "this system has no apt. Tessera is built and tested on Debian 12 and 13; elsewhere install what answers to: ${wanted[*]}"

case " $* " in
    *" build "*)
        command -v cargo >/dev/null || fail "there is no Rust toolchain (cargo); https://rustup.rs installs one"
        ;;
esac

mapfile -t missing < <(missing_of "${wanted[@]}")
[ ${#missing[@]} -gt 0 ] || exit 0

. /etc/os-release
case "${ID:-} ${VERSION_ID:-}" in
    "debian 12" | "debian 13") ;;
    *) printf 'install-deps: %s is neither Debian 12 nor 13; trying the same packages\n' "${PRETTY_NAME:-this system}" >&2 ;;
esac

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "run this as root, for sudo is missing: apt-get install ${missing[*]}"
    as_root=(sudo)
fi

printf 'install-deps: installing %s\n' "${missing[*]}" >&2
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"

# Debian starts coturn when it installs it. The tests run their own; nobody asked for an open one.
case " ${missing[*]} " in
    *" coturn "*) [ ! -d /run/systemd/system ] || "${as_root[@]}" systemctl disable --now coturn ;;
esac
