# keys.sh — the frontend's CPU for a check with 10^7 keys against that with 10^3.
#
# Cold: no key is hot, so that the same is done for each check. Embedded: the frontend's own table of buckets, with
# room for all, which is what the caches of the processor do not hold.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

readonly keys_cores='frontend 0; generator and Redis 1'

# ask_keys RESOURCE N
ask_keys() {
    load "$other_core" --resource "$1" --keys "uniform:$2" && value=$(report_figure cpu_us_per_check)
}

cold_many() {
    ask_keys cold 10000000
}

cold_few() {
    ask_keys cold 1000
}

measure_keys() {
    local never_hot=(--hot-rate 10000000 --hot-rate-least 10000000)
    start_redis "$other_core" && start_frontend_at_redis "$server_core" "${never_hot[@]}" || return
    alternate cold_many cold_few || return
    ratio_row 'CPU per cold check: 10^7 keys against 10^3' '<= 1.10' cold_many cold_few us "$keys_cores"
    stop "$frontend_pid"
    start_frontend "$server_core" --quotas tests/bench/quotas.yaml --embedded-keys 20000000 "${never_hot[@]}" || return
    alternate cold_many cold_few || return
    ratio_row 'CPU per embedded check, the table'\''s cache misses included: likewise' - cold_many cold_few us \
        'frontend 0; generator 1'
}

measure_keys
