# shellcheck shell=bash
# One host: a systemd-nspawn machine on an overlay of the common root.

host_dir() { printf '%s/hosts/%s' "$LAB" "$1"; }
lab_hosts() { cat "$LAB/hosts.list"; }

# The pid of a host's init, if it runs. The start time tells it from a stranger with the same pid.
host_leader() {
    local file pid start
    file=$(host_dir "$1")/leader
    [[ -e $file ]] || return 1
    read -r pid start <"$file"
    [[ $(start_time "$pid") == "$start" ]] || return 1
    echo "$pid"
}

# The pid of its systemd-nspawn, which outlives the init by a moment.
host_nspawn() {
    local pid start
    [[ -e $(host_dir "$1")/nspawn ]] || return 1
    read -r pid start <"$(host_dir "$1")/nspawn"
    [[ $start && $(start_time "$pid") == "$start" ]] || return 1
    echo "$pid"
}

# nspawn names its end of the cable by it: one name on this machine for each host.
machine() { printf '%s-%s' "$(lab_bridge)" "$1"; }

start_time() { cut -d' ' -f22 "/proc/$1/stat" 2>/dev/null; }

host_mount() {
    local dir
    dir=$(host_dir "$1")
    mkdir -p "$dir"/{upper,work,root}
    mountpoint -q "$dir/root" ||
        mount -t overlay overlay -o "lowerdir=$(lab_base),upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
}

host_start() {
    local host=$1 dir before
    host_leader "$host" >/dev/null && return
    dir=$(host_dir "$host")
    if before=$(host_nspawn "$host"); then
        wait_for 30 "the machine of $host to end" not_running "$before" || kill -KILL "$before"
    fi
    host_mount "$host"
    host_configure "$host" "$dir/root"
    # What a start that was broken off has left.
    ip link del "$(host_link "$host")" 2>/dev/null || true
    ip link del "ve-$(machine "$host")" 2>/dev/null || true
    (
        own_cgroup "$host"
        SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes exec setsid systemd-nspawn --quiet --boot --register=no \
            --keep-unit --directory="$dir/root" --machine="$(machine "$host")" --hostname="$host" --network-veth \
            --capability=all --system-call-filter='@known @keyring bpf' --bind=/dev/kmsg \
            --link-journal=no --resolv-conf=off --timezone=off \
            </dev/null >"$dir/console.log" 2>&1 7>&- 8>&- 9>&-
    ) &
    local nspawn=$!
    echo "$nspawn $(start_time "$nspawn")" >"$dir/nspawn"
    disown "$nspawn"
    wait_for 30 "$host to start" find_leader "$host" "$nspawn" ||
        { tail -n 20 "$dir/console.log" >&2; die "$host does not start"; }
    host_connect "$host"
    host_mount_cgroups "$host"
    wait_for 60 "ssh on $host" host_ssh "$host" true || { tail -n 20 "$dir/console.log" >&2; die "no ssh on $host"; }
}

# The init of the machine is the child of nspawn that is pid 1 of its own.
find_leader() {
    local host=$1 nspawn=$2 pid
    for pid in $(pgrep -P "$nspawn"); do
        if [[ $(awk '/^NSpid:/ { print $NF }' "/proc/$pid/status") == 1 ]]; then
            echo "$pid $(start_time "$pid")" >"$(host_dir "$host")/leader"
            return 0
        fi
    done
    return 1
}

# On cgroup v1 hosts must not share a cgroup: the kubelets would see each other's pods.
own_cgroup() {
    local controller name
    [[ -e /sys/fs/cgroup/cgroup.controllers ]] && return
    for controller in /sys/fs/cgroup/*/; do
        [[ -e $controller/cgroup.procs ]] || continue
        name=$controller/kup-lab-$(lab_index)-$1
        mkdir -p "$name"
        if [[ -e $name/cpuset.cpus ]]; then
            cat "$controller/cpuset.cpus" >"$name/cpuset.cpus"
            cat "$controller/cpuset.mems" >"$name/cpuset.mems"
        fi
        echo "$BASHPID" >"$name/cgroup.procs"
    done
}

host_mount_cgroups() {
    local leader
    [[ -e /sys/fs/cgroup/cgroup.controllers ]] && return
    leader=$(host_leader "$1")
    # shellcheck disable=SC2016 # for the shell within
    nsenter -t "$leader" -m -p sh -c 'for c in /sys/fs/cgroup/*/; do mount -o remount,rw,bind "$c" 2>/dev/null; done' || true
}

# What tells one host from another, put into its root before it starts.
host_configure() {
    local host=$1 root=$2 other
    echo "$host" >"$root/etc/hostname"
    {
        echo "127.0.0.1 localhost"
        for other in $(lab_hosts); do echo "$(host_address "$other") $other"; done
    } >"$root/etc/hosts"
    [[ -e $root/etc/ssh/ssh_host_ed25519_key ]] ||
        ssh-keygen -q -t ed25519 -N '' -C "$host" -f "$root/etc/ssh/ssh_host_ed25519_key"
    if [[ $host == cp* && $(cat "$LAB/etcdctl") == yes ]]; then
        install -m 755 "$(command -v etcdctl)" "$root/usr/bin/etcdctl"
    else
        rm -f "$root/usr/bin/etcdctl"
    fi
    local home
    for home in /root /home/ops /home/opspw /home/nosudo; do
        mkdir -p "$root$home/.ssh"
        cp "$LAB/id_ed25519.pub" "$root$home/.ssh/authorized_keys"
        chmod 700 "$root$home/.ssh"
        chown -R --reference="$root$home" "$root$home/.ssh"
    done
    mkdir -p "$root/etc/cni/net.d"
    cat >"$root/etc/cni/net.d/10-lab.conflist" <<CNI
{"cniVersion": "0.4.0", "name": "lab", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.$(host_number "$host").0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
CNI
    echo "KUBELET_EXTRA_ARGS=--node-ip=$(host_address "$host")" >"$root/etc/default/kubelet"
}

# The address comes from outside: within, nothing waits for udev. Pods of other
# hosts are behind those hosts' addresses.
host_connect() {
    local host=$1 leader link other
    leader=$(host_leader "$host")
    link=$(host_link "$host")
    ip link set "ve-$(machine "$host")" name "$link"
    ip link set "$link" master "$(lab_bridge)" up
    nsenter -t "$leader" -n sh -e <<NET
ip link set lo up
ip link set host0 up
ip addr replace $(host_address "$host")/24 dev host0
ip route replace default via $(lab_gateway)
sysctl -q -w net.ipv4.ip_forward=1
NET
    for other in $(lab_hosts); do
        [[ $other == "$host" ]] || nsenter -t "$leader" -n \
            ip route replace "10.244.$(host_number "$other").0/24" via "$(host_address "$other")"
    done
}

host_ssh() {
    local host=$1
    shift
    ssh -F none -i "$LAB/id_ed25519" -o "UserKnownHostsFile=$LAB/known_hosts" -o ConnectTimeout=5 \
        -o BatchMode=yes "root@$(host_address "$host")" "$@"
}

# A clean shutdown, or the loss of power.
host_stop() {
    local host=$1 signal=${2:-SIGRTMIN+4} dir leader nspawn
    dir=$(host_dir "$host")
    nspawn=$(host_nspawn "$host") || true
    if leader=$(host_leader "$host"); then
        kill -s "$signal" "$leader" 2>/dev/null || true
        wait_for 60 "$host to stop" not_running ${nspawn:+"$nspawn"} "$leader" ||
            kill -KILL "$leader" ${nspawn:+"$nspawn"} 2>/dev/null || true
    elif [[ $nspawn ]]; then
        kill -KILL "$nspawn" 2>/dev/null || true
    fi
    rm -f "$dir/leader" "$dir/nspawn"
    umount -l "$dir/root" 2>/dev/null || true
    ip link del "$(host_link "$host")" 2>/dev/null || true
    remove_cgroups "$host"
}

not_running() {
    local pid
    for pid in "$@"; do
        # A zombie whose parent has not looked yet does not run.
        [[ ! -e /proc/$pid ]] || grep -q '^State:.Z' "/proc/$pid/status" || return 1
    done
}

remove_cgroups() {
    local folder
    for folder in /sys/fs/cgroup/*/"kup-lab-$(lab_index)-$1"; do
        [[ -d $folder ]] && find "$folder" -depth -type d -exec rmdir {} \; 2>/dev/null
    done
    return 0
}
