#!/bin/sh
# Runs as PID 1 of a host's new namespaces: enters the host's cgroups, then builds what the host
# will see in a cgroup namespace of its own (boot2). Environment: see host.py.
set -eu
# The machine's /proc is still mounted, so this is who PID 1 is outside.
read -r stat </proc/self/stat
for place in $CGROUPS; do
    echo 0 >"$place/cgroup.procs"
done
echo "$stat" >"$DIRECTORY/init.part"
mv "$DIRECTORY/init.part" "$DIRECTORY/init"
exec unshare --cgroup /bin/sh "$(dirname "$0")/boot2.sh"
