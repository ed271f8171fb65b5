# shellcheck shell=sh
# Runs in a privileged pod of the host's PID namespace: feeds the first $1 bytes of standard input
# to a shell on the host, or to the program $2 there. No end of input is needed, since not every way
# here can signal one.

# Images of busybox need not have a link for each of its commands.
enter=$(command -v nsenter) || enter="busybox nsenter"

# What is started must outlive the pod, so the shell leaves the pod's cgroups: systemd gives it a
# scope of its own as long as it takes orders (it does not while the host goes down). It moves itself
# out of those that systemd does not care for; the kubelet kills whom it finds in any of them.
# shellcheck disable=SC2016 # the host's shell expands these
on_host='
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin
HOME=$(awk -F: "\$3 == 0 { print \$6; exit }" /etc/passwd 2>/dev/null)
export PATH HOME="${HOME:-/root}" USER=root LOGNAME=root
cd /
leave="while IFS=: read -r _ kind path; do
    case \$path in *kubepods*) echo \$\$ >/sys/fs/cgroup/\$kind/cgroup.procs ;; esac
done 2>/dev/null </proc/self/cgroup"
SHIPKEEPER_PROGRAM=$2
export SHIPKEEPER_PROGRAM
run="sh -s"
[ -z "$2" ] || run="sh -c \"\$SHIPKEEPER_PROGRAM\""
head -c "$1" | {
    exec 3>&1
    code=
    if [ -d /run/systemd/system ]; then
        code=$(systemd-run --quiet --scope sh -c "$leave; $run >&3 3>&-; echo \$?")
    fi
    [ -n "$code" ] || exec sh -c "$leave; exec $run 3>&-"
    exit "$code"
}'

# shellcheck disable=SC2086 # two words, maybe
exec env -i $enter -t 1 -m -u -i -n -p -- /bin/sh -c "$on_host" sh "$1" "$2"
