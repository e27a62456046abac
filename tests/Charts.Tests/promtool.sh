#!/usr/bin/env bash
# Prints the path of promtool: from the PATH, or unpacked from Debian's package into the cache, never installed.
set -euo pipefail
if command -v promtool; then exit 0; fi
cache=${MOEBIUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moebius}/prometheus
if [ ! -x "$cache/bin/promtool" ]; then
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "promtool is not on the PATH, and there is no apt-get to fetch Debian's package prometheus with" >&2; exit 3; }
    mkdir -p "$cache/bin"
    work=$(mktemp -d "$cache/work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && apt-get -o APT::Sandbox::User=root download -qq prometheus >&2) || { echo "promtool is not on the PATH, and Debian's package prometheus cannot be downloaded" >&2; exit 3; }
    dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -xf - -C "$work" ./usr/bin/promtool
    mv "$work/usr/bin/promtool" "$cache/bin/promtool"
fi
echo "$cache/bin/promtool"
