#!/usr/bin/env bash
# Installs what the build and the programs need beyond .NET. Does nothing, quickly, where it is all there.
set -euo pipefail

sdk=$(sed -nE 's/.*"version": *"([0-9]+)\..*/\1/p' "$(dirname "$0")/../global.json" | head -n 1)
# Not grep -q: who still writes when it has seen enough is ended for it, which pipefail takes for a failure.
if ! command -v dotnet >/dev/null || ! dotnet --list-sdks | grep "^$sdk\." >/dev/null; then
    echo "prerequisites: the .NET $sdk SDK is needed and was not found; install it and run this again" >&2
    exit 1
fi

missing=()
# The eBPF observer: clang compiles it, libbpf loads it. The node agent runs without, and says so.
command -v clang >/dev/null || missing+=(clang llvm)
[ -e /usr/include/bpf/bpf_helpers.h ] || missing+=(libbpf-dev)
# The PATH of ordinary users has no /sbin.
PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep 'libbpf\.so\.1 ' >/dev/null || missing+=(libbpf1)
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "prerequisites: no apt-get here; without ${missing[*]} the eBPF observer is not built" >&2
    exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "prerequisites: not root; without '${missing[*]}' the eBPF observer is not built (sudo apt-get install ${missing[*]})" >&2
        exit 0
    fi
    as_root=(sudo -n)
fi
echo "Installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || {
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
