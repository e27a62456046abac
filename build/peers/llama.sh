#!/usr/bin/env bash
# Fetches llama.cpp as Debian packages, unpacked into a cache folder, and prints the folder's path. Nothing is
# installed. In it: run PROGRAM ARGUMENT..., which starts one of its programs (llama-bench, llama-batched-bench, ...)
# with the libraries that came with it; version.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../lib/apt.sh"

cache=${MOEBIUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moebius}/peers
folder=$cache/llama-1
say() { echo "llama.cpp: $*" >&2; }
fail() { say "$*"; exit 1; }

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ -e "$folder/version" ]; then echo "$folder"; exit 0; fi

[ "$(uname -m)" = x86_64 ] || fail "the comparison is for x86_64; this is $(uname -m)"
for tool in apt-get apt-cache dpkg-deb; do command -v "$tool" >/dev/null || fail "needs $tool: llama.cpp comes as Debian packages"; done

work=$cache/work
rm -rf "$work"
mkdir -p "$work/part/root"
apt_mirror "$work" || fail "no Debian archive in this machine's apt sources"
# sid's programs need sid's libraries, the C library too. Mirrors of sid fall behind; what comes is for a comparison only.
apt_stale=1 apt_private "$work" empty sid
say "package lists of sid"
apt-get -q update >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "apt-get update failed"; }
version=$(apt-cache policy llama.cpp-tools | awk '/Candidate:/ { print $2 }')
say "downloading llama.cpp-tools $version and the libraries it needs"
apt-get -q -y --download-only install llama.cpp-tools llama.cpp-tools-extra >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "the download failed"; }
for deb in "$work"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$work/part/root"; done

# Its own loader, so that neither side sees the other's C library.
cat >"$work/part/run" <<'RUN'
#!/bin/sh
root=$(cd "$(dirname "$0")/root" && pwd)
program=$1
shift
# It looks for the code of each kind of processor where it runs. Give file names from the root.
cd "$root"/usr/lib/x86_64-linux-gnu/ggml/backends0 || exit 1
loader=$(ls "$root"/usr/lib64/ld-linux-x86-64.so.2 "$root"/lib64/ld-linux-x86-64.so.2 2>/dev/null | head -n 1)
exec "$loader" --library-path "$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu/blas:$root/usr/lib/x86_64-linux-gnu/llama" "$root/usr/bin/$program" "$@"
RUN
chmod +x "$work/part/run"
echo "$version" >"$work/part/version"
rm -rf "$folder"
mv "$work/part" "$folder"
rm -rf "$work"
say "$version in $folder"
echo "$folder"
