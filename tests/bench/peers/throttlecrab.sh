# throttlecrab.sh — throttlecrab-server with its Redis protocol, eight connections with 32 calls in flight.
#
# Both keep 10,000 buckets in their own memory.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

source tests/bench/lib/peer.sh

ask_throttlecrab() {
    load_redis "$other_core" throttle --keys 10000 && value=$(line_figure rate_per_s)
}

measure_throttlecrab() {
    local program peer_port
    program=$(find_peer throttlecrab-server)
    if [[ -z $program ]]; then
        skip_peer throttlecrab
        return 0
    fi
    peer_port=$(free_port 22100)
    start_peer throttlecrab "$peer_port" "$program" --redis --redis-host 127.0.0.1 --redis-port "$peer_port" \
        --log-level error && start_frontend "$server_core" --quotas tests/bench/quotas.yaml || return
    alternate ask_throttlecrab ask_embedded || return
    ratio_row 'peer throttlecrab, against the embedded store' - ask_embedded ask_throttlecrab /s "$peer_cores"
}

measure_throttlecrab
