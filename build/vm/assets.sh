#!/usr/bin/env bash
# Fetches what the virtual machine tests boot, as Debian packages unpacked into a cache folder, and prints that folder.
# Nothing is installed. In it: vmlinux, version and modules/ of a new kernel, vmlinux-old and version-old of an old one,
# busybox, qemu/ (with the libraries this machine lacks, Redis and hackbench).
#
# The new kernel needs sched_ext, the old one BTF; QEMU needs volatile CXL memory (10 or later).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../lib/apt.sh"

cache=${MOEBIUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moebius}/vm
folder=$cache/assets-3
say() { echo "test-vm: $*" >&2; }
fail() { say "$*"; exit 1; }

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ -e "$folder/version" ]; then echo "$folder"; exit 0; fi

[ "$(uname -m)" = x86_64 ] || fail "the virtual machine tests are for x86_64; this is $(uname -m)"
for tool in apt-get apt-cache dpkg-deb xz; do command -v "$tool" >/dev/null || fail "needs $tool: kernel and QEMU come as Debian packages"; done

work=$cache/work
rm -rf "$work"
mkdir -p "$work"/{kernel,old,part/qemu}
apt_mirror "$work" || fail "no Debian archive in this machine's apt sources"
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
case $release in
  bookworm) suites="bookworm bookworm-backports trixie-backports" qemu=bookworm-backports ;;
  *) suites="bookworm trixie trixie-backports" qemu=trixie ;;
esac
# shellcheck disable=SC2086
apt_private "$work" machine $suites
say "package lists of $suites"
apt-get -q update >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "apt-get update failed"; }

image=$(apt-cache depends linux-image-cloud-amd64/trixie-backports | grep -oE 'linux-image-[0-9][^ ]*cloud-amd64' | head -n 1)
[ -n "$image" ] || fail "trixie-backports has no linux-image-cloud-amd64"
version=${image#linux-image-}
old_image=$(apt-cache depends linux-image-cloud-amd64/bookworm | grep -oE 'linux-image-[0-9][^ ]*cloud-amd64' | head -n 1)
[ -n "$old_image" ] || fail "bookworm has no linux-image-cloud-amd64"
say "downloading Linux $version, Linux ${old_image#linux-image-} and QEMU (about 120 MB)"
(cd "$work/kernel" && apt-get -q download "linux-binary-$version" "linux-modules-$version") >"$work/log" 2>&1 ||
  (cd "$work/kernel" && apt-get -q download "$image") >>"$work/log" 2>&1 || { cat "$work/log" >&2; fail "the kernel could not be downloaded"; }
(cd "$work/old" && apt-get -q download "$old_image") >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "the old kernel could not be downloaded"; }
apt-get -q -y --download-only --reinstall -t "$qemu" install qemu-system-x86 libbpf1 busybox-static zstd redis-server redis-tools rt-tests >>"$work/log" 2>&1 ||
  { cat "$work/log" >&2; fail "QEMU, Redis or hackbench could not be downloaded"; }

for deb in "$work"/kernel/*.deb; do dpkg-deb -x "$deb" "$work/kernel"; done
for deb in "$work"/old/*.deb; do dpkg-deb -x "$deb" "$work/old"; done
for deb in "$work"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$work/part/qemu"; done
# Debian 12's packages still have a /lib beside /usr/lib.
if [ -d "$work/part/qemu/lib" ]; then cp -a "$work/part/qemu/lib/." "$work/part/qemu/usr/lib/"; fi

# QEMU starts an uncompressed kernel (PVH) sooner than the kernel can unpack itself under emulation.
part=$work/part
zstd=$part/qemu/usr/bin/zstd
[ -x "$zstd" ] || zstd=zstd
image_file=$(find "$work/kernel" -name 'vmlinuz*' -type f | head -n 1)
unpack() { # unpack SIGNATURE COMMAND...
  local at
  while read -r at; do
    tail -c "+$((at + 1))" "$image_file" | "${@:2}" >"$part/vmlinux" 2>/dev/null || true
    [ "$(head -c 4 "$part/vmlinux" | tail -c 3)" = ELF ] && return
  done < <(LC_ALL=C grep -aobP "$1" "$image_file" | LC_ALL=C cut -d : -f 1)
  return 1
}
unpack '\x28\xb5\x2f\xfd' "$zstd" -dc || unpack '\xfd7zXZ\x00' xz -dc || unpack '\x1f\x8b\x08' gzip -dc || fail "no kernel found in $image_file"
# The old one is booted once and short; it is compressed in another way.
mv "$(find "$work/old" -name 'vmlinuz*' -type f | head -n 1)" "$part/vmlinux-old"

modules=$(find "$work/kernel" -type d -path "*/modules/$version" | head -n 1)
mkdir "$part/modules"
for name in cxl_acpi cxl_port cxl_pci cxl_mem cxl_pmem cxl_core einj dax_cxl device_dax kmem dax_hmem libnvdimm; do
  find "$modules" -name "$name.ko*" -exec cp {} "$part/modules/" \;
done
find "$part/modules" -name '*.xz' -exec xz -d {} +
for module in "$part"/modules/*.zst; do [ ! -e "$module" ] || "$zstd" -q --rm -d "$module"; done
cp "$part/qemu/bin/busybox" "$part/busybox" 2>/dev/null || cp "$part/qemu/usr/bin/busybox" "$part/busybox"
echo "${old_image#linux-image-}" >"$part/version-old"
echo "$version" >"$part/version"

rm -rf "$folder"
mv "$part" "$folder"
rm -rf "$work"
say "Linux $version, $("$folder/qemu/usr/bin/qemu-system-x86_64" --version 2>/dev/null | head -n 1 || echo QEMU) in $folder"
echo "$folder"
