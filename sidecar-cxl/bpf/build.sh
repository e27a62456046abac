#!/usr/bin/env bash
# Compiles one BPF program: build.sh SOURCE OBJECT. Exits with 3 when a tool or a header is missing, so that the build
# can go on without the object and say so; any other failure is a bug in the program.
set -euo pipefail
source_file=$1
object=$2

find_tool() { # find_tool NAME: the plain name, or the newest versioned one from 14 on
  local candidate
  for candidate in "$1" "$1"-{30..14}; do
    if command -v "$candidate" >/dev/null; then echo "$candidate"; return; fi
  done
  return 1
}

clang=${CLANG:-$(find_tool clang || true)}
if [ -z "$clang" ]; then
  echo "clang is not installed (apt-get install clang libbpf-dev)"
  exit 3
fi
if ! printf '#include <linux/types.h>\n#include <bpf/bpf_helpers.h>\n' | "$clang" -target bpf -fsyntax-only -x c -I/usr/include/"$(uname -m)"-linux-gnu - 2>/dev/null; then
  echo "$clang cannot compile for the bpf target, or bpf/bpf_helpers.h is missing (apt-get install clang libbpf-dev)"
  exit 3
fi

case "$(uname -m)" in
  x86_64) arch=x86 ;;
  aarch64) arch=arm64 ;;
  *) echo "no BPF build for the architecture $(uname -m)"; exit 3 ;;
esac

mkdir -p "$(dirname "$object")"
# shellcheck disable=SC2086
"$clang" -g -O2 -mcpu=v3 -target bpf ${CLANG_FLAGS:-} "-D__TARGET_ARCH_$arch" -Wall -Werror \
  "-ffile-prefix-map=$(dirname "$source_file")=bpf" -I"$(dirname "$source_file")" -c "$source_file" -o "$object.tmp"
# DWARF is not needed at run time (BTF is); without the stripper the object is only larger.
if strip=$(find_tool llvm-strip); then "$strip" -g "$object.tmp"; fi
mv "$object.tmp" "$object"
