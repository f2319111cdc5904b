# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the other parts
# What every part of the lab uses. Sourced by ../lab.

# Both versions of Kubernetes: where the lab starts, and what it is upgraded to.
OLD_VERSION=1.20.2
NEW_VERSION=1.21.2
PACKAGES=(kubeadm kubelet kubectl)
COMPONENTS=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy)

LAB_CACHE=${KUP_LAB_DIR:-/var/cache/kup-lab}

say() { printf '%s\n' "lab: $*" >&2; }
die() { say "$*"; exit 1; }

# Runs a command quietly; its output is shown when it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        rm -f "$log"
        die "failed: $*"
    fi
    rm -f "$log"
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds, or the time is over.
wait_for() {
    local seconds=$1 what=$2 end
    shift 2
    end=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { say "waited $seconds s for $what"; return 1; }
        sleep 0.5
    done
}

# What a tree of files holds, as one word: cached things are named by it.
fingerprint() { find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12; }
