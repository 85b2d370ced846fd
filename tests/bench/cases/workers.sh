# workers.sh — what two workers on two cores can do against one on one.
#
# With two cores there is none left for the generator. So it sends frames of 32, which it makes in a fraction of the
# time that they cost the workers, and what counts is CPU: two workers can do 2 / (CPU per check) where one can do
# 1 / (CPU per check). Waiting for each other, by spinning or by cache lines, is in there.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

ask_workers() {
    load "$server_core,$other_core" --resource denied --keys uniform:64 --batch 32 --connections 16
}

two_workers() {
    checks_at=$two_checks_at admin_at=$two_admin_at ask_workers || return
    value=$(calculate "2e6 / $(report_figure cpu_us_per_check)")
}

one_worker() {
    checks_at=$one_checks_at admin_at=$one_admin_at ask_workers || return
    value=$(calculate "1e6 / $(report_figure cpu_us_per_check)")
}

measure_workers() {
    start_redis "$other_core" && start_frontend_at_redis "$server_core" --workers 1 || return
    local one_checks_at=$checks_at one_admin_at=$admin_at
    start_frontend_at_redis "$server_core,$other_core" --workers 2 || return
    local two_checks_at=$checks_at two_admin_at=$admin_at
    alternate two_workers one_worker || return
    ratio_row 'two workers on two cores against one on one, by CPU' '>= 1.8' two_workers one_worker /s \
        'frontend 0 and 1, or 0; generator (frames of 32) and Redis wherever there is room'
}

measure_workers
