# shellcheck shell=sh disable=SC2154 # lock_wait and lock_poll (seconds) are set in front
# Brings this host's packages up to date, except those of Kubernetes, whose versions are somebody
# else's business. Exit codes (read by presets.py):
#    0  up to date
#   80  no package manager that we know
#   81  the package lock was held all the time
#   82  the disk is full
#   83  the upgrade failed
#   84  the upgrade is done, but the holds are not what they were
#   85  the package lists cannot be fetched
#   86  not root
#   87  an earlier, interrupted installation cannot be finished

LC_ALL=C
export LC_ALL

kubernetes='kubelet kubeadm kubectl kubernetes-cni cri-tools'
state=${SHIPKEEPER_STATE:-/var/lib/shipkeeper}
ours=$state/os-update.holds
manager=''

fail() {
    printf 'os-update: %s\n' "$2" >&2
    exit "$1"
}

# Run a command, pass its output on as it comes, and keep it in `text`, its exit code in `code`.
run() {
    exec 3>&1
    text=$(
        {
            "$@" 2>&1 </dev/null 3>&-
            printf '\n%s\n' "exit code $?"
        } | while IFS= read -r line; do
            printf '%s\n' "$line"
            case $line in '' | 'exit code '*) ;; *) printf '%s\n' "$line" >&3 ;; esac
        done
    )
    code=${text##*exit code }
    return "$code"
}

is_locked() {
    case $text in
    *"Could not get lock"* | *"Unable to acquire the dpkg"* | *"Unable to lock"*) return 0 ;;
    *"was locked by another process"* | *"is locked by another process"*) return 0 ;;
    *"ouldn't get lock"* | *"System management is locked"* | *"holding the yum lock"*) return 0 ;;
    esac
    # dnf and yum with exit_on_lock, and zypper, have an exit code for it.
    case $manager$code in dnf200 | yum200 | zypper7) return 0 ;; *) return 1 ;; esac
}

is_disk_full() {
    case $text in
    *"No space left on device"* | *"ot enough free space"* | *"don't have enough free space"*) ;;
    *"more space needed on the"* | *"eeds"*"on the"*"filesystem"* | *"isk quota exceeded"*) ;;
    *"nsufficient space"* | *"not enough space"*) ;;
    *) return 1 ;;
    esac
}

# Run a command again and again while somebody else has the package lock.
patiently() {
    waited=0
    until run "$@"; do
        is_locked || return "$code"
        [ "$waited" -lt "$lock_wait" ] || fail 81 "the package lock was held for $lock_wait s"
        [ "$waited" -gt 0 ] || echo "os-update: waiting for the package lock"
        sleep "$lock_poll"
        waited=$((waited + lock_poll))
    done
}

give_up() {
    if is_disk_full; then fail 82 "the disk is full"; fi
    fail "$1" "$2"
}

# Holds. `ours` lists those that we add, from before they are added until they are gone, so that
# a run after a crash knows them from those that were there.

held() {
    case $manager in
    apt) apt-mark showhold ;;
    zypper) zypper --quiet locks | awk -F'|' '$1 ~ /^[0-9 ]+$/ { gsub(/ /, "", $2); print $2 }' ;;
    esac
}

# shellcheck disable=SC2086,SC2016 # the names are words, and the variables are dpkg's own
holdable() {
    case $manager in
    apt) dpkg-query -W -f '${Package} ${db:Status-Status}\n' $kubernetes 2>/dev/null |
        awk '$2 == "installed" { print $1 }' ;;
    zypper) printf '%s\n' $kubernetes ;;
    esac
}

list_ours() {
    mkdir -p "$state" && printf '%s\n' "$@" | sed '/^$/d' | sort -u >"$ours.part" &&
        mv "$ours.part" "$ours"
}

hold() {
    already=$(held)
    wanted=$(holdable)
    missing=$(for package in $wanted; do
        printf '%s\n' "$already" | grep -qxF "$package" || printf '%s\n' "$package"
    done)
    listed=$(cat "$ours" 2>/dev/null)
    if ! text=$(list_ours "$listed" "$missing" 2>&1); then
        give_up 83 "cannot write $ours: $text"
    fi
    trap restore_holds EXIT
    trap 'exit 143' TERM
    trap 'exit 130' INT
    trap 'exit 129' HUP
    [ -z "$missing" ] || change_holds add "$missing" ||
        give_up 83 "cannot hold back the packages of Kubernetes"
}

# shellcheck disable=SC2086 # package names are words
change_holds() {
    case $manager-$1 in
    apt-add) patiently apt-mark hold $2 ;;
    apt-remove) patiently apt-mark unhold $2 ;;
    zypper-add) patiently zypper --non-interactive addlock $2 ;;
    zypper-remove) patiently zypper --non-interactive removelock $2 ;;
    esac
}

restore_holds() {
    ended=$?
    trap - EXIT
    added=$(cat "$ours")
    if [ -z "$added" ] || change_holds remove "$added"; then
        rm -f "$ours"
        exit "$ended"
    fi
    [ "$ended" != 0 ] || ended=84
    fail "$ended" "the holds on $(echo "$added" | tr '\n' ' ')are still there; they are ours"
}

update_apt() {
    manager=apt
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a UCF_FORCE_CONFFOLD=1
    export APT_LISTCHANGES_FRONTEND=none
    patiently dpkg --force-confdef --force-confold --configure -a ||
        give_up 87 "an interrupted installation cannot be finished"
    patiently apt-get -q -o APT::Update::Error-Mode=any update ||
        give_up 85 "the package lists cannot be fetched"
    hold
    patiently apt-get -q -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        --with-new-pkgs upgrade || give_up 83 "the upgrade failed"
}

# dnf and yum leave packages out for one call; nothing is left to restore.
update_dnf() {
    manager=$1
    set -- "$manager" -y --setopt=exit_on_lock=1
    for package in $kubernetes; do set -- "$@" "--exclude=$package"; done
    patiently "$@" makecache || give_up 85 "the package lists cannot be fetched"
    patiently "$@" upgrade || give_up 83 "the upgrade failed"
}

zypper_action() {
    # A rolling release is upgraded as a whole.
    if grep -qE '^ID="?opensuse-(tumbleweed|microos)' /etc/os-release; then
        echo dist-upgrade
    else
        echo update
    fi
}

update_zypper() {
    manager=zypper
    patiently zypper --non-interactive refresh || give_up 85 "the package lists cannot be fetched"
    hold
    for _ in 1 2 3; do
        patiently zypper --non-interactive "$(zypper_action)" --auto-agree-with-licenses
        case $code in
        # 102: reboot advised. 103: zypper updated itself and wants to be started again.
        0 | 100 | 101 | 102) return ;;
        103) ;;
        *) break ;;
        esac
    done
    give_up 83 "the upgrade failed (zypper's exit code $code)"
}

# All of it, the holds too, happens in the new snapshot; if it fails, the snapshot is dropped.
update_transactional() {
    manager=transactional
    # shellcheck disable=SC2016 # the inner shell expands its own variables
    inner='
        already=" $(zypper --quiet locks | cut -d"|" -f2 | tr -s " \n" "  ") "
        added=""
        for package in $1; do
            case $already in *" $package "*) ;; *) added="$added $package" ;; esac
        done
        [ -z "$added" ] || zypper --non-interactive addlock $added || exit
        zypper --non-interactive "$2" --auto-agree-with-licenses
        code=$?
        [ -z "$added" ] || zypper --non-interactive removelock $added || exit
        case $code in 0 | 100 | 101 | 102 | 103) exit 0 ;; *) exit "$code" ;; esac'
    patiently transactional-update --non-interactive run \
        sh -c "$inner" sh "$kubernetes" "$(zypper_action)" || give_up 83 "the upgrade failed"
}

[ "$(id -u)" = 0 ] || fail 86 "this needs root"
if [ -e /run/ostree-booted ]; then
    fail 80 "this host is updated as an image, not by packages"
elif command -v apt-get >/dev/null; then
    update_apt
elif command -v transactional-update >/dev/null; then
    update_transactional
elif command -v zypper >/dev/null; then
    update_zypper
elif command -v dnf >/dev/null; then
    update_dnf dnf
elif command -v yum >/dev/null; then
    update_dnf yum
else
    fail 80 "no apt-get, transactional-update, zypper, dnf or yum here"
fi
echo "os-update: up to date"
