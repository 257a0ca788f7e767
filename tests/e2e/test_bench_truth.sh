#!/bin/bash
# Four clips of `make bench-truth` (two held-out creatures, two objects of minibench), each with the true mesh and from the video alone, against the figures that are
# stored in bench_truth.txt. One machine gives the same bytes for any number of threads. On another processor OpenBLAS chooses other kernels, and a sum in another order
# can change which of two almost equal candidates wins: with OPENBLAS_CORETYPE Prescott, Sandybridge, Haswell and what this processor has, the figures of a clip
# differed by 0.02 % at most. A hundred times that, 2 %, is allowed: less than any change of the method that would be worth a word.
source "$(dirname "$0")/../support/shell.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
stored=$root/tests/e2e/bench_truth.txt
weights=$(sed -n 's/^  weights_sha256: //p' "$root/models/mini/model.yaml")

begin the_stored_figures_are_of_the_bundled_weights
check_grep "^# weights $weights\$" "$stored"

begin four_clips_score_as_stored
CREATURES=2 SEED=2000000 OBJECTS=twister,walker MINI_SEED=1001 ABLATION=0 PAGE=none check_status 0 "$root/tools/bench-truth" "$1" "$ch4_tmp/bench"
lines=0
while read -r case clip table method column want; do
    [ "$case" = '#' ] && continue
    lines=$((lines + 1))
    got=$(awk -F, -v clip="$clip" -v method="$method" -v column="$column" '
        NR == 1 { for (i = 1; i <= NF; i++) { if ($i == column) value = i; if ($i == "method") which = i } next }
        $1 == clip && (method == "-" || $which == method) { print $value }' "$ch4_tmp/bench/score/$case/$table.csv")
    check awk -v got="${got:-nothing}" -v want="$want" -v what="$case $clip $method $column" 'BEGIN {
        allowed = 0.02 * (want < 0 ? -want : want); d = got - want; d = d < 0 ? -d : d
        if (got == "nothing" || d > allowed) { printf "  %s: %s, stored %s\n", what, got, want; exit 1 } }'
done <"$stored"
check test $lines -ge 40
finish
