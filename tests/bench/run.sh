#!/usr/bin/env bash
# run.sh [BUILD] — the benchmark: runs each case against its reference, in turns, and prints a table; `make bench`.
#
# What is measured, and how, is in README.md beside this. Ends within ten minutes; leaves behind nothing but
# BUILD/bench.md, the table with the machine, the commit and the command.
#   CASE=NAME    this case alone; CASE=list names them
#   ROUNDS=N     turns of each measurement, 5 unless given
#   MEASURE=1s   how long one measurement takes
#   PEERS=no     without the peers
# Exit code: 0 all was measured, whatever came of it; 1 something was not; 2 it cannot begin.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

readonly build=${1:-build}
readonly ROUNDS=${ROUNDS:-5} MEASURE=${MEASURE:-1s}
readonly TIME_LIMIT_S=600
readonly cases='hot batch cold script latency keys connections workers memory start'
readonly peers='redis nginx rate_limiter_flexible throttlecrab'

# The server measured has a core of its own; the generator has the other, with whatever else a case needs.
readonly server_core=0 other_core=1

dir=''
has_failed=0

say() {
    printf 'bench: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 2
}

# shellcheck disable=SC2317 # reached by the trap
clean_up() {
    local code=$?
    trap '' HUP INT TERM
    stop_all
    [[ -z $dir ]] || rm -rf "$dir"
    exit "$code"
}

within_time() {
    ((SECONDS < TIME_LIMIT_S)) && return
    say "$TIME_LIMIT_S s have passed: what is left is not measured"
    return 1
}

check_machine() {
    local tool
    for tool in taskset setpriv redis-server redis-cli curl awk; do
        command -v "$tool" >/dev/null || die "no $tool here; make deps"
    done
    [[ -x $build/sluiced && -x $build/sluice && -x $build/tests/bench/redis_load ]] || die "not built: make bench"
    taskset -c "$server_core,$other_core" true 2>/dev/null || die "this needs cores $server_core and $other_core"
    [[ $ROUNDS =~ ^[1-9][0-9]*$ ]] || die "ROUNDS: not a number: $ROUNDS"
    ulimit -n "$(ulimit -Hn)"
}

# run_case FILE: in a function of its own, so that its variables are
run_case() {
    local name=${1##*/}
    name=${name%.sh}
    within_time || return
    say "--- $name"
    # shellcheck source=/dev/null
    source "$1" || failed_row "$name"
    stop_all
}

run_all() {
    local name
    for name in $cases; do
        run_case "tests/bench/cases/$name.sh"
    done
    [[ ${PEERS:-yes} == no ]] && return
    for name in $peers; do
        run_case "tests/bench/peers/$name.sh"
    done
}

run_one() {
    local file
    for file in "tests/bench/cases/$CASE.sh" "tests/bench/peers/$CASE.sh"; do
        if [[ -r $file ]]; then
            run_case "$file"
            return
        fi
    done
    die "CASE: there is no $CASE; the cases are: $cases $peers"
}

print_results() {
    printf 'Machine: %s, %s cores, Linux %s; load before the run: %s.  \n' \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" "$(uname -r)" "$load_before"
    printf 'Commit: %s.  \n' "$(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)"
    # shellcheck disable=SC2016 # Markdown's own quotes
    printf 'Command: `%s make bench`, %s, %s s; %s.\n\n' "${CASE:+CASE=$CASE }ROUNDS=$ROUNDS MEASURE=$MEASURE" \
        "$(date -u +%Y-%m-%dT%H:%MZ)" "$SECONDS" "$(redis-server --version | cut -d' ' -f1-3)"
    echo '| case | measured | reference | ratio | ratios of the rounds | goal | | cores |'
    echo '| --- | --- | --- | --- | --- | --- | --- | --- |'
    sed 's/|/ | /g; s/^/| /; s/$/ |/' "$dir/rows"
}

if [[ ${CASE:-} == list ]]; then
    echo "$cases $peers"
    exit 0
fi
source tests/bench/lib/processes.sh
source tests/bench/lib/measure.sh
check_machine
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-bench.XXXXXX")
: >"$dir/rows"
read -r load_before _ </proc/loadavg
SECONDS=0
if [[ -n ${CASE:-} ]]; then
    run_one
else
    run_all
fi
print_results | tee "$build/bench.md"
exit "$has_failed"
