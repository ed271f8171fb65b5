# shellcheck shell=sh
# Puts what was unpacked in the place of what was there. Killed anywhere and run again, it goes on:
# the file `ready` says that an exchange is under way, and of what. Needs: find_root, of.
LC_ALL=C
export LC_ALL
find_root || exit 71
# Nobody unpacks, and no other exchange goes on, meanwhile.
exec 9<. && flock -w 600 9 || exit 77
stage=.shipkeeper-restore
[ -d $stage ] || exit 0
ready=$(cat $stage/ready 2>/dev/null)
[ -z "$ready" ] || [ "$ready" = "$of" ] || exit 73
if [ -z "$ready" ]; then
    # Without it another attempt has begun to unpack.
    [ -d $stage/new ] || exit 77
    printf '%s' "$of" >$stage/ready.part && mv $stage/ready.part $stage/ready || exit 77
fi
each() {
    find "$1" -mindepth 1 -maxdepth 1 ! -name "$stage" ! -name lost+found -exec mv -f -t "$2" -- {} +
}
if [ ! -e $stage/emptied ]; then
    each . $stage/old && : >$stage/emptied || exit 77
fi
[ ! -d $stage/new ] || each $stage/new . || exit 77
rm -rf $stage/old $stage/new
exec 3<$stage/self.tar
rm -rf $stage
tar --xattrs '--xattrs-include=*' --acls --numeric-owner --same-owner -p --no-recursion --overwrite -xf - <&3 ||
    exit 77
sync -f . 2>/dev/null || sync
