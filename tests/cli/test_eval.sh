#!/bin/bash
# chain4d-eval from the outside: table, files, exit codes.
source "$(dirname "$0")/../support/shell.sh"
synth=$1/bin/chain4d-synth eval=$1/bin/chain4d-eval
check_status 0 "$synth" creatures "$ch4_tmp/gt" --clips 2 --frames 3 --size 64 --points 50

begin usage_and_missing_folders
check_status 0 "$eval" --help
check_status 2 "$eval" "$ch4_tmp"
check_status 2 "$eval" --gt "$ch4_tmp/gt"
check_status 3 "$eval" "$ch4_tmp/nowhere" --gt "$ch4_tmp/gt"
check_grep 'nowhere: No such file or directory' "$ch4_tmp/err"
check_status 3 "$eval" "$ch4_tmp/gt" --gt "$ch4_tmp/gt"
check_grep 'none of the 0 results' "$ch4_tmp/err"

begin a_clip_without_a_usable_result_is_counted_as_failed
mkdir -p "$ch4_tmp/run/creature_s1000001"
echo junk >"$ch4_tmp/run/creature_s1000001/vertices.npy"
check_status 1 "$eval" "$ch4_tmp/run" --gt "$ch4_tmp/gt" --out "$ch4_tmp/report"
check_grep 'creature_s1000000 +failed: no result' "$ch4_tmp/out"
check_grep 'creature_s1000001 +failed: .*not a npy file' "$ch4_tmp/out"
check_grep '2 clips, 2 failed' "$ch4_tmp/out"
check_grep '"n_failed": 2' "$ch4_tmp/report/eval.json"
check_grep '^creature_s1000001,CH4_EFORMAT' "$ch4_tmp/report/eval.csv"

begin actionbench_clips_score_as_the_public_script_does
data=$(cd "$(dirname "$0")/../golden/eval/actionbench" && pwd)
mkdir -p "$ch4_tmp/bench/gt" "$ch4_tmp/bench/pred/short"
cp -r "$data/gt/001_worm" "$ch4_tmp/bench/gt/"
cp -r "$data/gt/001_worm" "$ch4_tmp/bench/gt/short"
cp -r "$data/gt/001_worm" "$ch4_tmp/bench/gt/without"
cp "$data/pred/001_worm/mesh_00.glb" "$ch4_tmp/bench/pred/short/"
cp -r "$data/pred/001_worm" "$ch4_tmp/bench/pred/"
check_status 1 "$eval" "$ch4_tmp/bench/pred" --gt "$ch4_tmp/bench/gt" --samples 3000 --icp-points 400 --no-normals --out "$ch4_tmp/bench/report"
check_grep '^001_worm,0.0487.*,0.0774.*,0.142.*,3,success,$' "$ch4_tmp/bench/report/actionbench.csv"
check_grep '^short,,,,3,error,"Not enough meshes: found 1, need 3"$' "$ch4_tmp/bench/report/actionbench.csv"
check_grep '"n_total": 2' "$ch4_tmp/bench/report/actionbench.summary.json"
check_grep '3 clips, 2 failed .1 of them without any result.' "$ch4_tmp/out"
check_grep '^without +nearest_chained' "$ch4_tmp/out"
check_status 2 "$eval" "$ch4_tmp/bench/pred" --gt "$ch4_tmp/bench/gt" --align sideways

begin minibench_truth_is_at_its_floor_and_everything_is_written
check_status 0 "$synth" minibench "$ch4_tmp/mb" --objects twister,folder --points 2000 --size 64 --quiet
check_status 0 "$1/bin/chain4d" eval "$ch4_tmp/mb/oracle" --gt "$ch4_tmp/mb/data" --out "$ch4_tmp/mb/report" --shape --grid 16
check_grep '^surfaces 2/2 ' "$ch4_tmp/err"
check_grep '^folder_static_s1 +nearest_chained ' "$ch4_tmp/out"
check_grep '^mean of 2 +oracle .* 1.000 +1.000 +0.0000$' "$ch4_tmp/out"
for f in bench.csv bench.json frames.csv bench_cd_motion.png frames_cd_motion.png shape.csv shape_iou.png; do
    check_status 0 test -s "$ch4_tmp/mb/report/$f"
done
check_grep '^twister_static_s1,static,,ok,0.0' "$ch4_tmp/mb/report/bench.csv"

begin one_bad_clip_does_not_stop_the_rest
echo junk >"$ch4_tmp/mb/oracle/folder_static_s1/mesh_03.glb"
check_status 1 "$eval" "$ch4_tmp/mb/oracle" --gt "$ch4_tmp/mb/data" --no-normals --quiet
check_grep '^folder_static_s1 +failed: .*mesh_03.glb' "$ch4_tmp/out"
check_grep '^twister_static_s1 +ours ' "$ch4_tmp/out"
check_grep '^mean of 2 +ours, failed=static' "$ch4_tmp/out"
check_grep '1 clips could not be scored' "$ch4_tmp/err"
finish
