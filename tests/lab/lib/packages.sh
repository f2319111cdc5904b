# shellcheck shell=bash
# Debian packages that the lab needs on this machine.

# shellcheck disable=SC2034 # used by commands.sh
LAB_PACKAGES=(debootstrap systemd-container haproxy containerd etcd-server etcd-client apt-utils
    busybox-static iproute2 openssh-client iptables
    gcc libc6-dev procps conntrack)

ensure_packages() {
    local package missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    quietly apt-get update
    # Services of these packages are started by the lab itself, or not at all.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 quietly \
        apt-get install -y --no-install-recommends "${missing[@]}"
}
