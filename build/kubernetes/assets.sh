#!/usr/bin/env bash
# Obtains a real Kubernetes API server and what belongs to it, and prints the folder that holds the programs:
#
#   etcd  kube-apiserver  kube-controller-manager  apiextensions-apiserver  kubectl  helm
#
#   build/kubernetes/assets.sh              take what is there, download, or build from source
#   build/kubernetes/assets.sh --no-build   the same, but exit 3 instead of a build that takes minutes
#   build/kubernetes/assets.sh --build      skip every ready-made server: build from source unless already cached
#
# Only the folder goes to standard output; progress goes to standard error. Nothing is installed on the machine.
#
# Where it looks, first hit wins:
#   1. KUBEBUILDER_ASSETS          a folder with etcd, kube-apiserver and kubectl, as envtest uses it
#   2. the cache                   ${MOEBIUS_CACHE:-${XDG_CACHE_HOME:-~/.cache}/moebius}/kubernetes/bin
#   3. setup-envtest               when it is on the PATH
#   4. an archive                  *.tar.xz with a bin/ folder, in MOEBIUS_KUBE_ASSETS or in ../shared/kube-assets
#   5. Debian source packages      see lib/core.sh and lib/extensions.sh
#
# Exit codes: 0 done, 1 a step failed, 2 a setting is wrong, 3 --no-build and only a build would help.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
for part in common debian clients core extensions ready_made; do
    # shellcheck source=/dev/null
    source "$here/lib/$part.sh"
done

mode=any
case ${1:-} in
    '') ;;
    --no-build) mode=no-build ;;
    --build) mode=build ;;
    -h | --help) sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) wrong "argument '$1' is unknown; use --build, --no-build or nothing" ;;
esac

archives=${MOEBIUS_KUBE_ASSETS:-$repository/../shared/kube-assets}
[[ -z ${MOEBIUS_KUBE_ASSETS:-} || -d $archives ]] ||
    wrong "MOEBIUS_KUBE_ASSETS: '$archives' is not a folder; name one that holds *.tar.xz archives with a bin/ folder inside"

exec 3>&1 1>&2 # the result alone is written to 3
finish() { printf '%s\n' "$1" >&3; exit 0; }

if [[ $mode != build && -n ${KUBEBUILDER_ASSETS:-} ]]; then
    envtest_folder "$KUBEBUILDER_ASSETS" KUBEBUILDER_ASSETS
    finish "$result"
fi

cache_complete && finish "$BIN"

lock
cache_complete && finish "$BIN" # another run may have finished while this one waited

if [[ $mode != build ]] && ! have kube-apiserver; then
    if find_setup_envtest; then
        envtest_folder "$result" setup-envtest
        finish "$result"
    fi
    unpack_archives
fi

if [[ $mode == no-build ]] && ! { have_all "${CORE_PROGRAMS[@]}" && have apiextensions-apiserver; }; then
    say "no ready-made Kubernetes API server was found, and --no-build forbids building one; run build/kubernetes/assets.sh (10 minutes or so, once)"
    exit 3
fi

obtain_etcd
obtain_kubectl_and_helm
build_core
build_extensions
cache_complete || fail "the cache $BIN is still incomplete: it lacks $(missing)"
rm -rf "$WORK"
finish "$BIN"
