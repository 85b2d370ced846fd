# start.sh — from the start of sluiced until it is ready: alone, and with Redis, where it reads its quotas first.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

# ms_until CONDITION OPTION...: starts a frontend; polled every millisecond
ms_until() {
    local condition=$1 began_us=${EPOCHREALTIME/./}
    shift
    : >"$dir/ready"
    pinned "$server_core" "$build/sluiced" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 "$@" </dev/null \
        >"$dir/ready" 2>"$dir/frontend.log" &
    frontend_pid=$!
    pids+=("$frontend_pid")
    until "$condition"; do
        kill -0 "$frontend_pid" || return
        sleep 0.001
    done
    value=$(calculate "(${EPOCHREALTIME/./} - $began_us) / 1000")
    stop "$frontend_pid"
}

is_ready_by_http() {
    has_ready_line && is_ready
}

start_alone() {
    ms_until has_ready_line
}

start_with_redis() {
    ms_until is_ready_by_http --redis-nodes "127.0.0.1:$redis_port" --quotas tests/bench/quotas.yaml
}

measure_start() {
    start_redis "$other_core" && alternate start_alone start_with_redis || return
    figure_row 'start to ready, alone' '<= 50' "$(median_of start_alone)" ms 'frontend 0'
    figure_row 'start to ready, with Redis and its quotas (/readyz)' '<= 50' "$(median_of start_with_redis)" ms \
        'frontend 0; Redis 1'
}

measure_start
