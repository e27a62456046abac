# shellcheck shell=bash
# Debian packages of one suite, unpacked into a folder.

source "$(dirname "${BASH_SOURCE[0]}")/../../lib/apt.sh"

# debian_suite SUITE: from here on apt-get and apt-cache speak of that suite. With with_security set, also of its security
# updates, where this machine has an archive of them.
debian_suite() {
    need apt-get apt
    mkdir -p "$CACHE/apt"
    apt_mirror "$CACHE/apt" || fail "no Debian archive in this machine's apt sources; set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl, or put setup-envtest on the PATH"
    # The machine's own sources, even when a suite was chosen before.
    apt_source=1 apt_security=${with_security:+$(unset APT_CONFIG && apt_archive Debian-Security)} apt_private "$CACHE/apt/$1" empty "$1"
    if [[ ${updated:-} != *" $1 "* ]]; then
        say "package lists of $1"
        apt-get -q update >"$LOGS/apt-$1.log" 2>&1 || fail "apt-get update for $1 failed; see $LOGS/apt-$1.log"
        updated="${updated:-} $1 "
    fi
}

# debian_unpack FOLDER PACKAGE...: downloads from the current suite and unpacks; the folder appears complete.
debian_unpack() {
    local folder=$1 debs=$1.debs deb
    shift
    need dpkg-deb dpkg
    rm -rf "$folder" "$folder.part" "$debs"
    mkdir -p "$debs" "$folder.part"
    say "downloading $# packages: ${*:1:4}$( (($# > 4)) && echo ' …')"
    (cd "$debs" && apt-get -q download "$@") >"$LOGS/download.log" 2>&1 || fail "apt-get download failed; see $LOGS/download.log"
    for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$folder.part"; done
    rm -rf "$debs"
    mv "$folder.part" "$folder"
}
