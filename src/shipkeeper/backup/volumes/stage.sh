# shellcheck shell=sh
# Unpacks a tar stream beside the files of a directory, in a folder of its own that nobody looks at.
# Needs: find_root, flags, of (what is restored), attempt (as no other one is called), needed_kb,
# fresh (yes: the directory must be empty), make (yes: make_root makes it).
LC_ALL=C
export LC_ALL
[ "$(id -u)" = 0 ] || exit 74
tar --version 2>/dev/null | grep -q GNU || exit 72
if [ "$make" = yes ]; then
    make_root || exit 71
fi
find_root || exit 71
stage=.shipkeeper-restore
# Neither an exchange nor another attempt begins while what is there is looked at, and changed.
lock() {
    exec 9<. && flock -w 600 9 || exit 77
}
lock
[ "$(cat $stage/ready 2>/dev/null)" != "$of" ] || exit 0
# Another restore that had begun to exchange the files must be ended first.
[ ! -e $stage/ready ] || exit 73
if [ "$fresh" = yes ] && [ -n "$(ls -A | grep -vx $stage)" ]; then
    exit 76
fi
# An attempt whose connection dies late must not meddle with what a newer one has unpacked: each has
# a folder of its own, and none without it.
own=$stage/$attempt
rm -rf $stage && mkdir -m 700 $stage && mkdir "$own" $stage/old || exit 77
exec 9<&-
drop() {
    lock
    [ ! -d "$own" ] || rm -rf $stage
}
free_kb=$(df -Pk . | awk 'NR == 2 { print $4 }')
[ "$free_kb" -ge "$needed_kb" ] || { drop; exit 75; }
set -f
# shellcheck disable=SC2086 # several words, none of which is a pattern
tar $flags -C "$own" -xf - || { drop; exit 77; }
# Moving the files away will change the directory itself: what it was is kept apart.
tar --format=posix --xattrs --acls --numeric-owner --no-recursion -C "$own" -cf "$own.tar" . ||
    exit 77
lock
mv "$own.tar" $stage/self.tar && mv "$own" $stage/new || exit 77
sync -f . 2>/dev/null || sync
