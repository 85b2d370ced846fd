# cold.sh — checks of 10^6 keys, each as likely: the frontend's CPU for a check against that of the Redis behind it.
#
# Redis has a core of its own; the frontend shares the other one with the generator, to its own loss.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

readonly cold_cores='Redis 0; frontend and generator 1'

# One load gives both figures: first the frontend's, then that of Redis.
cold_frontend() {
    local before after checks
    before=$(cpu_seconds "$redis_pid")
    warm_up=0s load "$other_core" --resource cold --keys uniform:1000000 || return
    after=$(cpu_seconds "$redis_pid")
    checks=$(report_figure sent)
    value=$(report_figure cpu_us_per_check)
    redis_us=$(calculate "($after - $before) * 1e6 / $checks")
    cold_rate=$(report_figure rate_per_s)
    store_calls=$(report_figure store_calls_per_check)
}

cold_redis() {
    value=$redis_us
}

measure_cold() {
    start_redis "$server_core" && load_redis "$other_core" check --fill &&
        start_frontend_at_redis "$other_core" --redis-max-inflight 100000 || return
    alternate cold_frontend cold_redis || return
    ratio_row "cold: CPU per check, frontend against Redis" '<= 0.35' cold_frontend cold_redis us "$cold_cores"
    say "cold: $(show "$cold_rate")/s, $store_calls store calls for each check"
}

measure_cold
