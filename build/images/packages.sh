#!/usr/bin/env bash
# Downloads Debian packages by name, without installing them, and prints the path of each file.
# Usage: packages.sh SUITE PACKAGE...
# The versions are the newest that the suite and its security archive offer; files that are already there are kept.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../kubernetes/lib/common.sh"
source "$here/../kubernetes/lib/debian.sh"
say() { printf 'images: %s\n' "$*" >&2; }

CACHE=${MOEBIUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moebius}/images
LOGS=$CACHE/logs
mkdir -p "$LOGS"
exec 3>&1 1>&2 8>"$CACHE/lock"
flock 8

suite=$1
shift
export with_security=1
# Lists of the last hours are good enough, and give the same images again.
stamp=$CACHE/apt/$suite.updated
[[ -z $(find "$stamp" -mmin -720 2>/dev/null) ]] || updated=" $suite "
debian_suite "$suite"
[[ -e $stamp && -n $(find "$stamp" -mmin -720) ]] || touch "$stamp"
debs=$CACHE/debs/$suite
mkdir -p "$debs"
cd "$debs"
# apt-get download leaves a file that is complete alone.
apt-get -q download "$@" >"$LOGS/download.log" 2>&1 || fail "apt-get download failed; see $LOGS/download.log"

for package in "$@"; do
    version=$(apt-cache show --no-all-versions "$package" | sed -n 's/^Version: //p')
    found=
    for file in "$package"_"${version//:/%3a}"_*.deb; do
        [[ -e $file ]] && found=$debs/$file
    done
    [[ -n $found ]] || fail "$package $version was not downloaded; see $LOGS/download.log"
    printf '%s\n' "$found" >&3
done
