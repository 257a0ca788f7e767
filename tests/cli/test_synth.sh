#!/bin/bash
# chain4d-synth from the outside: what a clip folder holds, that threads do not change it, and what is said about bad calls.
source "$(dirname "$0")/../support/shell.sh"
synth=$1/bin/chain4d-synth

begin help_states_the_seed_rule
check_status 0 "$synth" --help
check_grep 'Training uses seeds 1 to 999999, evaluation' "$ch4_tmp/out"

begin clip_folders_are_whole_and_do_not_depend_on_threads
check_status 0 "$synth" creatures "$ch4_tmp/a/b" --clips 2 --frames 5 --size 64 --points 200 --threads 1
check_status 0 "$synth" creatures "$ch4_tmp/c" --clips 2 --frames 5 --size 64 --points 200 --threads 3
for f in imgs/00.png imgs/04.png video.mp4 anchor.obj surfaces.npy gt.safetensors meta.json; do
    check test -s "$ch4_tmp/a/b/creature_s1000000/$f"
done
check test ! -e "$ch4_tmp/a/b/creature_s1000000/imgs/05.png"
check diff -r "$ch4_tmp/a/b" "$ch4_tmp/c"
check_grep '"seed": 1000001' "$ch4_tmp/c/creature_s1000001/meta.json"

begin usage_errors_exit_2
check_status 2 "$synth"
check_status 2 "$synth" creatures
check_status 2 "$synth" creatures "$ch4_tmp/x" --clips 0
check_grep '--clips 0: not a whole number from 1 to 1000000' "$ch4_tmp/err"
check_status 2 "$synth" creatures "$ch4_tmp/x" --plans cat
check_grep "unknown body plan 'cat'" "$ch4_tmp/err"
check_status 2 "$synth" creatures "$ch4_tmp/x" --size 65
check_grep 'even' "$ch4_tmp/err"
check_status 2 "$synth" shard "$ch4_tmp/x" --frames 8
check_status 2 "$synth" creatures "$ch4_tmp/x" --no-such-option
check test ! -e "$ch4_tmp/x"

begin unwritable_places_exit_1_with_file_and_reason
check_status 1 "$synth" shard "$ch4_tmp/nowhere/x.safetensors"
check_grep 'nowhere/x.safetensors: No such file or directory' "$ch4_tmp/err"
touch "$ch4_tmp/file"
check_status 1 "$synth" creatures "$ch4_tmp/file/sub" --frames 1 --size 64
check_grep 'file.*: Not a directory' "$ch4_tmp/err"
if [ -w /dev/full ]; then
    mkdir -p "$ch4_tmp/d/creature_s1000000" && ln -s /dev/full "$ch4_tmp/d/creature_s1000000/anchor.obj"
    check_status 1 "$synth" creatures "$ch4_tmp/d" --frames 1 --size 64
    check_grep 'anchor.obj: No space left on device' "$ch4_tmp/err"
fi
finish
