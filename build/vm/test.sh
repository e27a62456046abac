#!/usr/bin/env bash
# Boots a virtual machine with a CXL device and a kernel that has sched_ext, and runs the checks of build/vm/driver in it.
# Prints one line per check; exit code 0 if all passed, 1 if one failed, 3 if the machine could not be had.
# Usage: build/vm/test.sh [CONFIGURATION] [all|short|observer|bench|bench-threads]
#   all    every check (four minutes alone on the host, three times that on a busy one)
#   short  the most important ones
#   observer  the oldest kernel that Debian has for this machine: the observer and the agent, without sched_ext and CXL
#   bench  no checks: ordinary work under the kernel's scheduler and under ours, one figure per line
#   bench-threads  the same by the host's clock, with a host thread for each processor: as noisy as the host
# The machine's clock counts instructions, two nanoseconds each, and skips what nobody works in: how busy the host is
# changes nothing but how long it all takes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repository=$here/../..
configuration=${1:-Release}
mode=${2:-all}
case $mode in
  all) seconds=900 ;;
  short | observer) seconds=400 ;; # a minute or two; beside other tests it takes longer
  bench | bench-threads) seconds=900 ;;
  *) echo "test-vm: '$mode' is none of all, short, observer, bench, bench-threads" >&2; exit 2 ;;
esac

assets=$("$here/assets.sh") || exit 3
command -v cpio >/dev/null || cpio() { "$assets/busybox" cpio "$@"; }
image=vmlinux version=$(<"$assets/version")
[ "$mode" != observer ] || image=vmlinux-old version=$(<"$assets/version-old")
work=$(mktemp -d)
qemu_pid=
trap '[ -z "$qemu_pid" ] || kill "$qemu_pid" 2>/dev/null || true; rm -rf "$work"' EXIT

echo "test-vm: building the driver" >&2
publish=$work/publish
dotnet publish "$here/driver" -c "$configuration" -r linux-x64 -o "$publish" -v quiet -clp:NoSummary >&2 || exit 1
CLANG_FLAGS=-DMOEBIUS_FAULTS bash "$repository/sidecar-cxl/bpf/build.sh" "$repository/sidecar-cxl/bpf/duplex.bpf.c" "$work/duplex-faults.o" >&2 || exit $?

# The root file system: busybox, the driver, the libraries that it is linked with and those it loads, the CXL modules.
root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,tmp,lib64,"lib/modules/$version"}
cp "$assets/busybox" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
install -m 755 "$here/init" "$root/init"
cp "$publish/vm-driver" "$root/bin/"
cp "$work/duplex-faults.o" "$root/lib/"
cp "$assets"/modules/*.ko "$root/lib/modules/$version/"
"$assets/busybox" depmod -b "$root" "$version" 2>/dev/null || /sbin/depmod -b "$root" "$version"
libraries=$assets/qemu/usr/lib/x86_64-linux-gnu
libbpf=$(find "$libraries" /usr/lib/x86_64-linux-gnu -name libbpf.so.1 2>/dev/null | head -n 1)
[ -n "$libbpf" ] || { echo "test-vm: libbpf.so.1 is not among the packages" >&2; exit 3; }
programs=("$assets"/qemu/usr/bin/{redis-benchmark,hackbench})
# redis-server is a name of the checker in Debian's package.
cp -L "$assets/qemu/usr/bin/redis-check-rdb" "$root/bin/redis-server"
cp "${programs[@]}" "$root/bin/"
programs+=("$root/bin/redis-server")
while read -r library; do
  # What comes from the cache folder lies where the dynamic linker looks.
  target=$root/${library#"$assets/qemu/"}
  [ -e "$target" ] || { mkdir -p "$(dirname "$target")"; cp -L "$library" "$target"; }
done < <(LD_LIBRARY_PATH=$libraries ldd "$publish/vm-driver" "$libbpf" "${programs[@]}" | grep -oE '/[^ :]+\.so[^ :]*' | sort -u)
cp -L "$libbpf" "$root/lib/libbpf.so.1"
mkdir -p "$root/etc"
echo "/lib
/lib/x86_64-linux-gnu
/usr/lib/x86_64-linux-gnu" >"$root/etc/ld.so.conf"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

# latency and bandwidth of a memory node, as the firmware reports them (ns, bytes per second)
hmat() {
  local prefix="hmat-lb,initiator=0,target=$1,hierarchy=memory,data-type"
  printf -- '-numa\n%s\n' "$prefix=read-latency,latency=$2" "$prefix=write-latency,latency=$3" \
    "$prefix=read-bandwidth,bandwidth=$4" "$prefix=write-bandwidth,bandwidth=$5"
}
mapfile -t memory < <(hmat 0 90 90 100G 100G; hmat 1 250 300 32G 24G; hmat 2 200 210 64G 64G)

clock=(-accel tcg,thread=single -icount shift=1,sleep=off)
# Two nodes of ordinary memory, one without processors, and a CXL type-3 device of 512 MiB behind its own root port.
machine=(-M q35,cxl=on,hmat=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G "${clock[@]}"
    -m 2G,maxmem=12G,slots=8
    -object memory-backend-ram,id=ram0,size=1G -object memory-backend-ram,id=ram1,size=1G
    -object memory-backend-ram,id=cxlram,size=512M,share=on
    -numa node,nodeid=0,memdev=ram0,cpus=0-1 -numa node,nodeid=1,memdev=ram1,initiator=0 -numa node,nodeid=2
    -numa dist,src=0,dst=1,val=20 -numa dist,src=0,dst=2,val=20 -numa dist,src=1,dst=2,val=30
    -device pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.1 -device cxl-rp,port=0,bus=cxl.1,id=rp0,chassis=0,slot=2
    -device cxl-type3,bus=rp0,volatile-memdev=cxlram,id=mem0,sn=0x1234
    -object acpi-generic-port,id=gp0,pci-bus=cxl.1,node=2 "${memory[@]}")
case $mode in
  bench | observer) machine=(-M q35 "${clock[@]}" -m 2G) ;;
  bench-threads) machine=(-M q35 -accel tcg,thread=multi -m 2G) ;;
esac
boot() {
  LD_LIBRARY_PATH=$libraries timeout -k 5 "$1" "$assets/qemu/usr/bin/qemu-system-x86_64" \
    -L "$assets/qemu/usr/share/qemu" -L "$assets/qemu/usr/share/seabios" -nodefaults -no-user-config \
    "${machine[@]}" -cpu max,hypervisor=off -smp 2 \
    -display none -serial "file:$work/serial" -no-reboot \
    -kernel "$assets/$image" -initrd "$work/initrd" -append "console=ttyS0 panic=-1 quiet moebius.mode=${mode%-threads}" >&2 &
  qemu_pid=$!
  wait "$qemu_pid" || true
  qemu_pid=
}

# Emulation on a busy machine is at times too slow for the kernel's own watchdogs: one retry, and it is said.
for attempt in 1 2; do
  echo "test-vm: booting Linux $version, attempt $attempt" >&2
  : >"$work/serial"
  boot "$seconds"
  tr -d '\r' <"$work/serial" | sed 's/\x1b\[[0-9;]*[a-zA-Z]//g' >"$work/log"
  if grep -q '^DONE 0 failed' "$work/log" && ! grep -q '^FAIL' "$work/log"; then break; fi
  if [ "$attempt" = 1 ]; then
    echo "test-vm: the first attempt failed:" >&2
    grep -E '^(FAIL|BOOT|END)|sched_ext|[Pp]anic' "$work/log" >&2 || tail -n 30 "$work/log" >&2
  fi
done
[ -z "${MOEBIUS_VM_LOG:-}" ] || cp "$work/log" "$MOEBIUS_VM_LOG"
grep -E '^(PASS|FAIL|BENCH|BOOT|DONE|END)' "$work/log" || true
if grep -q '^DONE 0 failed' "$work/log" && ! grep -q '^FAIL' "$work/log"; then exit 0; fi
echo "test-vm: the end of the machine's console:" >&2
tail -n 40 "$work/log" >&2
exit 1
