# shellcheck shell=bash
# Hosts into a cluster: kubeadm init, joins, what the lab's machine needs.

control_planes() { lab_hosts | grep '^cp'; }
workers() { lab_hosts | grep '^w' || true; }

# Three control planes are reached through haproxy on the bridge, one by itself.
endpoint() {
    if (($(control_planes | wc -l) > 1)); then
        printf '%s:6443' "$(lab_gateway)"
    else
        printf '%s:6443' "$(host_address cp1)"
    fi
}

proxy_start() {
    (($(control_planes | wc -l) > 1)) || return 0
    proxy_running && return
    {
        cat <<CONFIG
global
    maxconn 2000
defaults
    mode tcp
    timeout connect 3s
    timeout client 10m
    timeout server 10m
frontend api
    bind $(lab_gateway):6443
    default_backend control-planes
backend control-planes
    option httpchk GET /readyz
    http-check expect status 200
    default-server check check-ssl verify none inter 1s fall 2 rise 2 on-marked-down shutdown-sessions
CONFIG
        local host
        for host in $(control_planes); do echo "    server $host $(host_address "$host"):6443"; done
    } >"$LAB/haproxy.cfg"
    setsid haproxy -D -f "$LAB/haproxy.cfg" -p "$LAB/haproxy.pid" 7>&- 8>&- 9>&- ||
        die "haproxy does not start with $LAB/haproxy.cfg"
}

proxy_running() {
    local pid
    pid=$(cat "$LAB/haproxy.pid" 2>/dev/null) || return 1
    [[ $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) == *"$LAB/haproxy.cfg"* ]]
}

proxy_stop() {
    if proxy_running; then kill "$(cat "$LAB/haproxy.pid")"; fi
    rm -f "$LAB/haproxy.pid"
}

cluster_init() {
    local host key join
    say "kubeadm init on cp1"
    # Debian has no CoreDNS, and kubeadm waits for a ready replica of an addon that is there.
    # So there is no cluster DNS; a cluster said to have CoreDNS without it would need
    # --ignore-preflight-errors at each upgrade, one said to have kube-dns does not.
    key=$(head -c 32 /dev/urandom | sha256sum | cut -d' ' -f1)
    host_ssh cp1 'cat >/root/kubeadm.yaml' <<CONFIG
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
certificateKey: $key
localAPIEndpoint: {advertiseAddress: $(host_address cp1)}
nodeRegistration: {criSocket: /run/containerd/containerd.sock}
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
kubernetesVersion: v$OLD_VERSION
controlPlaneEndpoint: $(endpoint)
dns: {type: kube-dns}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
failSwapOn: false
syncFrequency: 10s
enforceNodeAllocatable: []
evictionHard: {nodefs.available: "1%", imagefs.available: "1%", memory.available: "50Mi"}
# There is no registry to get a removed image back from.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack: {maxPerCore: 0}
CONFIG
    quietly host_ssh cp1 kubeadm init --config /root/kubeadm.yaml --upload-certs \
        --ignore-preflight-errors=all --skip-phases=addon/coredns
    join=$(host_ssh cp1 kubeadm token create --print-join-command 2>/dev/null)
    join+=" --cri-socket /run/containerd/containerd.sock --ignore-preflight-errors=all"
    for host in $(control_planes | grep -v '^cp1$'); do
        say "$host joins"
        quietly host_ssh "$host" "$join --control-plane --certificate-key $key --apiserver-advertise-address $(host_address "$host")"
    done
    for host in $(workers); do
        say "$host joins"
        quietly host_ssh "$host" "$join"
    done
    await_cluster ''
}

# await_cluster [SINCE]: all Ready, as the kubelets see it now and not before a restart:
# they have renewed their leases, and the containers of the system run since SINCE.
# shellcheck disable=SC2120 # given by template.sh
await_cluster() {
    wait_for 180 "all nodes and the pods of kube-system to be Ready" \
        cluster_ready "$(now)" "${1:-}" ||
        { cluster_get nodes,pods -A >&2 || true; die "the cluster is not Ready"; }
}

# As the API writes a time.
now() { date -u +%FT%TZ; }

cluster_get() { host_ssh cp1 kubectl --kubeconfig /etc/kubernetes/admin.conf get "$@"; }

cluster_ready() {
    local leases_since=$1 since=$2 nodes leases pods
    nodes=$(cluster_get nodes --no-headers) || return 1
    leases=$(cluster_get leases -n kube-node-lease --no-headers -o custom-columns=:.spec.renewTime) || return 1
    pods=$(cluster_get pods -n kube-system --no-headers \
        -o 'custom-columns=:.status.containerStatuses[*].ready,:.status.containerStatuses[*].state.running.startedAt') || return 1
    awk -v want="$(lab_hosts | wc -l)" '$2 ~ /^Ready/ { n++ } END { exit n != want }' <<<"$nodes" &&
        awk -v since="$leases_since" '$1 "" < since "" { exit 1 }' <<<"$leases" &&
        awk -v since="$since" '$1 != "true" || $2 "" < since "" { exit 1 }' <<<"$pods"
}

write_access() {
    local host
    host_ssh cp1 cat /etc/kubernetes/admin.conf >"$LAB/kubeconfig"
    chmod 600 "$LAB/kubeconfig"
    {
        echo "all:"
        echo "  vars:"
        echo "    ansible_user: root"
        echo "    ansible_ssh_private_key_file: $LAB/id_ed25519"
        echo "    ansible_ssh_common_args: -o UserKnownHostsFile=$LAB/known_hosts"
        echo "    verify_image: $APP_IMAGE"
        echo "  children:"
        echo "    kube_control_plane:"
        echo "      hosts:"
        for host in $(control_planes); do echo "        $host: {ansible_host: $(host_address "$host")}"; done
        echo "    kube_node:"
        echo "      hosts:"
        for host in $(workers); do echo "        $host: {ansible_host: $(host_address "$host")}"; done
    } >"$LAB/inventory.yml"
}

# The hosts' real keys, taken from their file systems: ssh checks them from the first time.
write_known_hosts() {
    local host
    for host in $(lab_hosts); do
        echo "$(host_address "$host") $(cut -d' ' -f1,2 "$(host_dir "$host")/root/etc/ssh/ssh_host_ed25519_key.pub")"
    done >"$LAB/known_hosts"
}
