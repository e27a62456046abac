#!/usr/bin/env bash
# Prints the path of a command: from the PATH, or unpacked from its Debian package into the cache, never installed.
# Usage: debian_tool.sh COMMAND PACKAGE. Exit code 3: it cannot be had here.
set -euo pipefail
command=$1
package=$2
if command -v "$command"; then exit 0; fi
cache=${MOEBIUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moebius}/$package
if [ ! -x "$cache/bin/$command" ]; then
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "$command is not on the PATH, and there is no apt-get to fetch Debian's package $package with" >&2; exit 3; }
    mkdir -p "$cache/bin"
    work=$(mktemp -d "$cache/work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && apt-get -o APT::Sandbox::User=root download -qq "$package" >&2) || { echo "$command is not on the PATH, and Debian's package $package cannot be downloaded" >&2; exit 3; }
    dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -xf - -C "$work" "./usr/bin/$command"
    mv "$work/usr/bin/$command" "$cache/bin/$command"
fi
echo "$cache/bin/$command"
