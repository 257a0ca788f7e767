# The real stages under fire: whatever is killed, and whatever the number of threads, the files of the clip are the same bytes.
. "$(dirname "$0")/../support/shell.sh"
bin=$1/bin
cd "$(dirname "$0")/../.." || exit 1
t=$ch4_tmp
opts=(--quiet --set sink.keep=true --set pipeline.heartbeat_s=0.1 --set chain.resolution=16 --set chain.anchor_resolution=20)
run() { # output folder, more options...
    local out=$1; shift
    "$bin/chain4d" run "$t/in/clip.mp4" -o "$t/$out" "${opts[@]}" "$@" >"$t/$out.txt" 2>&1
}
await() { # file
    local i
    for i in $(seq 1 1200); do [ -e "$1" ] && return 0; sleep 0.05; done
    echo "  $1 did not appear"; return 1
}
pid_of() { # run folder, process: of its latest life
    grep '"who":"'"$2"'","event":"'"${3:-ready}"'"' "$1/run.log" | tail -n 1 | sed 's/.*"pid":\([0-9]*\).*/\1/'
}
same() { # output folder: against the undisturbed run
    diff -r "$t/ref/clip" "$t/$1/clip" >"$t/diff.txt" || { head -n 5 "$t/diff.txt"; return 1; }
}

begin undisturbed
check_status 0 "$bin/chain4d-synth" creatures "$t/syn" --frames 31 --size 64
mkdir "$t/in" && mv "$t"/syn/*/video.mp4 "$t/in/clip.mp4"
check run ref --threads 1
check test -s "$t/ref/clip/vertices.npy" -a -s "$t/ref/clip/w0001.pose.h5"

begin two_threads_same_bytes
check run two --threads 2
check same two

begin every_stage_killed
run killed & job=$!
for s in decode denoise chain animate pose; do
    case $s in
    decode) await "$t/killed/run.log"; until [ -n "$(pid_of "$t/killed" decode)" ] || ! kill -0 $job 2>/dev/null; do sleep 0.02; done ;;
    denoise) await "$t/killed/clip/w0000.decode.h5" ;;
    chain) await "$t/killed/clip/w0000.denoise.h5" ;;
    animate) await "$t/killed/clip/w0000.chain.h5" ;;
    pose) await "$t/killed/clip/w0000.animate.h5" ;;
    esac
    check kill -9 "$(pid_of "$t/killed" $s)"
done
wait $job; check test $? -eq 0
check same killed
check test "$(grep -c 'stage died, will be started again' "$t/killed/run.log")" -eq 5

begin orchestrator_killed
run broken & job=$!
await "$t/broken/clip/w0000.denoise.h5"
kill -9 "$(pid_of "$t/broken" chain4d run)"
wait $job 2>/dev/null
sleep 0.2
check test ! -e "$t/broken/clip/summary.json"
check run broken
check same broken

begin stopped_by_signal
run stopped & job=$!
await "$t/stopped/clip/w0000.denoise.h5"
kill -TERM "$(pid_of "$t/stopped" chain4d run)"
wait $job; check test $? -eq 143
check run stopped
check same stopped
finish
