#!/usr/bin/env bash
# Removes what a test node left on this machine: containers, mounts, network, packet filter rules, cgroups and folders.
# Does nothing where there is nothing. The test calls it; run it by hand after a test that was killed.
# Usage: node_cleanup.sh STATE_FOLDER NODE_FOLDER
set -u
export LC_ALL=C
state=$1
node=$2
[[ -e $state ]] || exit 0
[[ $state == /*/*moebius* ]] || { echo "node_cleanup.sh: '$state' is no folder of a test node" >&2; exit 2; }
export LD_LIBRARY_PATH=$node/usr/lib/x86_64-linux-gnu XTABLES_LIBDIR=$node/usr/lib/x86_64-linux-gnu/xtables
export PATH=$node/usr/bin:$node/usr/sbin:$PATH:/usr/sbin:/sbin

# The shims of this node's containerd, and everything in the cgroups of its pods.
for folder in /proc/[0-9]*; do
    { tr '\0' '\n' <"$folder/cmdline"; } 2>/dev/null | grep -qxF -- "$state/containerd.sock" && kill -9 "${folder#/proc/}" 2>/dev/null
done
for ((i = 0; i < 50; i++)); do
    processes=$(cat /sys/fs/cgroup/*/kubepods/cgroup.procs /sys/fs/cgroup/*/kubepods/*/cgroup.procs /sys/fs/cgroup/*/kubepods/*/*/cgroup.procs \
        /sys/fs/cgroup/*/kubepods/*/*/*/cgroup.procs 2>/dev/null | sort -u)
    [[ -z $processes ]] && break
    # shellcheck disable=SC2086
    kill -9 $processes 2>/dev/null
    sleep 0.1
done

unmount() { # the deepest first, and more than once where something is mounted over a mount
    local pass path
    for pass in 1 2 3; do
        awk -v prefix="$1" 'index($2, prefix) == 1 { print $2 }' /proc/mounts | sort -r | while read -r path; do umount "$path" 2>/dev/null || umount -l "$path"; done
    done
}
unmount "$state/"
unmount /run/containerd/
for namespace in /run/netns/cni-*; do
    [[ -e $namespace ]] || continue
    umount "$namespace" 2>/dev/null
    rm -f "$namespace"
done

for command in iptables ip6tables; do
    for table in nat filter mangle; do
        rules=$($command -t $table -S 2>/dev/null) || continue
        # First what leads to the chains, then the chains.
        grep -E '^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) .*-j KUBE-' <<<"$rules" | sed 's/^-A/-D/' | while read -r rule; do eval "$command -t $table $rule"; done
        chains=$(awk '/^-N KUBE-/ { print $2 }' <<<"$rules")
        for chain in $chains; do $command -t $table -F "$chain"; done
        for chain in $chains; do $command -t $table -X "$chain"; done
    done
done 2>/dev/null
for link in moebius-pods moebius-node; do ip link delete "$link" 2>/dev/null; done
for folder in /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods; do
    [[ -d $folder ]] && find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null
done
# Values that kubelet and the network plugins change.
[[ -f $state/sysctl ]] && sed 's/ = /=/' "$state/sysctl" | xargs -r sysctl -q -w

if grep -q " $state/" /proc/mounts; then
    echo "node_cleanup.sh: something under $state is still mounted; it is left alone" >&2
    exit 1
fi
rm -rf --one-file-system /var/log/pods /var/log/containers /var/lib/cni /var/lib/kubelet /run/containerd "$state"
