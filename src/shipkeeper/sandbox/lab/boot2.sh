#!/bin/sh
# Plugs the host in, mounts its root and hands over to its systemd. Environment: see host.py.
set -eu
root=$DIRECTORY/root

echo "$HOST" >/proc/sys/kernel/hostname
ip link set lo up
ip link add eth0 address "$HARDWARE_ADDRESS" type veth peer name "$HOST" netns "$SWITCH"
ip -n "$SWITCH" link set "$HOST" master "$BRIDGE" up
ip address add "$ADDRESS" dev eth0
ip link set eth0 up
for route in $ROUTES; do
    ip route add "${route%%@*}" via "${route##*@}"
done
echo 1 >/proc/sys/net/ipv4/ip_forward

mount -t overlay -o "lowerdir=$LOWER,upperdir=$DIRECTORY/upper,workdir=$DIRECTORY/work" lab "$root"
for disk in containerd kubelet etcd; do
    mkdir -p "$root/var/lib/$disk"
    mount --bind "$DIRECTORY/disk/$disk" "$root/var/lib/$disk"
done

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys/fs" "$root/proc/sys/fs"
mount -o remount,bind,ro "$root/proc/sys/fs"
cat /proc/sys/kernel/random/uuid >"$DIRECTORY/boot-id"
mount --bind "$DIRECTORY/boot-id" "$root/proc/sys/kernel/random/boot_id"
# The kubelet sets these for the whole machine; here it sets copies, and the machine keeps its own.
for knob in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    copy=$DIRECTORY/sysctl/$(basename "$knob")
    cat "/proc/sys/$knob" >"$copy"
    mount --bind "$copy" "$root/proc/sys/$knob"
done

mount -t sysfs -o ro sysfs "$root/sys"
[ "$CGROUP_MOUNTS" = ". cgroup2 rw" ] || mount -t tmpfs -o mode=755 cgroup "$root/sys/fs/cgroup"
echo "$CGROUP_MOUNTS" | while read -r name type options; do
    mkdir -p "$root/sys/fs/cgroup/$name"
    mount -t "$type" -o "$options" cgroup "$root/sys/fs/cgroup/$name"
done

mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 kmsg:1:11 tty:5:0 console:1:3; do
    numbers=${device#*:}
    mknod -m 666 "$root/dev/${device%%:*}" c "${numbers%:*}" "${numbers#*:}"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755 run "$root/run"

cd "$root"
pivot_root . .
umount -l .
mount --make-rshared /
exec env -i container=lxc PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --log-target=journal --show-status=no
