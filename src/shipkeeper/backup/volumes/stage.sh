# shellcheck shell=sh
# Unpacks a tar stream beside the files of a directory, in a folder of its own that nobody looks at.
# Needs: find_root, flags, of (what is restored), needed_kb, fresh (yes: the directory must be empty),
# make (yes: make_root makes it).
LC_ALL=C
export LC_ALL
[ "$(id -u)" = 0 ] || exit 74
tar --version 2>/dev/null | grep -q GNU || exit 72
if [ "$make" = yes ]; then
    make_root || exit 71
fi
find_root || exit 71
stage=.shipkeeper-restore
[ "$(cat $stage/ready 2>/dev/null)" != "$of" ] || exit 0
# Another restore that had begun to exchange the files must be ended first.
[ ! -e $stage/ready ] || exit 73
if [ "$fresh" = yes ] && [ -n "$(ls -A | grep -vx $stage)" ]; then
    exit 76
fi
rm -rf $stage && mkdir -m 700 $stage && mkdir $stage/new $stage/old || exit 77
free_kb=$(df -Pk . | awk 'NR == 2 { print $4 }')
[ "$free_kb" -ge "$needed_kb" ] || { rm -rf $stage; exit 75; }
set -f
# shellcheck disable=SC2086 # several words, none of which is a pattern
tar $flags -C $stage/new -xf - || { rm -rf $stage; exit 77; }
# Moving the files away will change the directory itself: what it was is kept apart.
tar --format=posix --xattrs --acls --numeric-owner --no-recursion -C $stage/new -cf $stage/self.tar . ||
    exit 77
sync -f . 2>/dev/null || sync
