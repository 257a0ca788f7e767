# Weights that do not fit: a process under a memory limit dies with all weights in memory and works, to the same bytes, with one layer at a time.
source "$(dirname "$0")/../support/shell.sh"
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
net=$build/tests/long/full_size
model=$ch4_tmp/model

mkdir "$model"
printf 'name: large\nnetworks: {denoiser: {path: denoiser}}\n' >"$model/model.yaml"
"$net" write "$model" '{"width": 512, "num_layers": 9, "num_attention_heads": 4, "num_tokens_nominal": 64}' >/dev/null # 170 MB

begin both_ways_give_the_same_bytes
check_status 0 "$net" forward "$model" stored none "$ch4_tmp/all"
check_status 0 "$net" forward "$model" stored layers "$ch4_tmp/layers"
check cmp "$ch4_tmp/all" "$ch4_tmp/layers"
private=$(sed -n 's/.* \([0-9.]*\) GiB private$/\1/p' "$ch4_tmp/out")

begin a_limit_that_only_layers_keep
if [[ $build == *san* || $build == */fuzz ]]; then
    skip "a sanitizer's own memory counts against the limit"
else
    limit=$(awk "BEGIN {print int($private * 1048576 + 50000)}") # KiB: what one layer at a time took, and 50 MB
    limited() { (ulimit -d "$limit" && exec timeout 60 "$net" forward "$model" stored "$1" "$2"); }
    check_status 0 limited layers "$ch4_tmp/limited"
    check cmp "$ch4_tmp/all" "$ch4_tmp/limited"
    check_status 1 limited none "$ch4_tmp/never"
    check_grep 'cannot allocate [0-9]+ bytes' "$ch4_tmp/err"
fi

begin a_run_has_the_same_result
run() { "$build/bin/chain4d" run "$root/examples/walker.mp4" --set decode.max_frames=3 --set denoise.steps=2 -o "$ch4_tmp/run.$1" "${@:2}"; }
check_status 0 run stored
check_status 0 run layers --set denoise.offload=layers
check_status 0 run wide --set denoise.weights=float32
check_status 0 run rounded --set denoise.weights=bfloat16
for way in layers wide; do check cmp "$ch4_tmp/run.stored/walker/vertices.npy" "$ch4_tmp/run.$way/walker/vertices.npy"; done
check cmp "$ch4_tmp/run.stored/walker/vertices.npy" "$ch4_tmp/run.rounded/walker/vertices.npy" # half-precision files are not rounded again
finish
