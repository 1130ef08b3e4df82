set -eu -o pipefail

# say something to the test: result NAME VALUE...
result() { echo "result $*"; }

# wait until the test calls tell(WORD)
await_host() { until [ -e "/job/told-$1" ]; do sleep 0.1; done; }

# mount_export VERSION PORT [OPTIONS]: the export at /mnt
mount_export() {
    mkdir -p /mnt
    mount -t nfs -o "vers=$1,port=$2,proto=tcp,retry=0${3:+,$3}" "$SERVER:/export" /mnt
}

# what the kernel says about pNFS on /mnt
pnfs_of_mount() {
    awk '/ mounted on \/mnt with /{here=1} here' /proc/self/mountstats |
        grep -o 'pnfs=.*' | head -1 | cut -d= -f2 | cut -d, -f1
}

drop_caches() { sync; echo 3 > /proc/sys/vm/drop_caches; }

sum_of() { sha256sum < "$1" | cut -d' ' -f1; }

# without_layouts: no layout driver can be loaded from now on
without_layouts() {
    for module in nfs_layout_nfsv41_files nfs_layout_flexfiles; do
        echo "install $module /bin/false" >> /etc/modprobe.d/no-layouts.conf
        if grep -q "^$module " /proc/modules; then rmmod "$module"; fi
    done
}

