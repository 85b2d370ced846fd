# redis.sh — Redis itself as people use it for this: INCR and EXPIRE NX of a counter, two commands for a check.
#
# A counter of a fixed window, which lets through twice its limit around the window's end; and the caller asks Redis.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

ask_hot() {
    load "$other_core" --resource denied --keys one && value=$(report_figure rate_per_s)
}

incr_and_expire() {
    load_redis "$other_core" incr && value=$(line_figure rate_per_s)
}

measure_peer_redis() {
    local cores='measured 0; generator 1'
    start_redis "$server_core" || return
    local counters_port=$redis_port
    start_redis "$other_core" && start_frontend_at_redis "$server_core" || return
    peer_port=$counters_port alternate incr_and_expire ask_hot || return
    ratio_row 'peer Redis, INCR + EXPIRE: hot' - ask_hot incr_and_expire /s "$cores"
}

measure_peer_redis
