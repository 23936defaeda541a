#!/usr/bin/env bash
# Starts the server with four bots in the room `demo`, one of them playing a clip, until Ctrl-C.
#
# TESSERA_LISTEN moves the server from 127.0.0.1:8080. Only HTTP is there: media goes over the machine's own network
# address, for ICE leaves loopback out.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
tessera=${TESSERA_BIN:-$root/target/release/tessera}
clip=$root/assets/media/big-buck-bunny-720p.mp4
export TESSERA_LISTEN=${TESSERA_LISTEN:-127.0.0.1:8080}
# Only what is wrong, so that the addresses to open stay in sight.
export TESSERA_SERVER_LOG=${TESSERA_SERVER_LOG:-warn}

# A server that asks for a token is to get it from the bots, too.
[ -z "${TESSERA_SERVER_TOKEN:-}" ] || export TESSERA_BOTS_TOKEN=${TESSERA_BOTS_TOKEN:-$TESSERA_SERVER_TOKEN}

# Where a browser on this machine finds a server that listens on every address.
case $TESSERA_LISTEN in
    0.0.0.0:*) url=http://127.0.0.1:${TESSERA_LISTEN##*:} ;;
    '[::]:'*) url=http://[::1]:${TESSERA_LISTEN##*:} ;;
    *) url=http://$TESSERA_LISTEN ;;
esac

ready_within=15 # seconds
stop_within=5   # seconds; what the server promises

server=
bots=()

# Asks the processes given to end, then makes them.
stop() {
    [ $# -gt 0 ] || return 0
    kill -TERM "$@" 2>/dev/null || true
    local deadline=$((SECONDS + stop_within))
    while kill -0 "$@" 2>/dev/null && ((SECONDS <= deadline)); do sleep 0.1; done
    kill -KILL "$@" 2>/dev/null || true
    wait "$@" 2>/dev/null || true
}

finish() {
    local code=$?
    trap '' INT TERM HUP
    stop "${bots[@]}"
    stop ${server:+"$server"}
    exit "$code"
}
trap finish EXIT
trap 'echo; echo "demo: stopping"; exit 0' INT TERM HUP

curl --silent --output /dev/null --max-time 1 "$url/healthz" &&
    { echo "demo: something already answers at $url; TESSERA_LISTEN=127.0.0.1:8090 make demo takes another port" >&2; exit 1; }

[ -n "$(hostname -I 2>/dev/null | tr -d ' ')" ] ||
    echo "demo: this machine has no network address but loopback, so no media will flow" >&2

# Starts a command in a process group of its own, and leaves its id in $!: Ctrl-C reaches this script alone, which then
# stops the bots before the server.
start() {
    set -m
    "$@" &
    set +m
}

start "$tessera" serve
server=$!

deadline=$((SECONDS + ready_within))
until curl --silent --fail --output /dev/null --max-time 1 "$url/readyz"; do
    kill -0 "$server" 2>/dev/null || { echo "demo: the server ended before it was ready" >&2; exit 1; }
    ((SECONDS < deadline)) || { echo "demo: the server was not ready within $ready_within s" >&2; exit 1; }
    sleep 0.1
done

start "$tessera" bots --server "$url" --room demo --count 3 >/dev/null
bots+=($!)
start "$tessera" bots --server "$url" --room demo --count 1 --name-prefix Film --video "$clip" >/dev/null
bots+=($!)

cat <<END

  Join the room:  $url/r/demo
  Watch it:       $url/watch/demo
  What runs:      $url/api/rooms/demo

  Ctrl-C stops the demo.

END

# Whatever ends by itself ends the demo, with its exit code.
code=0
wait -n || code=$?
echo "demo: the server or the bots ended (exit code $code)" >&2
exit "$code"
