#!/bin/sh
# lint.sh — clang's warnings, the format, clang-tidy's bug patterns, shellcheck. $1: the build folder.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${1:-build}
bad=0
sources=$(git ls-files -co --exclude-standard '*.c')
flags="-std=c11 -D_GNU_SOURCE -DSLUICE_VERSION=__FILE__ -I. -I$build"
warnings='-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wpointer-arith
    -Wcast-qual -Wformat=2 -Wundef -Wvla -Wswitch-enum -Werror'

echo '  LINT     clang'
# shellcheck disable=SC2086  # word splitting is meant
printf '%s\n' $sources | xargs -P 2 -n 8 clang $flags $warnings -fsyntax-only || bad=1
# shellcheck disable=SC2086
printf '%s\n' server/core/*.c proto/*.c | xargs clang $flags $warnings -Wconversion -fsyntax-only || bad=1

echo '  LINT     clang-format'
git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format --dry-run --Werror || bad=1

# unix.Malloc does not understand intrusive lists; AddressSanitizer watches over those in every test run.
echo '  LINT     clang-tidy'
checks='-*,bugprone-*,clang-analyzer-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-bugprone-narrowing-conversions,-bugprone-macro-parentheses,-bugprone-sizeof-expression,-bugprone-assignment-in-if-condition,-bugprone-implicit-widening-of-multiplication-result,-clang-analyzer-unix.Malloc,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling'
# shellcheck disable=SC2086  # one file a run: with several, clang-tidy 14 takes va_lists for uninitialized
printf '%s\n' $sources | grep -v '^tests/' | xargs -P 2 -I{} \
    clang-tidy --quiet --warnings-as-errors='*' --checks="$checks" {} -- $flags 2>/dev/null || bad=1

echo '  LINT     shellcheck'
git ls-files -co --exclude-standard '*.sh' .ci/run | xargs shellcheck || bad=1
exit $bad
