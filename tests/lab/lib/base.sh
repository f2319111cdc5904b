# shellcheck shell=bash
# The root file system that all hosts have below their own changes.

BASE_PACKAGES=systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,procps,ca-certificates,containerd,containernetworking-plugins,iptables,conntrack,ethtool,socat,kmod,iputils-ping

# Where the root made by these scripts is. A lab stays on the one it was made with.
current_base() {
    printf '%s/base-%s' "$LAB_CACHE" "$(fingerprint "$LAB_HOME"/{root,image} \
        "$LAB_HOME"/lib/{common,base,images,repository}.sh)"
}
lab_base() { cat "$LAB/base"; }
debian_root() { printf '%s/debian-%s' "$LAB_CACHE" "$(sha256sum <<<"$BASE_PACKAGES" | cut -c1-12)"; }

ensure_base() {
    local base
    base=$(current_base)
    [[ -e $base/.complete ]] && return
    require_space 6
    ensure_kubernetes
    ensure_repository
    ensure_images
    ensure_debian
    say "making the hosts' common root"
    remove_unused
    rm -rf "$base"
    cp -a "$(debian_root)" "$base"
    configure_base "$base"
    preload_images "$base"
    touch "$base/.complete"
}

# Roots of older scripts, unless a lab stands on one, and the templates that go with them.
remove_unused() {
    local folder
    for folder in "$LAB_CACHE"/base-*; do
        [[ -d $folder ]] || continue
        grep -qF "lowerdir=$folder," /proc/mounts && continue
        grep -qsxF "$folder" "$LAB_CACHE"/labs/*/base && continue
        rm -rf "$folder"
    done
    for folder in "$LAB_CACHE"/templates/*; do
        grep -qsxF "$folder" "$LAB_CACHE"/labs/*/template && continue
        [[ -d $(cat "$folder/base" 2>/dev/null) ]] || rm -rf "$folder"
    done
}

require_space() {
    local free
    mkdir -p "$LAB_CACHE"
    free=$(df -BG --output=avail "$LAB_CACHE" | tail -n 1 | tr -dc 0-9)
    ((free >= $1)) || die "$LAB_CACHE has $free GB free; the lab needs $1 GB (KUP_LAB_DIR names another folder)"
}

# The mirror is the one that this machine's own apt uses.
ensure_debian() {
    local mirror root
    root=$(debian_root)
    [[ -d $root ]] && return
    # shellcheck disable=SC2016 # apt's own variables
    mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "bookworm" { print $2; exit }')
    [[ $mirror ]] || die "apt on this machine has no source for Debian bookworm (run apt-get update)"
    say "debootstrap (a minute or two, once on a machine)"
    rm -rf "$LAB_CACHE"/debian*
    quietly debootstrap --variant=minbase --include="$BASE_PACKAGES" bookworm "$root.tmp" "$mirror"
    rm -rf "$root.tmp/var/cache/apt/archives"/*.deb
    mv "$root.tmp" "$root"
}

configure_base() {
    local base=$1 user unit
    install -D -m 644 "$LAB_HOME/root/containerd/config.toml" "$base/etc/containerd/config.toml"
    install -m 755 "$LAB_HOME/root/bin/crictl" "$base/usr/local/bin/crictl"
    echo 'deb [trusted=yes] file:/srv/repository ./' >"$base/etc/apt/sources.list"
    # Copied, not mounted: a host is a whole that can be stopped and kept.
    cp -r "$LAB_CACHE/repository" "$base/srv/repository"
    quietly chroot "$base" apt-get update
    quietly chroot "$base" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y "${PACKAGES[@]/%/=$OLD_VERSION-00}"
    quietly chroot "$base" apt-mark hold "${PACKAGES[@]}"
    for user in ops opspw nosudo; do
        chroot "$base" useradd -m -s /bin/bash "$user"
    done
    echo opspw:labpass | chroot "$base" chpasswd
    printf '%s\n' 'ops ALL=(ALL) NOPASSWD: ALL' 'opspw ALL=(ALL) ALL' >"$base/etc/sudoers.d/lab"
    chmod 440 "$base/etc/sudoers.d/lab"
    rm -f "$base"/etc/ssh/ssh_host_* "$base/etc/machine-id"
    touch "$base/etc/machine-id"
    # Nothing configures the network from within, and no console is wanted.
    for unit in systemd-networkd systemd-resolved systemd-timesyncd console-getty getty@tty1 \
        apt-daily.timer apt-daily-upgrade.timer systemd-udevd e2scrub_reap; do
        ln -sf /dev/null "$base/etc/systemd/system/${unit%.timer}.$([[ $unit == *.timer ]] && echo timer || echo service)"
    done
    chroot "$base" systemctl enable ssh containerd kubelet >/dev/null 2>&1
    printf '%s\n' '[Journal]' 'Storage=volatile' >"$base/etc/systemd/journald.conf"
}

# containerd of this machine fills the base's image store, so that hosts share it.
preload_images() {
    local base=$1 run pid archive
    run=$(mktemp -d)
    cat >"$run/config.toml" <<CONFIG
version = 2
root = "$base/var/lib/containerd"
state = "$run/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "$run/containerd.sock"
CONFIG
    setsid containerd --config "$run/config.toml" >"$run/log" 2>&1 &
    pid=$!
    wait_for 30 "containerd" ctr -a "$run/containerd.sock" version || { cat "$run/log" >&2; die "no containerd"; }
    for archive in "$LAB_CACHE"/images/*.tar; do
        quietly ctr -a "$run/containerd.sock" -n k8s.io images import --snapshotter native "$archive"
    done
    kill "$pid"
    wait "$pid" 2>/dev/null || true
    rm -rf "$run"
}
