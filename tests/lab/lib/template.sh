# shellcheck shell=bash
# A new cluster is kept, so that the next one of its kind on the same addresses is
# only copied and booted.

template() {
    printf '%s/templates/%s-%s%s' "$LAB_CACHE" "$(lab_index)" "$(lab_hosts | tr '\n' '-')" \
        "$(fingerprint "$LAB_HOME"/{lib,root,image})"
}

template_there() { [[ -d $1/hosts && -d $(cat "$1/base" 2>/dev/null) ]]; }

save() {
    local host to since
    to=$(template)
    say "keeping the new cluster for later"
    stop_all
    rm -rf "$to" "$to.tmp"
    mkdir -p "$to.tmp/hosts"
    for host in $(lab_hosts); do
        mkdir -p "$to.tmp/hosts/$host"
        cp -a --reflink=auto "$(host_dir "$host")/upper" "$to.tmp/hosts/$host/"
    done
    cp -a "$LAB"/{base,id_ed25519,id_ed25519.pub,kubeconfig} "$to.tmp/"
    mv "$to.tmp" "$to"
    echo "$to" >"$LAB/template"
    since=$(now)
    start_all
    await_cluster "$since"
}

# restore TEMPLATE: the lab as that one was.
restore() {
    local since
    remove_hosts
    cp -a --reflink=auto "$1"/. "$LAB/"
    echo "$1" >"$LAB/template"
    since=$(now)
    start_all
    await_cluster "$since"
    write_access
}
