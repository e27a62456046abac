# shellcheck shell=bash
# A present-day apiextensions-apiserver (CEL rules, strict field validation) from the Go library packages of Debian sid. It
# serves CRDs and custom resources behind the aggregator of the old core. Sid moves: whatever version it carries is built.

EXTENSIONS_SUITE=sid
EXTENSIONS_LIBRARY=golang-k8s-apiextensions-apiserver-dev

build_extensions() {
    have apiextensions-apiserver && return
    EXTENSIONS=$WORK/extensions
    mkdir -p "$EXTENSIONS"
    step extensions-source extensions_source
    local packages
    packages=$(extensions_go list -deps . | wc -l)
    long apiextensions-build "$packages" extensions_compile
    install_program "$EXTENSIONS/apiextensions-apiserver"
    rm -rf "$EXTENSIONS" "$WORK"/extensions-*.done
}

extensions_source() {
    debian_suite "$EXTENSIONS_SUITE"
    local packages
    # Let apt resolve what the library needs (in a simulation, onto an empty machine) and take the Go parts of the answer:
    # libraries and the compiler's two packages.
    mapfile -t packages < <(apt-get -s install "$EXTENSIONS_LIBRARY" golang-go |
        awk '$1 == "Inst" && $2 ~ /^(golang-.*-dev|golang-[0-9.]+-(go|src))$/ { print $2 }')
    ((${#packages[@]} > 2)) || fail "the suite $EXTENSIONS_SUITE does not offer $EXTENSIONS_LIBRARY"
    # Kubernetes 1.N.P publishes its libraries as 0.N.P.
    apt-cache show --no-all-versions "$EXTENSIONS_LIBRARY" | sed -n 's/^Version: 0\.\([0-9]*\.[0-9]*\).*/1.\1/p' >"$EXTENSIONS/version"
    debian_unpack "$EXTENSIONS/root" "${packages[@]}"
}

extensions_go() (
    GOROOT=$(echo "$EXTENSIONS"/root/usr/lib/go-1.*)
    export GOROOT GOPATH=$EXTENSIONS/root/usr/share/gocode GOCACHE=$EXTENSIONS/gocache
    export GO111MODULE=off GOPROXY=off GOFLAGS=-trimpath GOTOOLCHAIN=local CGO_ENABLED=0
    cd "$GOPATH/src/k8s.io/apiextensions-apiserver"
    "$GOROOT/bin/go" "$@"
)

extensions_compile() {
    local version package=k8s.io/component-base/version
    version=$(cat "$EXTENSIONS/version")
    extensions_go build -v -o "$EXTENSIONS/apiextensions-apiserver" \
        -ldflags "-s -w -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<<"$version")" .
}
