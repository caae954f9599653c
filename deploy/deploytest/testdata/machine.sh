#!/bin/sh
# machine.sh ROOT CGROUP: starts systemd of the Debian in ROOT as a machine of its own: with its own processes, mounts, host
# name and network, and its control groups below CGROUP. It ends with the process that started it.
set -eu
root=$1 cgroup=$2
if [ "${3:-}" != inside ]; then
	echo $$ >"$cgroup/cgroup.procs"
	exec unshare --pid --fork --mount --cgroup --uts --ipc --net --kill-child=SIGKILL sh "$0" "$root" "$cgroup" inside
fi
echo garage >"$root/etc/hostname"
ip link set lo up
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sys sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for dir in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $dir; done
chmod 1777 tmp
for device in null zero full random urandom tty; do
	: >dev/$device
	mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mkdir -p before
pivot_root . before
umount -l /before
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --log-target=console --log-level=notice
