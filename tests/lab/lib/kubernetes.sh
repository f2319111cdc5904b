# shellcheck shell=bash
# Kubernetes built from Debian's source package, in both versions.

kubernetes_binaries() { printf '%s\n' "$LAB_CACHE/kubernetes/v$1"; }

ensure_kubernetes() {
    local version missing=()
    for version in "$OLD_VERSION" "$NEW_VERSION"; do
        [[ -x $(kubernetes_binaries "$version")/kubelet ]] || missing+=("$version")
    done
    ((${#missing[@]})) || return 0
    say "building Kubernetes ${missing[*]} (some minutes, once on a machine)"
    ensure_packages golang-go golang-github-modern-go-reflect2-dev \
        golang-github-json-iterator-go-dev dpkg-dev rsync make
    fetch_kubernetes
    for version in "${missing[@]}"; do
        quietly build_kubernetes "$version"
    done
    rm -rf "$LAB_CACHE/source"
}

# The source package, through a private copy of the machine's own apt sources with deb-src.
fetch_kubernetes() {
    local work=$LAB_CACHE/source apt
    rm -rf "$work"
    mkdir -p "$work/parts" "$work/lists"
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk '$2 == "bookworm" { print "deb-src [trusted=yes]", $1, $2, $3 }' | sort -u >"$work/parts/src.list"
    apt=(apt-get -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/parts"
        -o "Dir::State::Lists=$work/lists" -o APT::Sandbox::User=root)
    quietly "${apt[@]}" update
    (cd "$work" && quietly "${apt[@]}" source --only-source kubernetes)
    mv "$work"/kubernetes-*/ "$work/kubernetes"
    # The vendored ones do not run with this Go; Debian's are newer.
    local library
    for library in modern-go/reflect2 json-iterator/go; do
        rm -rf "$work/kubernetes/vendor/github.com/$library"
        cp -r "/usr/share/gocode/src/github.com/$library" "$work/kubernetes/vendor/github.com/$library"
    done
}

build_kubernetes() {
    local version=$1 source=$LAB_CACHE/source/kubernetes out
    out=$(kubernetes_binaries "$version")
    cat >"$LAB_CACHE/source/version" <<VERSION
KUBE_GIT_COMMIT='0000000000000000000000000000000000000000'
KUBE_GIT_TREE_STATE='clean'
KUBE_GIT_VERSION='v$version'
KUBE_GIT_MAJOR='1'
KUBE_GIT_MINOR='$(cut -d. -f2 <<<"$version")'
VERSION
    (cd "$source" && GO111MODULE=off CGO_ENABLED=0 KUBE_BUILD_PLATFORMS=linux/amd64 \
        KUBE_GIT_VERSION_FILE=$LAB_CACHE/source/version \
        make WHAT="$(printf 'cmd/%s ' "${PACKAGES[@]}" "${COMPONENTS[@]}")")
    mkdir -p "$out.tmp"
    local name
    for name in "${PACKAGES[@]}" "${COMPONENTS[@]}"; do
        cp "$source/_output/local/bin/linux/amd64/$name" "$out.tmp/"
    done
    mv "$out.tmp" "$out"
}
