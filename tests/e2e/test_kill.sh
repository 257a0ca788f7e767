# The real stages under fire: whatever is killed or held up, and whatever the number of threads and of windows on their way, all files of the clip
# (window files, results, summary.json) are the same bytes.
. "$(dirname "$0")/../support/shell.sh"
bin=$1/bin
cd "$(dirname "$0")/../.." || exit 1
t=$ch4_tmp
opts=(--quiet --set sink.keep=true --set pipeline.heartbeat_s=0.1 --set chain.resolution=16 --set chain.anchor_resolution=16 --set chain.landmarks=200)
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
nothing_left() { # output folder: no socket, no process (and no zombie, which would be a child of this shell)
    [ ! -e "$t/$1/bus" ] && ! pgrep -f -- "--run $t/$1 "
}

begin undisturbed
check_status 0 "$bin/chain4d-synth" creatures "$t/syn" --frames 46 --size 64 --points 100
mkdir "$t/in" && mv "$t"/syn/*/video.mp4 "$t/in/clip.mp4"
check run ref --threads 1
check test -s "$t/ref/clip/vertices.npy" -a -s "$t/ref/clip/w0002.pose.h5" -a ! -e "$t/ref/clip/w0003.pose.h5"

begin two_threads_one_window_same_bytes
check run two --threads 2 --set pipeline.windows=1
check same two

begin stages_held_up_same_bytes
run held --threads 2 --set pipeline.windows=4 & job=$!
await "$t/held/run.log"
RANDOM=7
while kill -0 $job 2>/dev/null; do # a stage at random stands still, for longer than its heartbeat and shorter than its deadline
    s=(decode denoise chain animate pose); s=${s[RANDOM % 5]}
    pid=$(pid_of "$t/held" $s)
    [ -n "$pid" ] && kill -STOP "$pid" 2>/dev/null && sleep 0.$((RANDOM % 5 + 1)) && kill -CONT "$pid"
    sleep 0.05
done
wait $job; check test $? -eq 0
check same held

begin every_stage_killed # with one window behind it, so that what it remembered of that one is lost
run killed & job=$!
for s in decode denoise chain animate pose; do
    case $s in
    decode) await "$t/killed/run.log"; until [ -n "$(pid_of "$t/killed" decode)" ] || ! kill -0 $job 2>/dev/null; do sleep 0.02; done ;;
    *) await "$t/killed/clip/w0000.$s.h5" ;;
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
check nothing_left stopped
check run stopped
check same stopped

begin interrupted_twice_ends_at_once
run hasty & job=$!
await "$t/hasty/clip/w0000.denoise.h5"
pid=$(pid_of "$t/hasty" chain4d run)
check kill -STOP "$(pid_of "$t/hasty" chain)" # one that does not end by itself
start=$(date +%s%N)
check kill -INT "$pid"; sleep 0.3; check kill -INT "$pid"
wait $job; check test $? -eq 130
check test $((($(date +%s%N) - start) / 1000000)) -lt 2000
check nothing_left hasty
check grep -q 'stopping at once' "$t/hasty.txt"

begin no_stage_died_of_a_sanitizer # a restart would hide it
check test -z "$(grep -hE 'Sanitizer|runtime error' "$t"/*/run.log)"
finish
