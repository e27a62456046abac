#!/usr/bin/env bash
# Builds and runs the tests and ends with one line: N passed, N failed, N skipped.
# Usage: build/test.sh CONFIGURATION all|unit
set -uo pipefail
cd "$(dirname "$0")/.."
configuration=$1
which=$2

echo "Building the tests ..."
dotnet build Moebius.slnx -c "$configuration" -v quiet -clp:NoSummary || { echo "0 passed, 1 failed"; exit 1; }
mkdir -p bin && ln -sfn "../cli/bin/$configuration/net10.0/moebius" bin/moebius

# Servers that speak the Redis protocol, for the cache's tier between pods, and PostgreSQL; tests of those that are missing say so.
build/peers/servers.sh >/dev/null || echo "The Redis, Valkey, Garnet and PostgreSQL servers could not be had; their tests will say so." >&2

# Unit tests of two assemblies run beside each other: some compute while others wait. Clusters and virtual machines have the machine to themselves.
at_once=1
# The node has a command of its own: make test-cluster.
filter=(--filter-not-trait "Category=Node")
if [ "$which" = unit ]; then
    at_once=2
    filter+=(--filter-not-trait "Category=Cluster" --filter-not-trait "Category=Component" --filter-not-trait "Category=EndToEnd" --filter-not-trait "Category=VirtualMachine")
elif ! build/kubernetes/assets.sh >/dev/null; then
    echo "The Kubernetes API server could not be had; its tests will say so." >&2
fi

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
log=$results/log
# A test that never ends is a failure with a name: an assembly in which none has ended for so long is stopped.
hang=(--hangdump --hangdump-timeout 10m --hangdump-type Mini --results-directory "$results")
dotnet test --solution Moebius.slnx -c "$configuration" --no-build --max-parallel-test-modules "$at_once" --ignore-exit-code 8 "${hang[@]}" "${filter[@]}" | tee "$log"
status=${PIPESTATUS[0]}
for running in "$results"/*_hang.log; do
    [ -e "$running" ] && sed 's/^/Did not end: /' "$running"
done

# The runner's own summary is the source of the figures; without one the run did not happen.
number() { sed -nE "s/^ *$1: ([0-9]+)$/\1/p" "$log" | tail -n 1; }
passed=$(number succeeded)
failed=$(number failed)
skipped=$(number skipped)
if [ -z "$passed" ]; then
    echo "The tests did not run (exit code $status)." >&2
    echo "0 passed, 1 failed"
    exit 1
fi
[ "$status" -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
# What failed, again and at the end: a log is often read, or kept, from there.
sed -n '/^failed .* ([0-9]/,/^\//p' "$log" | grep -v '^/'
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
