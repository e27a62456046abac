# shellcheck shell=bash
# Messages, the cache folder and its lock, resumable steps, long commands with a sign of life.

export LC_ALL=C

CACHE=${MOEBIUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moebius}/kubernetes
BIN=$CACHE/bin   # finished programs only: a file appears here by a rename, complete
WORK=$CACHE/work # sources and compiler caches, gigabytes; removed after success
LOGS=$CACHE/logs

# What the node and scheduler stages need is built in the same run, because the compiler's cache is gone afterwards.
CORE_PROGRAMS=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)
PROGRAMS=(etcd "${CORE_PROGRAMS[@]}" apiextensions-apiserver kubectl helm)

say() { printf 'kubernetes: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
wrong() { say "$*"; exit 2; }

have() { [[ -x $BIN/$1 ]]; }
have_all() { local p; for p in "$@"; do have "$p" || return 1; done; }
missing() { local p; for p in "${PROGRAMS[@]}"; do have "$p" || printf '%s ' "$p"; done; }
cache_complete() { have_all "${PROGRAMS[@]}"; }

# need COMMAND PACKAGE: a tool of the machine without which the next step cannot run.
need() { command -v "$1" >/dev/null || fail "the command '$1' is needed here; install the package '$2'"; }

# lock: one run at a time per cache. The lock belongs to the open file, so it goes away with the process.
lock() {
    mkdir -p "$CACHE" "$BIN" "$LOGS"
    need flock util-linux
    exec 9>"$CACHE/lock"
    if ! flock -n 9; then
        say "another run is filling $CACHE; waiting for it"
        flock 9
    fi
    # Background commands of a script ignore Ctrl-C, so they are ended by hand.
    # shellcheck disable=SC2046
    trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# install_program FILE: moves it from the work folder into the cache, whole or not at all.
install_program() {
    chmod 0755 "$1"
    mv "$1" "$BIN/" # a rename: both folders are in the cache
}

# step NAME COMMAND...: runs the command unless an earlier run completed it.
step() {
    local name=$1
    shift
    [[ -e $WORK/$name.done ]] && return
    mkdir -p "$WORK"
    "$@"
    touch "$WORK/$name.done"
}

# long NAME TOTAL COMMAND...: output goes to a log; every 15 s one line says how far it is. TOTAL is the expected number
# of log lines (0: unknown).
long() {
    local name=$1 total=$2 start=$SECONDS shown=0 log=$LOGS/$1.log pid lines
    shift 2
    mkdir -p "$LOGS"
    say "$name: started, log in $log"
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.5
        if ((SECONDS - start >= shown + 15)); then
            shown=$((SECONDS - start))
            lines=$(wc -l <"$log")
            if ((total > 0)); then
                say "$name: ${shown}s, about $((lines < total ? lines * 100 / total : 99))% ($lines of $total)"
            else
                say "$name: ${shown}s"
            fi
        fi
    done
    if ! wait "$pid"; then
        tail -n 20 "$log" >&2
        fail "$name failed after $((SECONDS - start))s; the whole output is in $log"
    fi
    say "$name: done in $((SECONDS - start))s"
}
