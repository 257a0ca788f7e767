#!/bin/bash
# chain4d calibrate on three small clips: finds a better head than a bad one, the same with any number of jobs, and changes model.yaml only when told to.
source "$(dirname "$0")/../support/shell.sh"
build=$(cd "$1" && pwd)
bundled=$(cd "$(dirname "$0")/../.." && pwd)/models/mini
cd "$ch4_tmp" || exit 1
mkdir model
ln -s "$bundled"/* model/
rm model/model.yaml
# Layer 0 sees nothing of the other frames that it could match by: a choice that must lose.
sed '/^attention:/,/^chain:/{s/^  layers: \[[^]]*\]/  layers: [0]/; s/^  heads: \[[^]]*\]/  heads: [1]/}' "$bundled/model.yaml" >model/model.yaml
cp model/model.yaml before.yaml
"$build/bin/chain4d-synth" creatures clips --seed 1000500 --clips 3 --size 128 --points 500 --quiet || exit 1
small="--points 48 --frames 2 --shortlist 2 --best-steps 1 --most 2 --set denoise.steps=2 --accept 1 --quiet"

begin finds_and_shows
check_status 0 "$build/bin/chain4d" calibrate clips --model model $small --jobs 2 --csv two.csv --json two.json
check_grep 'no motion' "$ch4_tmp/out"
check_grep '^model.yaml now: layers \[0\], heads \[1\]' "$ch4_tmp/out"
check_grep '^- +layers: \[0\]' "$ch4_tmp/out"
check_grep '^[+] +layers: \[' "$ch4_tmp/out"
check_grep 'Nothing was written' "$ch4_tmp/out"
check cmp -s model/model.yaml before.yaml

begin same_for_any_number_of_jobs
check_status 0 "$build/bin/chain4d" calibrate clips --model model $small --jobs 1 --csv one.csv --json one.json
check cmp -s one.csv two.csv
check cmp -s one.json two.json

begin writes_when_told
check_status 0 "$build/bin/chain4d" calibrate clips --model model $small --write
check test "$(diff before.yaml model/model.yaml | grep -c '^>')" -ge 2
check_grep 'paired with heads' model/model.yaml
check test "$(ls model | grep -c 'model.yaml')" -eq 1
check_status 0 "$build/bin/chain4d" model check model

begin held_out_clips_do_not_choose
check_status 3 "$build/bin/chain4d" calibrate clips --model model $small --holdout 2
check_grep 'two or more are needed' "$ch4_tmp/err"

begin wrong_calls
check_status 2 "$build/bin/chain4d" calibrate clips
check_status 2 "$build/bin/chain4d" calibrate clips --model model --set attention.layers=3
check_grep 'what is looked for' "$ch4_tmp/err"
check_status 3 "$build/bin/chain4d" calibrate nowhere --model model
finish
