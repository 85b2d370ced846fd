# memory.sh — bytes of a bucket in the frontend and in Redis, and of an idle connection in the frontend.
#
# In the frontend: growth of the memory in use (RSS), divided. In Redis: used_memory, divided, of 10^6 buckets whose
# keys have 24 bytes (in Redis with its prefix: 37).
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

readonly n_buckets=1000000 n_idle=10000

# rss_bytes PID
rss_bytes() {
    awk '/^VmRSS:/ { print $2 * 1024 }' "/proc/$1/status"
}

# A table that is filled, by way of what a few keys need already.
measure_local_bucket() {
    local before after
    start_frontend "$server_core" --quotas tests/bench/quotas.yaml --embedded-keys $((1 << 20)) || return
    load "$other_core" --resource cold --keys uniform:1000 --batch 32 || return
    before=$(rss_bytes "$frontend_pid")
    duration=3s load "$other_core" --resource cold --keys uniform:10000000 --batch 32 || return
    after=$(rss_bytes "$frontend_pid")
    figure_row 'memory: local bucket' '<= 64' "$(calculate "($after - $before) / 2^20")" bytes 'frontend 0'
    stop "$frontend_pid"
}

# Connections that have asked once, and then stay.
measure_idle_connection() {
    local before after loader
    start_frontend "$server_core" --quotas tests/bench/quotas.yaml --max-connections $((n_idle + 100)) || return
    load "$other_core" --resource unlimited --keys one --connections 1 || return
    before=$(rss_bytes "$frontend_pid")
    pinned "$other_core" "$build/sluice" bench --server "$checks_at" --tenants bench --resource unlimited --rate 10000 \
        --pipeline 10 --connections "$n_idle" --warm-up 0s --duration 3s >"$dir/idle.log" 2>&1 &
    loader=$!
    pids+=("$loader")
    sleep 2.5
    after=$(rss_bytes "$frontend_pid")
    figure_row 'memory: idle connection, in the process' '<= 1024' "$(calculate "($after - $before) / $n_idle")" bytes \
        'frontend 0'
    stop "$loader"
    stop "$frontend_pid"
}

measure_redis_bucket() {
    local before after
    start_redis "$server_core" || return
    before=$(redis INFO memory | sed -nE 's/^used_memory:([0-9]+).*/\1/p')
    load_redis "$other_core" check --fill --keys "$n_buckets" || return
    sleep 1 # until the table is as large as it shall be
    after=$(redis INFO memory | sed -nE 's/^used_memory:([0-9]+).*/\1/p')
    [[ $(redis DBSIZE) == "$n_buckets" ]] || return
    figure_row 'memory: bucket in Redis' '<= 120' "$(calculate "($after - $before) / $n_buckets")" bytes 'Redis 0'
    stop "$redis_pid"
}

measure_local_bucket
measure_idle_connection
measure_redis_bucket
