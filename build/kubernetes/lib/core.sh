# shellcheck shell=bash
# Kubernetes 1.20.2 from Debian's source package: the newest API server whose complete source Debian carries. It is built
# with the Go compiler of the same suite in GOPATH mode, because every dependency is vendored in the tarball.

CORE_GO=1.19
CORE_VERSION=1.20.2

build_core() {
    have_all "${CORE_PROGRAMS[@]}" && return
    CORE=$WORK/core
    CORE_SOURCE=$CORE/gopath/src/k8s.io/kubernetes
    mkdir -p "$CORE"
    step core-tools core_tools
    step core-source core_source
    long kubernetes-openapi 0 core_openapi
    local packages
    packages=$(core_packages)
    long kubernetes-build "$packages" core_compile
    local program
    for program in "${CORE_PROGRAMS[@]}"; do install_program "$CORE/bin/$program"; done
    rm -rf "$CORE" "$WORK"/core-*.done
}

core_tools() {
    debian_suite "$SERVER_SUITE"
    debian_unpack "$CORE/root" "golang-$CORE_GO-go" "golang-$CORE_GO-src" golang-github-modern-go-reflect2-dev
}

core_source() {
    local download=$CORE/download
    debian_suite "$SERVER_SUITE"
    rm -rf "$download" "$CORE_SOURCE" && mkdir -p "$download" "$CORE_SOURCE"
    say "downloading the source package of Kubernetes"
    (cd "$download" && apt-get -q source --download-only kubernetes) >"$LOGS/download.log" 2>&1 ||
        fail "apt-get source kubernetes failed; see $LOGS/download.log"
    tar xzf "$download"/kubernetes_*.orig.tar.gz -C "$CORE_SOURCE" --strip-components=1
    rm -rf "$download"
    # The vendored reflect2 1.0.1 walks maps with the runtime's layout of Go before 1.18 and crashes the server on the first
    # custom resource; 1.0.2 does not.
    local reflect2=$CORE_SOURCE/vendor/github.com/modern-go/reflect2
    rm -rf "$reflect2"
    cp -r "$CORE/root/usr/share/gocode/src/github.com/modern-go/reflect2" "$reflect2"
    rm -f "$reflect2"/*_test.go
}

core_go() (
    cd "$CORE_SOURCE"
    export GOROOT=$CORE/root/usr/lib/go-$CORE_GO GOPATH=$CORE/gopath GOCACHE=$CORE/gocache
    export GO111MODULE=off GOPROXY=off GOFLAGS=-trimpath CGO_ENABLED=0
    "$GOROOT/bin/go" "$@"
)

# The OpenAPI definitions are generated code that the tarball does not hold: generate them from the packages that carry the
# marker, as the project's own makefile does.
core_openapi() {
    local folders
    core_go build -o "$CORE/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
    folders=$(cd "$CORE_SOURCE" && {
        grep -rl --include='*.go' '+k8s:openapi-gen=' pkg cmd plugin
        find -L vendor/k8s.io -name '*.go' -exec grep -l '+k8s:openapi-gen=' {} +
    } | grep -vE 'vendor/k8s.io/(code-generator|sample-apiserver|gengo|kube-openapi)/|/testdata/' |
        xargs -n1 dirname | sort -u | sed 's#^#k8s.io/kubernetes/#' | paste -sd,)
    (
        cd "$CORE_SOURCE"
        export GOROOT=$CORE/root/usr/lib/go-$CORE_GO GOPATH=$CORE/gopath GO111MODULE=off
        export PATH=$GOROOT/bin:$PATH # the generator calls the compiler to find packages
        "$CORE/openapi-gen" -i "$folders" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
            -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$CORE/openapi-violations.txt"
    )
}

core_commands() { printf './cmd/%s\n' "${CORE_PROGRAMS[@]}"; }

core_packages() { # shellcheck disable=SC2046
    core_go list -deps $(core_commands) | wc -l
}

core_compile() {
    local package flags='-s -w'
    for package in component-base/version client-go/pkg/version; do
        package=k8s.io/kubernetes/vendor/k8s.io/$package
        flags+=" -X $package.gitVersion=v$CORE_VERSION -X $package.gitMajor=1 -X $package.gitMinor=20"
        flags+=" -X $package.gitTreeState=archive -X $package.buildDate=2021-01-13T00:00:00Z"
    done
    # shellcheck disable=SC2046
    core_go build -v -ldflags "$flags" -o "$CORE/bin/" $(core_commands)
}
