#!/usr/bin/env bash
# Fetches the servers that tests and benchmarks of the tier between pods run against, into a cache folder, and prints that
# folder: bin/redis-server, bin/valkey-server (Debian packages, unpacked, with the libraries this machine lacks) and
# bin/garnet-server (a .NET tool). Nothing is installed. What cannot be had is named and left out.
set -euo pipefail

cache=${MOEBIUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moebius}/peers
garnet_version=2.2.8
say() { echo "peers: $*" >&2; }

mkdir -p "$cache/bin"
exec 9>"$cache/lock"
flock 9
have() { [ -x "$cache/bin/$1" ]; }
if have redis-server && have valkey-server && have garnet-server; then echo "$cache"; exit 0; fi

work=$cache/work
rm -rf "$work"
mkdir -p "$work"

# debian PROGRAM PACKAGE SUITE...: unpacks a server with its libraries, and wraps it so that it finds them.
debian() {
    local program=$1 package=$2 folder=$cache/$1 mirror
    shift 2
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { say "no $program: it comes as a Debian package, and this machine has no apt"; return 0; }
    # The archive that this machine uses already; the security archive holds no suite of its own.
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' '$1 == "Debian" && $2 == "Debian" && !uri { uri = $3 } END { print uri }')
    [ -n "$mirror" ] || { say "no $program: no Debian archive in this machine's package lists (apt-get update, then try again)"; return 0; }
    local options=
    [ -r /usr/share/keyrings/debian-archive-keyring.gpg ] && options="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    rm -rf "$folder" "$work/apt"
    mkdir -p "$work/apt"/{lists/partial,cache/archives/partial,none}
    for suite in "$@"; do echo "deb $options$mirror $suite main"; done >"$work/apt/sources.list"
    # Lists and downloads are private; the machine's own status is only read, to fetch no library that is there.
    cat >"$work/apt/apt.conf" <<CONF
Dir::State::Lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
Dir::Etc::SourceList "$work/apt/sources.list";
Dir::Etc::SourceParts "$work/apt/none";
Dir::Etc::Preferences "$work/apt/none/file";
Dir::Etc::PreferencesParts "$work/apt/none";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Check-Valid-Until "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Debug::NoLocking "true";
CONF
    say "downloading $package"
    (
        export APT_CONFIG=$work/apt/apt.conf
        apt-get -q update && apt-get -q -y --download-only --reinstall -t "${*: -1}" install "$package"
    ) >"$work/log" 2>&1 || { say "no $program: apt-get failed: $(tail -n 1 "$work/log")"; return 0; }
    mkdir -p "$folder"
    for deb in "$work"/apt/cache/archives/*.deb; do dpkg-deb -x "$deb" "$folder"; done
    local libraries
    libraries=$(find "$folder" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
    # Debian's binary is a link to the one that checks dumps; it tells which it is by its name.
    cat >"$work/wrapper" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH='$libraries' exec '$folder/usr/bin/$program' "\$@"
WRAPPER
    chmod 0755 "$work/wrapper"
    if "$work/wrapper" --version >"$work/log" 2>&1; then mv "$work/wrapper" "$cache/bin/$program"; else say "no $program: it does not start: $(tail -n 1 "$work/log")"; fi
}

release=$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}")
have redis-server || debian redis-server redis-server "${release:-bookworm}"
if ! have valkey-server; then
    if [ "$release" = bookworm ]; then debian valkey-server valkey-server bookworm bookworm-backports; else debian valkey-server valkey-server trixie; fi
fi
if ! have garnet-server; then
    say "installing garnet-server $garnet_version as a .NET tool"
    rm -rf "$cache/garnet"
    if dotnet tool install garnet-server --version "$garnet_version" --tool-path "$cache/garnet" >"$work/log" 2>&1; then
        ln -sfn ../garnet/garnet-server "$cache/bin/garnet-server"
    else
        say "no garnet-server: $(tail -n 1 "$work/log")"
    fi
fi

rm -rf "$work"
echo "$cache"
