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

# fill LETTER MEBIBYTES: that much of one letter
fill() { head -c "$2M" /dev/zero | tr '\0' "$1"; }

# sum_of_descriptor N: checksum of an open file from its beginning, whatever its name
sum_of_descriptor() {
    "$PYTHON" -c '
import hashlib, os, sys
number, offset, sum = int(sys.argv[1]), 0, hashlib.sha256()
while piece := os.pread(number, 1 << 20, offset):
    sum.update(piece)
    offset += len(piece)
print(sum.hexdigest())' "$1"
}

