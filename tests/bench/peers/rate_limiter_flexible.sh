# rate_limiter_flexible.sh — the npm library with its Redis limiter, 256 checks in flight, against cold checks.
#
# A library has no wire of its own: its process is the service that asks. On each side Redis has the other core.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

source tests/bench/lib/peer.sh

ask_flexible() {
    value=$(NODE_PATH=$PWD/$build/peers/node_modules taskset -c "$server_core" node \
        tests/bench/peers/rate_limiter_flexible.js "$redis_port" "${MEASURE%s}" 2>"$dir/peer.log") && return
    say "$(tail -n 1 "$dir/peer.log")"
    return 1
}

ask_sluice() {
    load "$other_core" --resource cold --keys uniform:10000 && value=$(report_figure rate_per_s)
}

measure_flexible() {
    if [[ -z $(find_peer node) || ! -d $build/peers/node_modules/rate-limiter-flexible ]]; then
        skip_peer rate-limiter-flexible
        return 0
    fi
    start_redis "$other_core" && start_frontend_at_redis "$server_core" || return
    alternate ask_flexible ask_sluice || return
    ratio_row 'peer rate-limiter-flexible with Redis, against cold checks' - ask_sluice ask_flexible /s \
        'measured 0; Redis and generator 1'
}

measure_flexible
