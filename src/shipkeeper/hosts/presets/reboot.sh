# shellcheck shell=sh disable=SC2154 # always (yes or no) is set in front
# Reboots this host if it must. Exit codes (read by presets.py):
#    0  a reboot will happen a moment after this ended
#   86  not root
#   90  no reboot is needed, so none will happen
#   91  there is no command to reboot with

LC_ALL=C
export LC_ALL

host=${SHIPKEEPER_HOST_ROOT:-}

# What kind of kernel a version is of: its words without digits, and the architecture.
flavour() {
    printf '%s\n' "$1" | awk -F'[-.+~]' '{
        for (i = 1; i <= NF; i++)
            if ($i !~ /[0-9]/ || $i ~ /^(x86_64|amd64|arm64|aarch64|ppc64le|ppc64el|s390x|riscv64|i[3-6]86)$/)
                printf "%s ", $i
    }'
}

bootable_kernels() {
    for modules in "$host"/lib/modules/* "$host"/usr/lib/modules/*; do
        version=${modules##*/}
        if [ -e "$host/boot/vmlinuz-$version" ] || [ -e "$modules/vmlinuz" ]; then
            [ "$(flavour "$version")" != "$(flavour "$(uname -r)")" ] || printf '%s\n' "$version"
        fi
    done
}

newest_kernel() {
    bootable_kernels | sort -V | tail -n 1
}

why() {
    for flag in /run/reboot-required /var/run/reboot-required /run/reboot-needed; do
        if [ -e "$host$flag" ]; then
            echo "$flag is there"
            return
        fi
    done
    if command -v needs-restarting >/dev/null; then
        needs-restarting -r >/dev/null 2>&1
        if [ $? = 1 ]; then
            echo "needs-restarting says so"
            return
        fi
    fi
    if command -v zypper >/dev/null; then
        zypper needs-rebooting >/dev/null 2>&1
        if [ $? = 102 ]; then
            echo "zypper needs-rebooting says so"
            return
        fi
    fi
    running=$(uname -r)
    newest=$(newest_kernel)
    oldest=$(printf '%s\n' "$running" "${newest:-$running}" | sort -V | head -n 1)
    if [ -n "$newest" ] && [ "$newest" != "$running" ] && [ "$oldest" = "$running" ]; then
        echo "kernel $running runs, $newest is installed"
    fi
}

# The reboot waits until the end of this script is on record, and a little longer, so that who
# listens can hear it.
# shellcheck disable=SC2016 # the inner shell expands its own variables
later='
    waited=0
    while [ -n "$1" ] && [ ! -e "$1/exit" ] && [ "$waited" -lt 30 ]; do
        sleep 1
        waited=$((waited + 1))
    done
    sleep 2
    sync
    systemctl reboot || shutdown -r now || reboot'

[ "$(id -u)" = 0 ] || { echo "reboot: this needs root" >&2 && exit 86; }
reason=$(why)
[ "$always" = no ] || reason=${reason:-it was asked for}
if [ -z "$reason" ]; then
    echo "reboot: not needed"
    exit 90
fi
command -v systemctl >/dev/null || command -v shutdown >/dev/null || command -v reboot >/dev/null ||
    { echo "reboot: neither systemctl nor shutdown nor reboot is here" >&2 && exit 91; }
record=${SHIPKEEPER_RECORD:-}
# As a unit of its own it does not end with the session that asked for it.
if [ ! -d "$host/run/systemd/system" ] ||
    ! systemd-run --quiet --collect sh -c "$later" sh "$record" 2>/dev/null; then
    setsid sh -c "$later" sh "$record" </dev/null >/dev/null 2>&1 &
fi
echo "reboot: soon, because $reason"
