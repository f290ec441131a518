#!/bin/bash
# boot.sh COPY OUT SCRIPT NODE: boots a systemd of its own and runs SCRIPT in it as root; its output is in OUT/log.
#
# It sees this machine's files below a layer that is thrown away, with the folder COPY laid over them, and a /tmp, /run,
# /dev and network of its own: nothing it does reaches this machine, but for the folder OUT (/srv/out inside). To be
# started by run.sh, in namespaces of its own.
set -eu
copy=$1 out=$2 script=$3 node=$4

# Beside OUT, to be removed together; empty outside of this namespace.
root=$(dirname "$out")/root
mkdir "$root"
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
mkdir "$root"/{upper,work,new}
new=$root/new
mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$new"
mount -t proc proc "$new/proc"
# systemd applies kernel settings at boot: these are this machine's.
mount --bind "$new/proc/sys" "$new/proc/sys"
mount -o remount,bind,ro "$new/proc/sys"
mount -t sysfs -o ro sysfs "$new/sys"
mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$new/run"
mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$new/var/tmp"
# DynamicUser= renames a state directory, which overlayfs refuses for one of the layer below.
rm -rf "$new/var/lib/stunmesh-ts" "$new/var/lib/private"
mount -t tmpfs -o mode=755 tmpfs "$new/dev"
for device in null zero full random urandom tty; do
  touch "$new/dev/$device"
  mount --bind "/dev/$device" "$new/dev/$device"
done
mkdir "$new"/dev/{net,pts,shm}
touch "$new/dev/net/tun" "$new/dev/console"
mount --bind /dev/net/tun "$new/dev/net/tun"
mount -t devpts -o newinstance,mode=600,ptmxmode=666 devpts "$new/dev/pts"
ln -s pts/ptmx "$new/dev/ptmx"
ln -s /proc/self/fd "$new/dev/fd"

# Only what is wanted starts: nothing of this machine's own units.
rm -rf "$new"/etc/systemd/system/*.wants "$new"/etc/systemd/system/*.requires
cp -r "$copy/." "$new/"
# Where the package wants it and systemd looks for commands; a machine may have its own elsewhere, /root say.
rm -f "$new/usr/bin/node"
touch "$new/usr/bin/node"
mount --bind "$node" "$new/usr/bin/node"
cp "$script" "$new/root/inside"
cp "$(dirname "$0")/library.sh" "$new/srv/library.sh"
mkdir -p "$new/srv/out"
mount --bind "$out" "$new/srv/out"
cat >"$new/etc/systemd/system/inside.service" <<UNIT
[Unit]
After=systemd-journald.service
Requires=systemd-journald.service
DefaultDependencies=no
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/bin/bash /root/inside
StandardOutput=file:/srv/out/log
StandardError=inherit
TimeoutStartSec=280
UNIT
printf '[Unit]\nDefaultDependencies=no\nWants=inside.service\nAllowIsolate=yes\n' >"$new/etc/systemd/system/inside.target"

cd "$new"
mkdir old
pivot_root . old
# shellcheck disable=SC2016 # to be expanded inside
exec chroot . /bin/bash -c '
  umount -l /old
  rmdir /old
  # As at a real boot: mounts that systemd makes in helper processes, of credentials say, are to be seen by all.
  mount --make-rshared /
  ip link set lo up
  echo "${RANDOM}${RANDOM}" | md5sum | cut -c1-32 >/etc/machine-id
  exec env -i container=stunmesh PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=inside.target --show-status=no --log-target=journal' </dev/null
