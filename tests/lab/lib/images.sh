# shellcheck shell=bash
# Container images as docker-archive tars of one layer each; there is no registry.

APP_IMAGE=docker.io/library/app:1
PROXY_TOOLS=(/usr/sbin/{iptables,ip6tables}{,-save,-restore} /usr/sbin/conntrack)

# image NAME TREE: the archive of an image whose root is TREE.
image() {
    local name=$1 tree=$2 work layer entrypoint=''
    [[ -e $tree/pause ]] && entrypoint='"Entrypoint":["/pause"],'
    work=$(mktemp -d)
    tar -C "$tree" --owner=0 --group=0 --mtime=@0 --sort=name -cf "$work/layer.tar" .
    layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
    printf '{"architecture":"amd64","os":"linux","config":{%s"Env":["PATH=/usr/local/bin:/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$entrypoint" "$layer" >"$work/config.json"
    printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" >"$work/manifest.json"
    tar -C "$work" -cf "$LAB_CACHE/images.tmp/$(tr -c 'a-zA-Z0-9.\n' - <<<"$name").tar" \
        manifest.json config.json layer.tar
    rm -rf "$work"
}

# copy_libraries TREE FILE: what the dynamic linker loads for it.
copy_libraries() {
    local library
    while read -r library; do
        [[ -e $1$library ]] || install -D "$library" "$1$library"
    done < <(ldd "$2" 2>/dev/null | grep -oE '/[^ ]+')
}

# image_of NAME PROGRAM...: programs at /usr/local/bin, with the libraries that they load.
image_of() {
    local name=$1 tree program library
    shift
    tree=$(mktemp -d)
    chmod 755 "$tree"
    mkdir -p "$tree/tmp" "$tree/bin"
    for program in "$@"; do
        install -D "$program" "$tree/usr/local/bin/$(basename "$program")"
        copy_libraries "$tree" "$program"
    done
    if [[ -e $tree/usr/local/bin/iptables ]]; then
        # Its matches and targets are loaded at run time.
        while read -r library; do
            install -D "$library" "$tree$library"
            copy_libraries "$tree" "$library"
        done < <(dpkg -L libxtables12 iptables | grep '/xtables/.*\.so$')
    fi
    if [[ -x $tree/usr/local/bin/busybox ]]; then
        local applet
        for applet in sh httpd sleep wget cat ls; do ln -s /usr/local/bin/busybox "$tree/bin/$applet"; done
        mkdir -p "$tree/www" && echo ok >"$tree/www/index.html"
    fi
    image "$name" "$tree"
    rm -rf "$tree"
}

ensure_images() {
    local made
    made=$(fingerprint "$LAB_HOME/image" "$LAB_HOME"/lib/{common,images}.sh)
    [[ $(cat "$LAB_CACHE/images/.made" 2>/dev/null) == "$made" ]] && return
    say "making the container images"
    rm -rf "$LAB_CACHE/images.tmp"
    mkdir -p "$LAB_CACHE/images.tmp"
    local version component binaries programs
    for version in "$OLD_VERSION" "$NEW_VERSION"; do
        binaries=$(kubernetes_binaries "$version")
        for component in "${COMPONENTS[@]}"; do
            case $component in
            kube-proxy) programs=("${PROXY_TOOLS[@]}") ;;
            *) programs=() ;;
            esac
            image_of "k8s.gcr.io/$component:v$version" "$binaries/$component" "${programs[@]}"
        done
    done
    image_of k8s.gcr.io/etcd:3.4.13-0 "$(command -v etcd)" "$(command -v etcdctl)" "$(command -v busybox)"
    cc -Os -static -o "$LAB_CACHE/images.tmp/pause" "$LAB_HOME/image/pause.c"
    mkdir -p "$LAB_CACHE/images.tmp/root"
    cp "$LAB_CACHE/images.tmp/pause" "$LAB_CACHE/images.tmp/root/pause"
    # kubeadm pulls the images of cluster DNS before an upgrade; the lab never runs them.
    local name
    for name in pause:3.2 pause:3.4.1 coredns:1.7.0 coredns/coredns:v1.8.0 \
        k8s-dns-{kube-dns,sidecar,dnsmasq-nanny}:1.14.13; do
        image "k8s.gcr.io/$name" "$LAB_CACHE/images.tmp/root"
    done
    rm -rf "$LAB_CACHE/images.tmp/pause" "$LAB_CACHE/images.tmp/root"
    image_of "$APP_IMAGE" "$(command -v busybox)"
    echo "$made" >"$LAB_CACHE/images.tmp/.made"
    rm -rf "$LAB_CACHE/images"
    mv "$LAB_CACHE/images.tmp" "$LAB_CACHE/images"
}
