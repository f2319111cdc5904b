# shellcheck shell=bash
# The local apt repository: kubeadm, kubelet and kubectl of both versions as real packages.

ensure_repository() {
    local repository=$LAB_CACHE/repository version package
    local made
    made=$(fingerprint "$LAB_HOME/root/kubelet" "$LAB_HOME"/lib/{common,repository}.sh)
    [[ $(cat "$repository/.made" 2>/dev/null) == "$made" ]] && return
    say "packing the .deb files"
    rm -rf "$repository" "$repository.tmp"
    mkdir -p "$repository.tmp"
    for version in "$OLD_VERSION" "$NEW_VERSION"; do
        for package in "${PACKAGES[@]}"; do
            pack "$package" "$version" "$repository.tmp"
        done
    done
    (cd "$repository.tmp" && apt-ftparchive packages . >Packages && gzip -k Packages)
    echo "$made" >"$repository.tmp/.made"
    mv "$repository.tmp" "$repository"
}

pack() {
    local package=$1 version=$2 repository=$3 tree
    tree=$(mktemp -d)
    install -D "$(kubernetes_binaries "$version")/$package" "$tree/usr/bin/$package"
    mkdir -p "$tree/DEBIAN"
    cat >"$tree/DEBIAN/control" <<CONTROL
Package: $package
Version: $version-00
Architecture: amd64
Maintainer: lab <root@localhost>
Section: admin
Priority: optional
Description: $package of Kubernetes $version
CONTROL
    if [[ $package == kubelet ]]; then
        install -D -m 644 "$LAB_HOME/root/kubelet/kubelet.service" "$tree/lib/systemd/system/kubelet.service"
        install -D -m 644 "$LAB_HOME/root/kubelet/10-kubeadm.conf" \
            "$tree/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
        echo /etc/systemd/system/kubelet.service.d/10-kubeadm.conf >"$tree/DEBIAN/conffiles"
    fi
    quietly dpkg-deb --root-owner-group -Znone -b "$tree" "$repository/${package}_$version-00_amd64.deb"
    rm -rf "$tree"
}
