# shellcheck shell=bash
# The commands of the lab.

usage() {
    cat <<'USAGE'
usage: lab COMMAND [--name NAME] …

  up [--control-planes N] [--workers N] [--no-etcdctl]
                     raise the cluster (1 and 2 unless said); without etcdctl on
                     its control planes if so said
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
    local command=${1:-} name=lab cps=1 ws=2 etcdctl=yes words=()
    (($#)) && shift
    while (($#)); do
        case $1 in
        --name | --control-planes | --workers)
            (($# > 1)) || die "$1 wants a value"
            case $1 in
            --name) name=$2 ;;
            --control-planes) cps=$2 ;;
            --workers) ws=$2 ;;
            esac
            shift 2
            ;;
        --no-etcdctl) etcdctl=no; shift ;;
        *) words+=("$@"); break ;;
        esac
    done
    case $command in
    up | build | list | down | reset | status)
        ((${#words[@]} == 0)) || die "'$command' does not take '${words[0]}'; lab help says what it takes"
        ;;
    ssh | cut | heal | kill | start | stop)
        ((${#words[@]})) || die "'$command' wants a host"
        ;;
    '' | help | -h | --help | kubectl | path) ;;
    *) die "there is no command '$command'; lab help says what there is" ;;
    esac
    [[ $name =~ ^[a-z][a-z0-9-]{0,15}$ ]] || die "'$name' is no name for a lab: letters, digits and dashes"
    [[ $cps =~ ^[1-9]$ && $ws =~ ^[0-9]$ ]] || die "from 1 to 9 control planes and up to 9 workers"
    LAB=$LAB_CACHE/labs/$name
    case $command in
    '' | help | -h | --help) usage ;;
    list) list_labs ;;
    build) as_root; prepare ;;
    up) as_root; prepare; alone; up "$cps" "$ws" "$etcdctl" ;;
    *)
        as_root
        if [[ ! -e $LAB/hosts.list ]]; then
            [[ $command == down ]] && return
            die "there is no lab '$name'; lab up --name $name raises it"
        fi
        on_lab "$command" "${words[@]}"
        ;;
    esac
}

on_lab() {
    local command=$1 host=${2:-}
    shift
    case $command in
    down) alone; down ;;
    reset) alone; reset ;;
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
    esac
}

as_root() { ((EUID == 0)) || die "this needs root (namespaces, mounts, bridges)"; }

prepare() {
    mkdir -p "$LAB_CACHE/labs"
    exec 9>"$LAB_CACHE/build.lock"
    flock 9
    ensure_packages "${LAB_PACKAGES[@]}"
    raise_limits
    ensure_base
    exec 9>&-
}

# Every host's systemd, kubelet and containerd watch files: a machine's usual limit of
# 128 watchers is gone after a few hosts, and the next one does not boot.
raise_limits() {
    local limit
    for limit in max_user_instances=8192 max_user_watches=524288; do
        local file=/proc/sys/fs/inotify/${limit%%=*}
        (($(cat "$file") >= ${limit#*=})) || echo "${limit#*=}" >"$file"
    done
}

# One command at a time raises or removes a lab.
alone() {
    mkdir -p "$LAB_CACHE/labs"
    exec 7>"$LAB.lock"
    flock -n 7 || { say "waiting for another command on this lab"; flock -w 900 7; } ||
        die "waited 15 minutes for $LAB.lock"
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
    require_space 3
    mkdir -p "$LAB/hosts"
    claim_index
    echo "$hosts" >"$LAB/hosts.list"
    echo "$3" >"$LAB/etcdctl"
    if [[ -e $LAB/ready ]]; then
        start_all
        await_cluster
        return
    fi
    if template_there "$(template)"; then
        restore "$(template)"
    else
        create
    fi
    touch "$LAB/ready"
    say "ready: $LAB/inventory.yml"
}

create() {
    remove_hosts
    current_base >"$LAB/base"
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
        host_mount "$host"
        host_configure "$host" "$dir/root"
    done
    write_known_hosts
    proxy_start
    for host in $(lab_hosts); do host_start "$host"; done
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

# What an earlier command left, running or not.
remove_hosts() {
    kill_all
    rm -rf --one-file-system "$LAB/hosts"
}

down() {
    if [[ -e $LAB/index ]]; then
        kill_all
        bridge_down
        release_index
    fi
    rm -rf --one-file-system "$LAB"
}

reset() {
    local from
    from=$(cat "$LAB/template" 2>/dev/null || true)
    template_there "$from" || die "nothing was kept of this cluster; lab down, then lab up"
    restore "$from"
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
