# shellcheck shell=sh
# Writes the files of a directory as a tar stream. Needs: find_root (a shell function that enters the
# directory), flags (those of tar, one a word), again (yes: only the files named on standard input).
LC_ALL=C
export LC_ALL
tar --version 2>/dev/null | grep -q GNU || exit 72
find_root || exit 71
[ ! -e .shipkeeper-restore/ready ] || exit 73
# shellcheck disable=SC2086 # several words
if [ "$again" = yes ]; then
    exec tar $flags --no-recursion --null --files-from=- -cf -
fi
# shellcheck disable=SC2086 # several words
exec tar $flags -cf - . </dev/null
