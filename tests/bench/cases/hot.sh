# hot.sh — checks that a frontend decides without asking, one in each frame, against GET at the same pipelining.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

source tests/bench/lib/hot.sh
measure_hot 'hot' 1 '>= 4.0'
