#!/usr/bin/env bash
# Obtains what turns a machine into a Kubernetes node beside kubelet and kube-proxy, which assets.sh obtains: containerd,
# runc, network plugins and iptables, as Debian packages that are unpacked into the cache and never installed. Prints the
# folder, laid out like a root folder.
#
# Only the folder goes to standard output; progress goes to standard error.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common debian; do
    # shellcheck source=/dev/null
    source "$here/lib/$part.sh"
done

NODE_SUITE=bookworm # its containerd 1.6 speaks the runtime interface that kubelet 1.20 asks for
NODE_PACKAGES=(
    containerd runc libseccomp2 containernetworking-plugins conntrack iptables
    libip4tc2 libip6tc2 libmnl0 libnetfilter-conntrack3 libnfnetlink0 libnftnl11 libxtables12
)

exec 3>&1 1>&2
node=$CACHE/node
lock
if [[ ! -x $node/usr/bin/containerd ]]; then
    debian_suite "$NODE_SUITE"
    debian_unpack "$node" "${NODE_PACKAGES[@]}"
    for command in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
        ln -sf xtables-nft-multi "$node/usr/sbin/$command"
    done
fi
printf '%s\n' "$node" >&3
