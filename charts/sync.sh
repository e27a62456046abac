#!/usr/bin/env bash
# Brings the charts and the kustomize base up to date with what they are made from:
#   crds/manifests/*.yaml        -> charts/moebius-crds/files/
#   operator/manifests/rbac.yaml -> charts/moebius/files/
#   charts/moebius, rendered     -> config/operator/operator.yaml
# Usage: charts/sync.sh [FOLDER]   writes into FOLDER (the repository) and needs helm, on the PATH or in HELM.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root}

helm=${HELM:-$(command -v helm || true)}
if [ -z "$helm" ]; then
    helm=$("$root/build/kubernetes/assets.sh" --no-build)/helm
fi

mkdir -p "$out/charts/moebius-crds/files" "$out/charts/moebius/files" "$out/config/operator"
rm -f "$out"/charts/moebius-crds/files/moebius.dev_*.yaml
cp "$root"/crds/manifests/*.yaml "$out/charts/moebius-crds/files/"
cp "$root/operator/manifests/rbac.yaml" "$out/charts/moebius/files/"

# The chart as of now, with the rights just copied, as `helm install moebius -n moebius-system` would make it; without
# what only Helm is interested in.
chart=$(mktemp -d)
trap 'rm -rf "$chart"' EXIT
cp -r "$root/charts/moebius" "$chart/"
cp "$root/operator/manifests/rbac.yaml" "$chart/moebius/files/"
rendered=$("$helm" template moebius "$chart/moebius" --namespace moebius-system --kube-version 1.35.0 --skip-tests)
{
    echo "# Rendered from charts/moebius by charts/sync.sh. Do not edit."
    sed -E '/^ *(helm\.sh\/chart|app\.kubernetes\.io\/managed-by): /d; /^# Source: /d' <<<"$rendered"
} >"$out/config/operator/operator.yaml"
