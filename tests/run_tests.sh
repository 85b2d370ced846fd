#!/usr/bin/env bash
# run_tests.sh — runs the tests named as arguments, each a command line, and sums up what they say.
#
# One line for each; of a failed one cmocka's complaints and the end of its output as well. Unit and property
# tests run two at a time, all others alone, since they measure time. A cmocka program counts with its tests,
# anything else as one test.
#   TEST_LIMIT_S  time limit of each (default: 120)
set -uo pipefail

readonly LIMIT_S=${TEST_LIMIT_S:-120}
readonly TAIL_LINES=40
readonly MAX_PARALLEL=2

n_passed=0
n_failed=0
n_skipped=0
declare -A running=() logs=() started_ds=() # by pid: command line, output, start in tenths of a second

now_ds() {
    local t=${EPOCHREALTIME/[.,]/}
    echo "${t%?????}"
}

# count WORD LOG: sums the numbers in cmocka's lines "[  WORD  ] N test(s)"
count() {
    sed -n "s/^\\[ *$1 *\\] .*\\b\\([0-9][0-9]*\\) test(s).*/\\1/p" "$2" | awk '{ n += $1 } END { print n + 0 }'
}

# report COMMAND EXIT_CODE LOG DURATION_DS
report() {
    local passed failed skipped details='' seconds="$(($4 / 10)).$(($4 % 10)) s"
    passed=$(count PASSED "$3")
    failed=$(count FAILED "$3")
    skipped=$(count SKIPPED "$3")
    if ((passed + failed + skipped > 0)); then
        details=", $passed tests"
        ((skipped == 0)) || details+=", $skipped skipped"
    elif (($2 == 0)); then
        passed=1
    fi
    (($2 == 0 || failed > 0)) || failed=1 # no cmocka test, a crash or a broken setup
    n_passed=$((n_passed + passed))
    n_failed=$((n_failed + failed))
    n_skipped=$((n_skipped + skipped))
    if (($2 == 0)); then
        echo "PASS $1  $seconds$details"
        sed -n 's/^skipped: /     skipped: /p' "$3"
        return
    fi
    (($2 != 124 && $2 != 137)) || seconds+=" (the limit is $LIMIT_S s)"
    echo "FAIL $1  $seconds, exit code $2; its output:"
    {
        if (($(wc -l <"$3") > TAIL_LINES)); then
            head -n "-$TAIL_LINES" "$3" | grep -a -e '^ERROR' -e '^\[  ERROR' -e '^\[   LINE' -e '^\[  FAILED'
            echo ...
        fi
        tail -n "$TAIL_LINES" "$3"
    } | sed 's/^/     /'
}

# start COMMAND
start() {
    local words log
    read -ra words <<<"$1"
    log=$(mktemp "$dir/XXXXXX")
    timeout --kill-after=10 "$LIMIT_S" "${words[@]}" </dev/null >"$log" 2>&1 &
    running[$!]=$1
    logs[$!]=$log
    started_ds[$!]=$(now_ds)
}

# finish_some N: waits until at most N tests are under way
finish_some() {
    local pid code
    while ((${#running[@]} > $1)); do
        wait -n -p pid "${!running[@]}"
        code=$?
        report "${running[$pid]}" "$code" "${logs[$pid]}" $(($(now_ds) - started_ds[$pid]))
        unset "running[$pid]"
    done
}

# timeout passes the signal on to its test
stop_all() {
    ((${#running[@]} == 0)) || kill -TERM "${!running[@]}" 2>/dev/null
    wait
    rm -rf "$dir"
}

dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-run-tests.XXXXXX")
trap stop_all EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

for command in "$@"; do
    if [[ $command == */unit/* || $command == */property/* ]]; then
        finish_some $((MAX_PARALLEL - 1))
        start "$command"
    else
        finish_some 0
        start "$command"
        finish_some 0
    fi
done
finish_some 0

summary="$n_passed passed, $n_failed failed"
((n_skipped == 0)) || summary+=", $n_skipped skipped"
echo "$summary"
((n_failed == 0))
