# shellcheck shell=bash
# Debian packages by name, from any suite, without touching the machine's own package state: a private configuration with
# lists, downloads and sources of its own. To be sourced. Packages are downloaded and unpacked, never installed.

# apt_archive LABEL [OPTION...]: prints the first archive with that label in this machine's package lists; nothing if
# there is none. The archive of security updates is labelled Debian-Security and holds no suite of its own.
apt_archive() {
    local label=$1
    shift
    # shellcheck disable=SC2016
    apt-get "$@" indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' -v label="$label" '$1 == "Debian" && $2 == label && !uri { uri = $3 } END { print uri }'
}

# apt_mirror FOLDER: sets `mirror` to the archive that this machine uses already. Where the machine has never fetched its
# lists, they are fetched into FOLDER. Fails if there is no Debian archive in the machine's sources.
apt_mirror() {
    [[ -z ${mirror:-} ]] || return 0
    mirror=$(apt_archive Debian)
    if [[ -z $mirror ]]; then
        mkdir -p "$1/machine/partial"
        apt-get -q -o Dir::State::Lists="$1/machine" -o APT::Sandbox::User=root update >"$1/machine.log" 2>&1 || return 1
        mirror=$(apt_archive Debian -o Dir::State::Lists="$1/machine")
    fi
    [[ -n $mirror ]]
}

# apt_private FOLDER STATUS SUITE...: from here on, apt-get and apt-cache of this shell know those suites of `mirror` and
# nothing else, and keep everything in FOLDER; downloads are in FOLDER/cache/archives. STATUS: `machine` leaves out
# libraries that the machine has; with `empty` every library comes along. apt_source=1 adds the sources of packages,
# apt_security=ARCHIVE the security updates of an archive. apt_stale=1 takes lists that are past their Valid-Until, which
# else are refused, as somebody between here and the archive may hold updates back; a machine whose own configuration
# sets Acquire::Check-Valid-Until, as for a snapshot, has it so here too. Lists are fetched by `apt-get update`.
apt_private() {
    local folder=$1 status=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg options= suite
    shift 2
    [[ ! -r $keyring ]] || options="[signed-by=$keyring] "
    mkdir -p "$folder"/{lists/partial,cache/archives/partial,none}
    for suite in "$@"; do
        echo "deb $options$mirror $suite main"
        [[ -z ${apt_source:-} ]] || echo "deb-src $options$mirror $suite main"
        [[ -z ${apt_security:-} ]] || echo "deb $options$apt_security $suite-security main"
    done >"$folder/sources.list"
    cat >"$folder/apt.conf" <<CONF
Dir::State "$folder";
Dir::State::Lists "$folder/lists";
Dir::Cache "$folder/cache";
Dir::Etc::SourceList "$folder/sources.list";
Dir::Etc::SourceParts "$folder/none";
Dir::Etc::Preferences "$folder/none/file";
Dir::Etc::PreferencesParts "$folder/none";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Debug::NoLocking "true";
CONF
    if [[ $status == empty ]]; then
        : >"$folder/status"
        echo "Dir::State::status \"$folder/status\";" >>"$folder/apt.conf"
    else
        echo 'Dir::State::status "/var/lib/dpkg/status";' >>"$folder/apt.conf"
    fi
    # The signature is still verified.
    [[ -z ${apt_stale:-} ]] || echo 'Acquire::Check-Valid-Until "false";' >>"$folder/apt.conf"
    export APT_CONFIG=$folder/apt.conf
}
