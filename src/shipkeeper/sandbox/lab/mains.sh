#!/bin/sh
# The mains of one host: boots it, and boots it again when its own PID 1 asks for a reboot. Ends
# when the host powers itself off or its power is cut. Environment: see host.py.
here=$(dirname "$0")
while :; do
    ip -n "$SWITCH" link delete "$HOST" 2>/dev/null
    for place in $CGROUPS; do
        find "$place" -mindepth 1 -depth -type d -exec rmdir {} \; 2>/dev/null
    done
    unshare --net --mount --uts --ipc --pid --fork --kill-child --propagation private \
        /bin/sh "$here/boot.sh"
    # So the kernel tells of a reboot that the PID 1 of a PID namespace asked for: SIGHUP.
    [ $? -eq 129 ] || exit 0
done
