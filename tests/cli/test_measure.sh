#!/bin/bash
# tools/measure with a stand-in for `chain4d run`: what it calls, and that a failed run is counted and not lost.
source "$(dirname "$0")/../support/shell.sh"
build=$(cd "$1" && pwd)
measure=$(dirname "$0")/../../tools/measure
mkdir -p "$ch4_tmp/build/bin"
ln -s "$build/bin/chain4d-synth" "$build/bin/chain4d-eval" "$ch4_tmp/build/bin/"
cat >"$ch4_tmp/build/bin/chain4d" <<'FAKE'
#!/bin/bash
echo "$@" >>"$(dirname "$0")/calls"
exit 3
FAKE
chmod +x "$ch4_tmp/build/bin/chain4d"

begin failed_runs_are_counted
CH4_BUILD=$ch4_tmp/build check_status 3 "$measure" "$ch4_tmp/m" 2 1000007 -- --set denoise.steps=4
check_grep 'creature_s1000008: chain4d run: exit 3' "$ch4_tmp/err"
check_grep "^run $ch4_tmp/m/gt/creature_s1000007/video.mp4 --mesh $ch4_tmp/m/gt/creature_s1000007/anchor.obj -o $ch4_tmp/m/runs/creature_s1000007 --quiet --set sink.keep=true --set denoise.steps=4$" "$ch4_tmp/build/bin/calls"
check test "$(wc -l <"$ch4_tmp/build/bin/calls")" -eq 2

begin without_the_mesh
CH4_BUILD=$ch4_tmp/build check_status 3 "$measure" --video-only "$ch4_tmp/v" 1 1000007
check_grep "^run $ch4_tmp/v/gt/creature_s1000007/video.mp4 -o $ch4_tmp/v/runs/creature_s1000007 --quiet --set sink.keep=true$" "$ch4_tmp/build/bin/calls"

begin training_seeds_are_refused
CH4_BUILD=$ch4_tmp/build check_status 2 "$measure" "$ch4_tmp/m" 2 999999
finish
