#!/usr/bin/env bash
# Fetches llama.cpp as Debian packages, unpacked into a cache folder, and prints the folder's path. Nothing is
# installed. In it: run PROGRAM ARGUMENT..., which starts one of its programs (llama-bench, llama-batched-bench, ...)
# with the libraries that came with it; version.
set -euo pipefail

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

# The archive that this machine uses already; the security archive holds no suite of its own.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
  awk -F'|' '$1 == "Debian" && $2 == "Debian" && !uri { uri = $3 } END { print uri }')
[ -n "$mirror" ] || fail "no Debian archive in this machine's package lists (apt-get update, then try again)"

work=$cache/work
rm -rf "$work"
mkdir -p "$work"/{lists/partial,cache/archives/partial,none,part/root}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
options=
[ -r "$keyring" ] && options="[signed-by=$keyring] "
echo "deb $options$mirror sid main" >"$work/sources.list"
# With an empty status file every library comes along, the C library too: sid's programs need sid's libraries.
: >"$work/status"
cat >"$work/apt.conf" <<CONF
Dir::State "$work";
Dir::State::Lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "$work/none";
Dir::Etc::Preferences "$work/none/file";
Dir::Etc::PreferencesParts "$work/none";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Check-Valid-Until "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Debug::NoLocking "true";
CONF
export APT_CONFIG=$work/apt.conf
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
