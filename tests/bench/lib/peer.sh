# peer.sh — what the cases of peers share; sourced by these.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

peer_cores='measured 0; generator 1'

# Peers that install.sh has fetched are found there.
find_peer() {
    PATH=$PWD/$build/peers/bin:$PATH LD_LIBRARY_PATH=$PWD/$build/peers/lib command -v "$1"
}

# skip_peer NAME WHAT: says that it is not here
skip_peer() {
    say "$1 is not here, and skipped (tests/bench/peers/install.sh)"
    row "peer $1" skipped - - - - - -
}

# free_port FIRST
free_port() {
    local port=$1
    while is_listening "$port"; do
        port=$((port + 1))
    done
    echo "$port"
}

# start_peer NAME PORT COMMAND...: waits until it listens; sets peer_pid
start_peer() {
    local name=$1 port=$2
    shift 2
    pinned "$server_core" "$@" </dev/null >"$dir/peer.log" 2>&1 &
    peer_pid=$!
    pids+=("$peer_pid")
    wait_for "$peer_pid" "$name" is_listening "$port"
}

# Local buckets, as the peers that keep theirs in the process.
ask_embedded() {
    load "$other_core" --resource cold --keys uniform:10000 && value=$(report_figure rate_per_s)
}
