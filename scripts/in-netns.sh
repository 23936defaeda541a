#!/usr/bin/env bash
# Runs a command in a network of its own: lo, and a veth pair to a second network namespace, which is the gateway.
#
#   scripts/in-netns.sh COMMAND [ARGUMENT…]
#
# Inside there are 10.208.0.2 (here) and 10.208.0.1 (the gateway, which forwards nothing), so ICE has an address that is
# not loopback, ports clash with nobody's, and nothing reaches the internet. TESSERA_GATEWAY_PID names a process in the
# other namespace: `nsenter --target $TESSERA_GATEWAY_PID --net` puts a test's peer on the other end of the wire.
#
# Both namespaces are anonymous: they end with the last process in them, so there is nothing to clean up, and runs side
# by side do not meet. The command replaces this script: signals and the exit code are its own. Where namespaces are not
# allowed (some containers), the command runs in the host's network, and a note says so.
set -euo pipefail

address=10.208.0.2
gateway=10.208.0.1

if [ "${1:-}" != --inside ]; then
    [ $# -gt 0 ] || { echo "usage: in-netns.sh COMMAND [ARGUMENT…]" >&2; exit 2; }
    if unshare --net true 2>/dev/null; then
        exec unshare --net -- "$0" --inside "$@"
    elif unshare --user --map-root-user --net true 2>/dev/null; then
        exec unshare --user --map-root-user --net -- "$0" --inside "$@"
    fi
    echo "in-netns: no network namespaces here; running in the host's network" >&2
    exec "$@"
fi
shift

# Holds the gateway's namespace, and dies with the command, however that ends.
unshare --net -- setpriv --pdeathsig KILL -- sleep infinity </dev/null >/dev/null 2>&1 &
holder=$!
trap 'kill "$holder" 2>/dev/null || true' EXIT

own=$(readlink /proc/self/ns/net)
deadline=$((SECONDS + 5))
until other=$(readlink "/proc/$holder/ns/net") && [ "$other" != "$own" ]; do
    ((SECONDS < deadline)) || { echo "in-netns: the gateway's namespace did not come up" >&2; exit 1; }
done

# Not called veth…: libnice leaves out interfaces whose names begin so (its option ignored-network-interface-prefix).
# No automatic link-local address (addrgenmode): it would be tentative, hence unusable, just when the first test begins.
# A kernel without IPv6 refuses the setting and does not need it.
ip link set lo up
ip link add lan0 type veth peer name lan0 netns "$holder"
ip link set lan0 addrgenmode none 2>/dev/null || true
ip address add "$address/24" dev lan0
ip link set lan0 up
nsenter --target "$holder" --net -- sh -ec "
    ip link set lo up
    ip link set lan0 addrgenmode none 2>/dev/null || true
    ip address add $gateway/24 dev lan0
    ip link set lan0 up"
ip route add default via "$gateway"

trap - EXIT
TESSERA_GATEWAY_PID=$holder exec "$@"
