# shellcheck shell=bash
# Debian packages by name, from any suite, without touching the machine's own package state: a private configuration with
# its own lists and cache; packages are unpacked into a folder, never installed.

# debian_mirror: sets `mirror` to the archive that this machine already uses.
debian_mirror() {
    [[ -n ${mirror:-} ]] && return
    need apt-get apt
    mirror=$(mirror_in_lists)
    if [[ -z $mirror ]]; then # the machine has never fetched its lists: fetch them into ours
        local lists=$CACHE/apt/machine
        mkdir -p "$lists/partial"
        say "package lists: this machine has none, fetching"
        apt-get -q -o Dir::State::Lists="$lists" -o APT::Sandbox::User=root update >"$LOGS/apt-machine.log" 2>&1 ||
            fail "apt-get update failed; see $LOGS/apt-machine.log"
        mirror=$(mirror_in_lists -o Dir::State::Lists="$lists")
    fi
    [[ -n $mirror ]] || fail "no Debian archive in this machine's apt sources; set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl, or put setup-envtest on the PATH"
}

mirror_in_lists() { # the security archive carries the label Debian-Security and holds no suite of its own
    # shellcheck disable=SC2016
    apt-get "$@" indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' '$1 == "Debian" && $2 == "Debian" && !uri { uri = $3 } END { print uri }'
}

# security_in_lists: the archive of security updates that this machine uses, if it uses one.
security_in_lists() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | awk -F'|' '$1 == "Debian-Security" && !uri { uri = $2 } END { print uri }'
}

# debian_suite SUITE: from here on apt-get and apt-cache speak of that suite. With with_security set, also of its security
# updates, where this machine has an archive of them.
debian_suite() {
    debian_mirror
    local folder=$CACHE/apt/$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg options=
    [[ -r $keyring ]] && options="[signed-by=$keyring] "
    local security=
    [[ -z ${with_security:-} ]] || security=$(security_in_lists)
    mkdir -p "$folder"/{lists/partial,cache/archives/partial,none}
    : >"$folder/status"
    printf '%s %s%s %s main\n' deb "$options" "$mirror" "$1" deb-src "$options" "$mirror" "$1" >"$folder/sources.list"
    [[ -z $security ]] || printf 'deb %s%s %s-security main\n' "$options" "$security" "$1" >>"$folder/sources.list"
    # Snapshots and mirrors of sid carry an old Valid-Until; the signature is still verified.
    cat >"$folder/apt.conf" <<CONF
Dir::State::Lists "$folder/lists";
Dir::State::status "$folder/status";
Dir::Cache "$folder/cache";
Dir::Etc::SourceList "$folder/sources.list";
Dir::Etc::SourceParts "$folder/none";
Dir::Etc::Preferences "$folder/none/file";
Dir::Etc::PreferencesParts "$folder/none";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Check-Valid-Until "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
CONF
    export APT_CONFIG=$folder/apt.conf
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
