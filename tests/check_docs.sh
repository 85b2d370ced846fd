#!/bin/sh
# check_docs.sh — every option, metric and command has its true row in its page, and no row is without. $1: sluiced.
#
# A row is a line of a table whose first cell is a name in backticks. Its cells must be, in order, the columns
# that `sluiced --describe` prints; backticks count for nothing, and "" in a cell stands for an empty text.
set -u
cd "$(dirname "$0")/.." || exit 2
sluiced=${1:-build/sluiced}
bad=0

# check_page KIND PAGE
check_page() {
    if ! described=$("$sluiced" --describe "$1") || [ -z "$described" ]; then
        echo "check_docs.sh: $sluiced --describe $1 failed" >&2
        exit 2
    fi
    if [ ! -r "$2" ]; then
        echo "$2: there is no such page"
        bad=1
        return
    fi
    printf '%s\n' "$described" | awk -F '\t' -v page="$2" '
        function complain(where, text) { printf "%s%s: %s\n", page, where, text; bad = 1 }
        FILENAME != page {
            names[++n_names] = $1
            described[$1] = $0
            n_columns[$1] = NF
            next
        }
        /^\| *`[a-z_]+` *\|/ {
            n_cells = split($0, cells, "|") - 2
            row = ""
            for (i = 2; i < n_cells + 2; i++) {
                gsub(/`|^ +| +$/, "", cells[i])
                gsub(/^ +| +$/, "", cells[i])
                row = row (i > 2 ? "\t" : "") (cells[i] == "\"\"" ? "" : cells[i])
            }
            name = cells[2]
            if (!(name in described)) complain(":" FNR, name ": the program knows no such thing")
            else if (name in seen) complain(":" FNR, name ": a second row; the first is in line " seen[name])
            else if (row != described[name]) {
                complain(":" FNR, name ": the row differs from the program")
                split(row, ours, "\t")
                split(described[name], theirs, "\t")
                for (i = 1; i <= n_columns[name] || i <= n_cells; i++)
                    if (ours[i] != theirs[i])
                        printf "    page: %s\n    program: %s\n", ours[i], theirs[i]
            }
            seen[name] = FNR
        }
        END {
            for (i = 1; i <= n_names; i++)
                if (!(names[i] in seen)) complain("", names[i] ": there is no row for it")
            exit bad
        }' - "$2" || bad=1
}

# The commands of sluicectl as its help tells them: a line for each heading, summary and option.
describe_commands() {
    echo "### Every command"
    "$1" quota get --help | awk '/^  --/' | sed 's/^/  /'
    "$1" --help | sed -n 's/^  \([a-z-]\{1,\}\( [a-z-]\{1,\}\)\{0,1\}\)  .*/\1/p' | while read -r command; do
        # shellcheck disable=SC2086  # a command may have two words
        "$1" $command --help | awk '
            NR == 1 { sub(/^Usage: /, "### "); sub(/ \[OPTION \.\.\.\]$/, ""); print; next }
            NR == 3 { print }
            /^  --(admin|token-file|timeout|json|help) / { next }
            /^  --/ { print "  " $0 }'
    done
}

# The same from the page: headings, the line below each, and the rows of options.
describe_page() {
    awk '/^### Every command$/ { print; next }
        /^### / { print; wants_summary = 1; next }
        wants_summary && NF > 0 { print; wants_summary = 0 }
        /^\| `--/ {
            split($0, cells, "|")
            gsub(/`|^ +| +$/, "", cells[2])
            gsub(/^ +| +$/, "", cells[3])
            print "    " cells[2] " " cells[3]
        }' "$1"
}

check_commands() {
    describe_commands "$1" | sed 's/  *\([^ ]\)/ \1/g' > "$2.program"
    describe_page admin/CTL.md | sed 's/  *\([^ ]\)/ \1/g' > "$2.page"
    diff "$2.program" "$2.page" && return
    echo "admin/CTL.md: the lines above differ; < is what sluicectl tells, > is the page"
    bad=1
}

# The options of `sluice bench`: those of its help are those of the first cells of the page's tables. $1: sluice.
check_bench() {
    "$1" bench --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p' | grep -v -e --help | sort > "$2.program"
    sed -n 's/^| *\(`--[^|]*\)|.*/\1/p' client/BENCH.md | grep -o -e '--[a-z-]*' | sort -u > "$2.page"
    [ -s "$2.program" ] && diff "$2.program" "$2.page" && return
    echo "client/BENCH.md: the options above differ; < is what sluice bench tells, > is the page"
    bad=1
}

check_page options server/OPTIONS.md
check_page metrics admin/METRICS.md
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
check_commands "$(dirname "$sluiced")/sluicectl" "$dir/commands"
check_bench "$(dirname "$sluiced")/sluice" "$dir/bench"
exit $bad
