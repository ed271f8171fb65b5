# shellcheck shell=sh
# Holds the record's lock (descriptor 9, inherited) while the command runs, and writes its end.
record=$1
mv "$record/started.part" "$record/started" || exit
printf '%-8s' "$$" 1<>"$record/pid"
# Whoever ends the process group ends the command; the runner stays to write the exit code.
trap : TERM HUP INT
(
    exec 9>&-
    # shellcheck source=/dev/null
    . "$record/environment"
    rm -f "$record/environment"
    export SHIPKEEPER_RECORD="$record"
    cd "${HOME:-/}" || cd /
    # The interpreter is named here, because the disk may be mounted noexec.
    read -r first <"$record/script"
    # shellcheck disable=SC2086 # the words of the first line are meant as words
    case $first in
    '#!'*) set -- ${first#??} ;;
    *) set -- sh ;;
    esac
    exec "$@" "$record/script"
)
code=$?
printf '%-8s' "$code" 1<>"$record/exit.part"
sync -d "$record/exit.part" 2>/dev/null
mv "$record/exit.part" "$record/exit"
