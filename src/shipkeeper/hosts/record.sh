# shellcheck shell=sh disable=SC2154 # the variables and functions that are not here come in front
# The record of one command on its host. Files of the record:
#   lock        held by the runner for as long as it lives
#   started     boot ID, uptime in seconds and digest of the command, written when it starts
#   pid         of the runner, which leads a process group; means something only with the lock held
#   output.log  what the command prints
#   exit        its exit code; its disk block is reserved before the start, so a full disk cannot
#               keep the code from being written
#   timed-out   it was ended from outside
# The last line of standard error is what the other side reads.

PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

find_record() {
    if [ -z "$root" ]; then
        if [ "$(id -u)" = 0 ]; then root=/var/lib/shipkeeper; else root=$HOME/.shipkeeper; fi
    fi
    record=$root/$name
}

refuse() {
    printf 'shipkeeper: refused=%s %s\n' "$1" "$2" >&2
    exit 0
}

# Run a command that needs the disk; what it complains of tells why it cannot be done.
must() {
    complaint=$(LC_ALL=C "$@" 2>&1 >/dev/null) && return
    case $complaint in
    *"No space left"* | *[Qq]"uota exceeded"*) refuse DiskFull "$complaint" ;;
    *) refuse RecordUnwritable "$complaint" ;;
    esac
}

lock_is_held() {
    [ -e "$record/lock" ] && ! (flock -n -s 8) 8<"$record/lock"
}

boot_id() {
    cat /proc/sys/kernel/random/boot_id
}

uptime_seconds() {
    cut -d. -f1 /proc/uptime
}

report() {
    state=never code='' began='' since=0 digest_there='' elapsed=0 size=0 timed_out=0
    if [ ! -e "$record/exit" ] && lock_is_held; then held=1; else held=0; fi
    if [ -e "$record/started" ]; then
        read -r began since digest_there <"$record/started"
        state=lost
        [ "$began" = "$(boot_id)" ] || state=rebooted
    fi
    if [ "$held" = 1 ]; then
        state=running
        [ "$since" = 0 ] || elapsed=$(($(uptime_seconds) - since))
    elif [ -e "$record/exit" ]; then
        state=ended
        read -r code <"$record/exit"
    fi
    [ ! -e "$record/timed-out" ] || timed_out=1
    [ ! -e "$record/output.log" ] || size=$(($(wc -c <"$record/output.log")))
    printf 'shipkeeper: state=%s code=%s elapsed=%s boot=%s began=%s digest=%s size=%s timed_out=%s\n' \
        "$state" "$code" "$elapsed" "$(boot_id)" "$began" "$digest_there" "$size" "$timed_out" >&2
}

write_record() {
    write_script >"$record/script" &&
        write_environment >"$record/environment" &&
        write_runner >"$record/runner" &&
        reserve "$record/exit.part" && reserve "$record/pid" &&
        cat <<END >"$record/started.part"
$(boot_id) $(uptime_seconds) $digest
END
}

reserve() {
    cat <<'END' >"$1"
        
END
}

look() {
    find_record
    report
}

begin() {
    for tool in flock setsid tail; do
        command -v "$tool" >/dev/null || refuse ToolMissing "$tool"
    done
    find_record
    umask 077
    must mkdir -p "$record"
    { [ -O "$root" ] && [ -O "$record" ]; } || refuse RecordForeign "$root belongs to somebody else"
    must chmod 700 "$root" "$record"
    must touch "$record/lock" "$record/output.log"
    if [ ! -e "$record/exit" ]; then
        exec 9>>"$record/lock"
        if flock -n -x 9 && [ ! -e "$record/started" ]; then
            must write_record
            setsid sh "$record/runner" "$record" </dev/null >>"$record/output.log" 2>&1 9>&9 &
        fi
        exec 9>&-
    fi
    report
}

# What there is from `offset` on, and while the command runs also what comes in `wait` seconds.
follow() {
    find_record
    [ -e "$record/lock" ] || { report && return; }
    if lock_is_held; then
        tail -c "+$((offset + 1))" -f "$record/output.log" &
        tailer=$!
        flock -s -w "$wait" 8 8<"$record/lock"
        kill "$tailer"
        wait "$tailer" 2>/dev/null
    else
        tail -c "+$((offset + 1))" "$record/output.log"
    fi
    report
}

end() {
    find_record
    if lock_is_held; then
        read -r pid <"$record/pid"
        touch "$record/timed-out" || :
        kill -s TERM -- "-$pid"
        flock -s -w "$wait" 8 8<"$record/lock" || kill -s KILL -- "-$pid"
        flock -s -w "$wait" 8 8<"$record/lock"
    fi
    exec 9>>"$record/lock"
    if [ -e "$record/started" ] && [ ! -e "$record/exit" ] && flock -n -x 9; then
        printf '%-8s' 137 1<>"$record/exit.part" && mv "$record/exit.part" "$record/exit"
    fi
    exec 9>&-
    report
}

forget() {
    find_record
    lock_is_held || { rm -rf "$record" && rmdir -p "${record%/*}" 2>/dev/null; }
    report
}
