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
finish
