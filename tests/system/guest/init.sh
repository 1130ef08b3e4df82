#!/bin/sh
# The first process of a guest. Settings come as environment variables, since the
# kernel hands key=value boot parameters it does not know to init that way:
#   PNFS_INIT      path of this file          PNFS_JOB     the guest's folder on the host
#   PNFS_ADDRESS   our address with length    PNFS_NUMBER  which guest we are, from 0
PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
export PATH HOME
exec </dev/null

if [ -z "$PNFS_OVERLAID" ]; then
    # The root is the host's tree, read-only: put an overlay on it that is thrown
    # away, so that the script may write anywhere.
    mount -t proc proc /proc
    insmod "/usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
    mount -t tmpfs -o mode=755 overlay /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    if ! mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root; then
        echo "no overlay for the root" >&2
        busybox poweroff -f
    fi
    PNFS_OVERLAID=yes
    export PNFS_OVERLAID
    cd /mnt/root && exec chroot . /bin/sh "$PNFS_INIT"
fi

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /job /mnt /usr/lib/modules
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs -o mode=755 run /run
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
mount -t hostfs -o "$PNFS_JOB" job /job
ln -sfn "/usr/lib/uml/modules/$(uname -r)" "/usr/lib/modules/$(uname -r)"
stty -F /dev/tty1 raw -echo

hostname "guest$PNFS_NUMBER"
ip link set lo up
ip addr add "$PNFS_ADDRESS" dev vec0
ip link set vec0 up

# Servers tell clients apart by the owner string: each guest has its own.
modprobe nfs
echo "pnfs-guest-$PNFS_NUMBER-$PNFS_ADDRESS" > /sys/module/nfs/parameters/nfs4_unique_id
modprobe nfsv4

cd /job
. /job/environment
bash /job/script > /dev/tty1 2>&1
status=$?
cd /
awk '$3 ~ /^nfs/ {print $2}' /proc/mounts | sort -r | while read -r mounted; do
    timeout 10 umount "$mounted" || timeout 5 umount -l "$mounted"
done
stty -F /dev/tty1 raw -echo      # waits until the output is out
dmesg > /job/dmesg
echo "$status" > /job/status
umount /job
sync
busybox poweroff -f
