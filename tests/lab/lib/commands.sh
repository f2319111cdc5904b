# The commands of the lab.

usage() {
    cat <<'USAGE'
usage: lab COMMAND [--name NAME] …

  up [--control-planes N] [--workers N]   raise the cluster (1 and 2 unless said)
  down               stop the hosts and remove them
  reset              back to the cluster as it was when it was new
  build              make all that `up` needs, and stop
  status             hosts, and the nodes of the cluster
  list               the labs there are
  ssh HOST [CMD…]    a shell or a command on a host, as root
  cut HOST, heal HOST    take a host off the network, and back
  kill HOST, start HOST  take a host's power away, and back
  stop HOST          shut a host down
  kubectl ARGS…      kubectl on cp1
  path WHAT          inventory, kubeconfig, known_hosts, key: where the file is

Everything is kept in $KUP_LAB_DIR (/var/cache/kup-lab unless set).
USAGE
}

main() {
    local command=${1:-} name=lab cps=1 ws=2 words=()
    (($#)) && shift
    while (($#)); do
        case $1 in
        --name) name=${2:?}; shift 2 ;;
        --control-planes) cps=${2:?}; shift 2 ;;
        --workers) ws=${2:?}; shift 2 ;;
        *) words+=("$@"); break ;;
        esac
    done
    [[ $name =~ ^[a-z][a-z0-9-]{0,15}$ ]] || die "'$name' is no name for a lab: letters, digits and dashes"
    [[ $cps =~ ^[1-9]$ && $ws =~ ^[0-9]$ ]] || die "from 1 to 9 control planes and up to 9 workers"
    LAB=$LAB_CACHE/labs/$name
    case $command in
    '' | help | -h | --help) usage ;;
    list) list_labs ;;
    build) as_root; prepare ;;
    up) as_root; prepare; up "$cps" "$ws" ;;
    *)
        as_root
        [[ -e $LAB/hosts.list ]] || die "there is no lab '$name'; lab up --name $name raises it"
        on_lab "$command" "${words[@]}"
        ;;
    esac
}

on_lab() {
    local command=$1 host=${2:-}
    shift
    case $command in
    down) down ;;
    reset) reset ;;
    status) status ;;
    path) path "$host" ;;
    kubectl) host_ssh cp1 kubectl --kubeconfig /etc/kubernetes/admin.conf "$@" ;;
    ssh | cut | heal | kill | start | stop)
        lab_hosts | grep -qx -- "$host" || die "this lab has no host '$host'; it has $(lab_hosts | xargs)"
        shift
        case $command in
        ssh) host_ssh "$host" "$@" ;;
        cut) ip link set "$(host_link "$host")" down ;;
        heal) ip link set "$(host_link "$host")" up ;;
        kill) host_stop "$host" SIGKILL ;;
        stop) host_stop "$host" ;;
        start) host_start "$host" ;;
        esac
        ;;
    *) usage >&2; die "there is no command '$command'" ;;
    esac
}

as_root() { ((EUID == 0)) || die "this needs root (namespaces, mounts, bridges)"; }

prepare() {
    mkdir -p "$LAB_CACHE/labs"
    exec 9>"$LAB_CACHE/build.lock"
    flock 9
    ensure_packages "${LAB_PACKAGES[@]}"
    ensure_base
    exec 9>&-
}

up() {
    local hosts
    hosts=$(
        for ((n = 1; n <= $1; n++)); do echo "cp$n"; done
        for ((n = 1; n <= $2; n++)); do echo "w$n"; done
    )
    if [[ -e $LAB/hosts.list && $(lab_hosts) != "$hosts" ]]; then
        die "this lab has other hosts ($(lab_hosts | xargs)); lab down removes them"
    fi
    mkdir -p "$LAB/hosts"
    claim_index
    echo "$hosts" >"$LAB/hosts.list"
    if [[ -e $LAB/ready ]]; then
        start_all
        wait_for 120 "all nodes to be Ready" nodes_ready || die "the nodes are not Ready"
        return
    fi
    if [[ -d $(template)/hosts ]]; then
        restore
    else
        create
    fi
    touch "$LAB/ready"
    say "ready: $LAB/inventory.yml"
}

create() {
    rm -rf "$LAB/hosts"
    [[ -e $LAB/id_ed25519 ]] || ssh-keygen -q -t ed25519 -N '' -C lab -f "$LAB/id_ed25519"
    bridge_up
    local host
    for host in $(lab_hosts); do
        mkdir -p "$(host_dir "$host")"
    done
    start_all
    cluster_init
    write_access
    save
}

start_all() {
    local host dir
    bridge_up
    for host in $(lab_hosts); do
        dir=$(host_dir "$host")
        mkdir -p "$dir"/{upper,work,root}
        host_leader "$host" >/dev/null && continue
        mountpoint -q "$dir/root" ||
            mount -t overlay overlay -o "lowerdir=$(base_root),upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
        host_configure "$host" "$dir/root"
    done
    write_known_hosts
    for host in $(lab_hosts); do host_start "$host"; done
    proxy_start
}

# A new cluster is kept, so that the next one of its kind on the same addresses is
# only copied and booted.
template() {
    printf '%s/templates/%s-%s-%s' "$LAB_CACHE" "$(cat "$LAB/index")" "$(lab_hosts | tr '\n' '-')" \
        "$(fingerprint "$LAB_HOME/lib" "$LAB_HOME/root" "$LAB_HOME/image")"
}

save() {
    local host to
    to=$(template)
    say "keeping the new cluster for later"
    stop_all
    rm -rf "$to" "$to.tmp"
    mkdir -p "$to.tmp/hosts"
    for host in $(lab_hosts); do
        mkdir -p "$to.tmp/hosts/$host"
        cp -a --reflink=auto "$(host_dir "$host")/upper" "$to.tmp/hosts/$host/"
    done
    cp -a "$LAB"/{id_ed25519,id_ed25519.pub,kubeconfig} "$to.tmp/"
    mv "$to.tmp" "$to"
    start_all
    wait_for 120 "all nodes to be Ready" nodes_ready || die "the nodes are not Ready after a restart"
}

restore() {
    local from
    from=$(template)
    rm -rf "$LAB/hosts"
    cp -a --reflink=auto "$from"/. "$LAB/"
    start_all
    wait_for 120 "all nodes to be Ready" nodes_ready || die "the nodes are not Ready"
    write_access
}

stop_all() {
    local host
    for host in $(lab_hosts); do host_stop "$host" & done
    wait
    proxy_stop
}

kill_all() {
    local host
    for host in $(lab_hosts); do host_stop "$host" SIGKILL; done
    proxy_stop
}

down() {
    kill_all
    bridge_down
    rm -rf "$LAB"
}

reset() {
    kill_all
    [[ -d $(template)/hosts ]] || die "nothing was kept of this cluster; lab down, then lab up"
    restore
}

status() {
    local host
    for host in $(lab_hosts); do
        if host_leader "$host" >/dev/null; then
            echo "$host $(host_address "$host") running"
        else
            echo "$host $(host_address "$host") stopped"
        fi
    done
    host_ssh cp1 kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes -o wide || true
}

list_labs() {
    local folder
    for folder in "$LAB_CACHE"/labs/*/; do
        [[ -e $folder/hosts.list ]] && echo "$(basename "$folder"): $(xargs <"$folder/hosts.list")"
    done
    return 0
}

path() {
    case $1 in
    inventory) echo "$LAB/inventory.yml" ;;
    kubeconfig | known_hosts) echo "$LAB/$1" ;;
    key) echo "$LAB/id_ed25519" ;;
    *) die "path of what? inventory, kubeconfig, known_hosts or key" ;;
    esac
}
