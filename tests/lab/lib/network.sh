# A lab's bridge and addresses: 10.77.INDEX.0/24, hosts reachable from this machine.

lab_subnet() { printf '10.77.%s' "$(cat "$LAB/index")"; }
lab_bridge() { printf 'kup%s' "$(cat "$LAB/index")"; }
lab_gateway() { printf '%s.1' "$(lab_subnet)"; }

# cp1 is .11, cp2 .12, w1 .21 …
host_number() {
    case $1 in
    cp*) echo $((10 + ${1#cp})) ;;
    w*) echo $((20 + ${1#w})) ;;
    esac
}
host_address() { printf '%s.%s' "$(lab_subnet)" "$(host_number "$1")"; }
host_link() { printf 'vb-%s-%s' "$(cat "$LAB/index")" "$1"; }

# The lowest index that no other lab has.
claim_index() {
    [[ -e $LAB/index ]] && return
    local index=0
    exec 8>"$LAB_CACHE/index.lock"
    flock 8
    while grep -qsx "$index" "$LAB_CACHE"/labs/*/index; do index=$((index + 1)); done
    ((index < 200)) || die "there are too many labs in $LAB_CACHE/labs"
    echo "$index" >"$LAB/index"
    exec 8>&-
}

bridge_up() {
    local bridge
    bridge=$(lab_bridge)
    ip link show "$bridge" >/dev/null 2>&1 || ip link add "$bridge" type bridge
    ip addr replace "$(lab_gateway)/24" dev "$bridge"
    ip link set "$bridge" up
}

bridge_down() { ip link del "$(lab_bridge)" 2>/dev/null || true; }
