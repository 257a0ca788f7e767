# Looking into a real run with real stages: taps, status, the trace, what stays when it dies; record and replay.
. "$(dirname "$0")/../support/shell.sh"
bin=$(realpath "$1/bin")
t=$ch4_tmp
opts=(--quiet --set sink.keep=true --set chain.resolution=16 --set chain.anchor_resolution=16 --set chain.landmarks=200)

begin listeners_change_nothing
check_status 0 "$bin/chain4d-synth" creatures "$t/syn" --frames 31 --size 64 --points 100
mv "$t"/syn/*/video.mp4 "$t/clip.mp4"
check_status 0 "$bin/chain4d" run "$t/clip.mp4" -o "$t/ref" "${opts[@]}"
"$bin/chain4d" tap denoise --run "$t/watched" --wait 60 --sent --dump "$t/dump" --strict >"$t/denoise.txt" 2>&1 & tap1=$!
"$bin/chain4d" tap chain --run "$t/watched" --wait 60 >"$t/chain.txt" 2>&1 & tap2=$!
"$bin/chain4d" tap decode --run "$t/watched" --wait 60 --sent --window 1 --dump "$t/dump" >"$t/decode.txt" 2>&1 & tap3=$!
"$bin/chain4d" tap chain --run "$t/watched" --wait 60 --hz --bw >"$t/rates.txt" 2>&1 & tap4=$!
"$bin/chain4d" tap pose --run "$t/watched" --wait 60 --once --sent --clip clip >"$t/once.txt" 2>&1 & tap5=$!
"$bin/chain4d" record chain --run "$t/watched" --wait 60 -o "$t/chain.rec" >"$t/record.txt" 2>&1 & rec=$!
"$bin/chain4d" run "$t/clip.mp4" -o "$t/watched" "${opts[@]}" --set pipeline.windows=1 --trace "$t/trace.json" --strict >"$t/run.txt" 2>&1 & run=$!
for i in $(seq 600); do [ -e "$t/watched/clip/w0000.decode.h5" ] && break; sleep 0.05; done
sleep 1.2
"$bin/chain4d" status "$t/watched" --once >"$t/live.txt"; check test $? -eq 0
wait $run; check test $? -eq 0
for pid in $tap1 $tap2 $tap3 $tap4 $tap5 $rec; do wait $pid; check test $? -eq 0; done
check diff -r "$t/ref/clip" "$t/watched/clip"

begin taps_show_what_passed
check_grep ' sent     clip w0000 of 2  16 frames  denoise .* worked [0-9.]+ s, waited' "$t/denoise.txt"
check_grep ' sent     clip w0001 of 2 ' "$t/denoise.txt"
check test "$(grep -c received "$t/denoise.txt")" -eq 0
check test "$(grep -c ' clip w0' "$t/chain.txt")" -eq 4
check_grep 'received clip  end, 2 windows' "$t/chain.txt"
check test "$(grep -c ' clip w0' "$t/decode.txt")" -eq 1
check_grep 'sent     clip w0001 ' "$t/decode.txt"
check_grep '^chain  [0-9.]+ windows/s  .*/s  \([0-9]+ windows in ' "$t/rates.txt"
check test "$(wc -l <"$t/once.txt")" -eq 1
for f in frames alpha time; do check test -s "$t/dump/clip/w0001.decode/$f.npy"; done
check test ! -e "$t/dump/clip/w0000.decode"
for f in frames.png alpha.png; do check test "$(head -c 4 "$t/dump/clip/w0001.decode/$f" | tail -c 3)" = PNG; done
for f in latents.npy attention.png patch.dense.png patch.dense.npy; do check test -s "$t/dump/clip/w0000.denoise/$f"; done

begin status_of_a_run_at_work_and_done
check_grep '/watched: working; as of ' "$t/live.txt"
check_grep '^denoise  [a-z ]+ +[0-9]+ +[0-9]+ .* MB  cpu' "$t/live.txt"
check_grep '^clip: working, 0 of 2 windows' "$t/live.txt"
check_status 0 "$bin/chain4d" status "$t/watched"
check_grep '/watched: done, exit 0; as of ' "$t/out"
check_grep '^pose     gone +2 ' "$t/out"
check_grep '^clip: done, 2 of 2 windows' "$t/out"
check_status 0 "$bin/chain4d" status "$t/watched" --json
check_grep '"run": "done"' "$t/out"
check_status 1 "$bin/chain4d" tap chain --run "$t/watched"
check_grep 'nothing runs there any more: see `chain4d status' "$t/err"
check_status 1 "$bin/chain4d" record chain --run "$t/watched" -o "$t/late.rec"

begin latency_and_trace
check_grep '^latency of 2 windows in seconds' "$t/run.txt"
check_grep 'waited longest ' "$t/run.txt"
check_grep '^  cycle    chain, animate, chain ' "$t/run.txt"
check_grep '^  denoise  works ' "$t/run.txt"
check test "$(head -n 1 "$t/trace.json")$(tail -n 1 "$t/trace.json")" = '[]'
for s in decode denoise chain animate pose; do
    check test "$(grep -c '"name":"clip w000[01]","cat":"work".*"file":"clip/w000[01].'$s'.h5"' "$t/trace.json")" -eq 2
done
check test "$(grep -c '"ph":"s"' "$t/trace.json")" -eq 8
check test "$(grep -c '"ph":"f"' "$t/trace.json")" -eq 8
check_grep '"name":"waits for room behind decode","cat":"wait"' "$t/trace.json"

begin the_recorded_stage_alone_makes_the_same_bytes
check_grep '^2 windows received, 2 sent, [0-9]+ files' "$t/record.txt"
check_status 0 "$bin/chain4d" replay "$t/chain.rec" --stage chain -o "$t/again"
check_grep '^clip w0000: the same bytes' "$t/out"
check_grep '^clip w0001: the same bytes' "$t/out"
for w in w0000 w0001; do check cmp "$t/ref/clip/$w.chain.h5" "$t/again/clip/$w.chain.h5"; done
check_status 1 "$bin/chain4d" replay "$t/chain.rec" --stage chain -o "$t/other" --set chain.landmarks=100
check_grep '^clip w0000: other bytes than recorded' "$t/out"

begin a_cut_recording_is_read_as_far_as_it_goes
head -c $(($(stat -c %s "$t/chain.rec") - 10)) "$t/chain.rec" >"$t/cut.rec"
check_status 0 "$bin/chain4d" replay "$t/cut.rec" --stage chain -o "$t/cut"
check_grep 'cut off' "$t/err"
check_status 2 "$bin/chain4d" replay "$t/chain.rec" --stage pose -o "$t/wrong"
check_grep 'is a recording of chain' "$t/err"
check_status 3 "$bin/chain4d" replay "$t/clip.mp4" --stage chain -o "$t/wrong"
check_grep 'clip.mp4: not a recording' "$t/err"

begin a_dead_run_is_told_as_such
"$bin/chain4d" run "$t/clip.mp4" -o "$t/dead" "${opts[@]}" >/dev/null 2>&1 & run=$!
for i in $(seq 600); do [ -e "$t/dead/clip/w0000.decode.h5" ] && break; sleep 0.05; done
"$bin/chain4d" tap pose --run "$t/dead" --once >"$t/tap.txt" 2>&1 & tap1=$!
sleep 1.2; kill -9 $run; wait $run 2>/dev/null
wait $tap1; check test $? -eq 1
check_status 1 "$bin/chain4d" status "$t/dead"
check_grep '/dead: died: nothing works there' "$t/out"
check_status 1 "$bin/chain4d" status "$t/dead" --json
check_grep '"run": "died"' "$t/out"
finish
