# script.sh — the Lua check script against one that does only SET ... PX, in one redis-server of their own.
#
# Calls for each second of the server's CPU; see bench_check_script.c.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

measure_script() {
    taskset -c "$other_core" "$build/tests/bench/bench_check_script" "$ROUNDS" "$server_core" >"$dir/script" || return
    while IFS='|' read -r name base check ratio ratios; do
        row "Lua script: $name" "$(show "$check") /s" "$(show "$base") /s" "$ratio" "$ratios" \
            '>= 0.60' "$(judge "$ratio" '>= 0.60')" 'Redis 0; generator 1'
    done < <(sed -nE 's/^(.*[a-z]) +([0-9]+) +([0-9]+) +([0-9.]+) +([0-9.]+ to [0-9.]+)$/\1|\2|\3|\4|\5/p' "$dir/script")
}

measure_script
