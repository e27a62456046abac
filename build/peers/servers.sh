#!/usr/bin/env bash
# Fetches the servers that tests and benchmarks run against, into a cache folder, and prints that folder: for the tier
# between pods bin/redis-server, bin/valkey-server (Debian packages, unpacked, with the libraries this machine lacks) and
# bin/garnet-server (a .NET tool); for the prompt optimizer's store postgresql/, unless the machine has PostgreSQL.
# Nothing is installed and nothing started. What cannot be had is named and left out.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../lib/apt.sh"

cache=${MOEBIUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moebius}/peers
garnet_version=2.2.8
say() { echo "peers: $*" >&2; }

mkdir -p "$cache/bin"
exec 9>"$cache/lock"
flock 9
have() { [ -x "$cache/bin/$1" ]; }
have_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || compgen -G "$cache/postgresql/usr/lib/postgresql/*/bin/initdb" >/dev/null; }
if have redis-server && have valkey-server && have garnet-server && have_postgres; then echo "$cache"; exit 0; fi

work=$cache/work
rm -rf "$work"
mkdir -p "$work"

# unpack NAME PACKAGE SUITE...: unpacks a package, with the libraries this machine lacks, into the folder of that name.
unpack() {
    local program=$1 package=$2 folder=$cache/$1
    shift 2
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { say "no $program: it comes as a Debian package, and this machine has no apt"; return 1; }
    rm -rf "$folder" "$work/apt"
    mkdir -p "$work/apt"
    apt_mirror "$work/apt" || { say "no $program: no Debian archive in this machine's apt sources"; return 1; }
    say "downloading $package"
    (
        apt_private "$work/apt" machine "$@"
        apt-get -q update && apt-get -q -y --download-only --reinstall -t "${*: -1}" install "$package"
    ) >"$work/log" 2>&1 || { say "no $program: apt-get failed: $(tail -n 1 "$work/log")"; return 1; }
    mkdir -p "$folder"
    for deb in "$work"/apt/cache/archives/*.deb; do dpkg-deb -x "$deb" "$folder"; done
}

# debian PROGRAM PACKAGE SUITE...: unpacks a server, and wraps it so that it finds its libraries.
debian() {
    local program=$1 folder=$cache/$1 libraries
    unpack "$@" || return 0
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

# postgres NAME: the server with initdb beside it, which find each other and their files from where they are. Its pieces of
# just-in-time compilation are left out. The package postgresql, which would start a server at its installation, is not needed.
postgres() {
    local folder=$cache/$1 version
    case ${release:-} in bookworm) version=15 ;; trixie) version=17 ;; *) say "no postgresql: its version in Debian '${release:-}' is not known here"; return 0 ;; esac
    unpack "$1" "postgresql-$version" "$release" || return 0
    rm -rf "$folder"/usr/lib/llvm* "$folder"/usr/lib/*/libLLVM* "$folder/usr/lib/postgresql/$version/lib/bitcode" "$folder/usr/lib/postgresql/$version/lib/llvmjit"*
    if LD_LIBRARY_PATH=$folder/usr/lib/$(uname -m)-linux-gnu "$folder/usr/lib/postgresql/$version/bin/postgres" --version >"$work/log" 2>&1; then return 0; fi
    say "no postgresql: it does not start: $(tail -n 1 "$work/log")"
    rm -rf "$folder"
}
have_postgres || postgres postgresql

rm -rf "$work"
echo "$cache"
