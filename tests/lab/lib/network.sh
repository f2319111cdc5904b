# shellcheck shell=bash
# A lab's bridge and addresses: 10.77.INDEX.0/24, hosts reachable from this machine.

lab_index() { cat "$LAB/index"; }
lab_subnet() { printf '10.77.%s' "$(lab_index)"; }
lab_bridge() { printf 'kup%s' "$(lab_index)"; }
lab_gateway() { printf '%s.1' "$(lab_subnet)"; }

# cp1 is .11, cp2 .12, w1 .21 …
host_number() {
    case $1 in
    cp*) echo $((10 + ${1#cp})) ;;
    w*) echo $((20 + ${1#w})) ;;
    esac
}
host_address() { printf '%s.%s' "$(lab_subnet)" "$(host_number "$1")"; }
host_link() { printf 'vb-%s-%s' "$(lab_index)" "$1"; }

# Indexes are the machine's, not the cache folder's: who has which is kept in /run.
INDEXES=/run/kup-lab

# The lowest index that no other lab has.
claim_index() {
    local index=0
    mkdir -p "$INDEXES"
    exec 8>"$INDEXES/lock"
    flock -w 60 8 || die "waited 60 s for $INDEXES/lock"
    if [[ -e $LAB/index ]]; then
        index=$(lab_index)
        index_free "$index" || die "this lab's network 10.77.$index.0/24 was taken by $(cat "$INDEXES/$index"); lab down, then up"
    else
        while ((index < 200)) && ! index_free "$index"; do index=$((index + 1)); done
        ((index < 200)) || die "there are too many labs on this machine"
        echo "$index" >"$LAB/index"
    fi
    echo "$LAB" >"$INDEXES/$index"
    exec 8>&-
}

# Free is also what this lab has itself, and what a lab had that is no more.
index_free() {
    local owner folder
    owner=$(cat "$INDEXES/$1" 2>/dev/null || true)
    [[ $owner == "$LAB" ]] && return 0
    [[ $owner && $(cat "$owner/index" 2>/dev/null) == "$1" ]] && return 1
    for folder in "$LAB_CACHE"/labs/*; do
        [[ $folder != "$LAB" && $(cat "$folder/index" 2>/dev/null) == "$1" ]] && return 1
    done
    [[ -e $LAB/index ]] || ! ip link show "kup$1" >/dev/null 2>&1
}

release_index() {
    local file
    file=$INDEXES/$(lab_index)
    [[ $(cat "$file" 2>/dev/null) == "$LAB" ]] && rm -f "$file"
    return 0
}

bridge_up() {
    local bridge
    bridge=$(lab_bridge)
    ip link show "$bridge" >/dev/null 2>&1 || ip link add "$bridge" type bridge
    ip addr replace "$(lab_gateway)/24" dev "$bridge"
    ip link set "$bridge" up
}

bridge_down() { ip link del "$(lab_bridge)" 2>/dev/null || true; }
