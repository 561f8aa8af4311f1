#!/bin/sh
# The init of a node, in mount, UTS, PID and network namespaces of its own. What it mounts, the host does not see, and it
# all ends with this process.
#
#   node.sh NAME STATE DATA     STATE: folder with the node's settings; DATA: folder for its bulk
set -eu
name=$1 state=$2 data=$3

# -n: mount keeps no table of its own below /run, which is about to be another one
mount -n --make-rprivate /
# Copies of other nodes' namespaces would keep those alive after their own bed has gone.
umount -n --recursive --lazy /run/netns 2>/dev/null || :

# /run is the node's own, with nothing of the bed's in it but what this node may know.
mkdir -p "$data/run"
mount -n -t tmpfs -o mode=755 tmpfs "$data/run"
mkdir -p "$data/run$(echo "$state" | cut -c5-)" "$data/run/bulk" "$data/run/lock"
mount -n --bind "$state" "$data/run$(echo "$state" | cut -c5-)"
mkdir -p "$data/bulk/containerd" "$data/bulk/kubelet" "$data/bulk/pods"
mount -n --bind "$data/bulk" "$data/run/bulk"
mount -n --move "$data/run" /run

# Over /var/lib and /var/log lies a layer of the node's own: parts find their usual paths there, the host's stay as they
# are. Images, snapshots and logs do not go into that layer (it is memory, and overlays do not nest) but to the bulk.
for folder in /var/lib /var/log; do
    mkdir -p "/run/layers$folder/upper" "/run/layers$folder/work"
    mount -n -t overlay overlay \
        -o "lowerdir=$folder,upperdir=/run/layers$folder/upper,workdir=/run/layers$folder/work" "$folder"
done
for pair in containerd:/var/lib/containerd kubelet:/var/lib/kubelet pods:/var/log/pods; do
    mkdir -p "${pair#*:}"
    mount -n --bind "/run/bulk/${pair%%:*}" "${pair#*:}"
done
mount -n --make-rshared /var/lib/kubelet
rm -rf /var/lib/cni && mkdir /var/lib/cni

# kubelet sets these for the whole machine; here it sets copies.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    mkdir -p "/run/settings/${setting%/*}"
    cat "/proc/sys/$setting" >"/run/settings/$setting"
    mount -n --bind "/run/settings/$setting" "/proc/sys/$setting"
done

echo "$name" >/proc/sys/kernel/hostname
: >"$state/ready"

# The init of a PID namespace collects what others leave: the shims of containers.
while :; do
    sleep 3600 &
    wait $! || :
done
