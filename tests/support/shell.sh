# Sourced by shell tests. Prints the lines that tests/run counts.
#   begin NAME; commands...; check COMMAND...; finish
# A test fails at its first failed check; later checks of the same test still run and are shown.
set -u
ch4_failed=0
ch4_bad=0
ch4_name=
ch4_tmp=$(mktemp -d "${TMPDIR:-/tmp}/ch4.XXXXXX")
trap 'rm -rf "$ch4_tmp"' EXIT

begin() { finish_one; ch4_name=$1; ch4_bad=0; echo "[ RUN      ] $1"; }
finish_one() {
    [ -n "$ch4_name" ] || return 0
    if [ $ch4_bad -eq 0 ]; then echo "[       OK ] $ch4_name"; else echo "[  FAILED  ] $ch4_name"; ch4_failed=1; fi
    ch4_name=
}
skip() { echo "[  SKIPPED ] $ch4_name"; echo "  reason: $*"; ch4_name=; }
check() { if ! "$@"; then echo "  check failed: $*"; ch4_bad=1; fi; }
check_status() { # expected status, then the command; its stdout and stderr are kept in $ch4_tmp/out and $ch4_tmp/err
    local want=$1 got; shift
    "$@" >"$ch4_tmp/out" 2>"$ch4_tmp/err"; got=$?
    if [ $got -ne "$want" ]; then echo "  exit $got, expected $want: $*"; tail -n 5 "$ch4_tmp/err"; ch4_bad=1; fi
}
check_grep() { if ! grep -qE -- "$1" "$2"; then echo "  no line matches '$1' in $2:"; tail -n 5 "$2"; ch4_bad=1; fi; }
finish() { finish_one; exit $ch4_failed; }
