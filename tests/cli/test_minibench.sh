#!/bin/bash
# chain4d synth minibench from the outside: the layout that chain4d-eval reads, the same bytes for any number of threads, sets, and bad calls.
source "$(dirname "$0")/../support/shell.sh"
synth=$1/bin/chain4d-synth eval=$1/bin/chain4d-eval
small="--size 64 --points 500"

begin minibench_does_not_depend_on_threads
check_status 0 "$1/bin/chain4d" synth minibench "$ch4_tmp/a" --seed 1,3 --objects worm,slider --camera static,orbit $small --threads 1
check_status 0 "$synth" minibench "$ch4_tmp/b" --seed 1,3 --objects worm,slider --camera static,orbit $small --threads 3
check diff -r "$ch4_tmp/a" "$ch4_tmp/b"
check test "$(ls "$ch4_tmp/a/data" | tr '\n' ' ')" = "slider_orbit_s1 slider_orbit_s3 slider_static_s1 slider_static_s3 worm_orbit_s1 worm_orbit_s3 worm_static_s1 worm_static_s3 "
clip=$ch4_tmp/a/data/worm_orbit_s3
for f in imgs/00.png imgs/15.png video.mp4 video_alpha.mov anchor.obj surfaces.npy gt.safetensors meta.json; do check test -s "$clip/$f"; done
check test "$(ls "$ch4_tmp/a/oracle/worm_orbit_s3" | tail -n 1)" = mesh_15.glb
check_grep '"seed": 3' "$clip/meta.json"
check_status 0 "$1/bin/chain4d-decode" --probe "$clip/video_alpha.mov"
check_grep ': 64 x 64, alpha, 16 frames$' "$ch4_tmp/out"

begin the_true_meshes_score_at_the_sampling_floor
check_status 0 "$eval" "$ch4_tmp/a/oracle" --gt "$ch4_tmp/a/data" --samples 2000
awk '/^mean.* ours / && !/failed/ { cd = $(NF - 6); motion = $(NF - 4); floor = $NF } END { exit !(cd > 0 && cd < 1.7 * floor && motion < 2 * cd) }' "$ch4_tmp/out" ||
    { echo "  the oracle is not at the floor"; grep '^mean' "$ch4_tmp/out"; ch4_bad=1; }

begin a_shorter_clip_replaces_a_longer_one
check_status 0 "$synth" minibench "$ch4_tmp/c" --frames 4 --objects worm $small
mv "$ch4_tmp/c/data/worm_static_s1_f4" "$ch4_tmp/c/data/worm_static_s1_f2"
mv "$ch4_tmp/c/oracle/worm_static_s1_f4" "$ch4_tmp/c/oracle/worm_static_s1_f2"
check_status 0 "$synth" minibench "$ch4_tmp/c" --frames 2 --objects worm $small
check test "$(ls "$ch4_tmp/c/data/worm_static_s1_f2/imgs" "$ch4_tmp/c/oracle/worm_static_s1_f2" | tr '\n' ' ' | sed 's/[^ ]*: //g')" = "00.png 01.png  mesh_00.glb mesh_01.glb "

begin sets_and_long_clips
check_status 0 "$synth" minibench "$ch4_tmp/d" --set mini-long --objects folder --frames 101 $small
check test -s "$ch4_tmp/d/data/folder_static_s1_pingpong101/imgs/100.png"
check test -s "$ch4_tmp/d/data/folder_static_s1_pingpong101/imgs/000.png"
check_status 0 "$synth" minibench "$ch4_tmp/d" --set mini-held --objects twister --camera orbit $small
check test "$(ls "$ch4_tmp/d/data" | grep -c '^twister_orbit_s100[1-4]$')" -eq 4
check_status 0 "$synth" minibench "$ch4_tmp/d" --objects walker --frames 18 --motion continuous $small
check test -s "$ch4_tmp/d/data/walker_static_s1_continuous18/gt.safetensors"
check_status 0 "$synth" creatures "$ch4_tmp/d" --frames 35 --motion pingpong $small
check cmp "$ch4_tmp/d/creature_s1000000/imgs/01.png" "$ch4_tmp/d/creature_s1000000/imgs/31.png"

begin bad_calls_are_refused_before_anything_is_written
refuse() { # regular expression, arguments
    local want=$1; shift
    check_status 2 "$synth" minibench "$ch4_tmp/x" "$@"
    check_grep "$want" "$ch4_tmp/err"
}
refuse '--seed 1,: not a list of whole numbers' --seed 1,
refuse '--seed -1: not a list' --seed -1
refuse '--seed 4-1: not a list' --seed 4-1
refuse '--seed 1,2,1: 1 is there twice' --seed 1,2,1
refuse '--seed 1-99999: more than 1024 numbers' --seed 1-99999
refuse '--seed 99999999999999999999: not a list' --seed 99999999999999999999
refuse "--objects: 'wurm' is not one of squash, worm" --objects squash,wurm
refuse "--camera: '' is not one of static, orbit" --camera ''
refuse '--frames 0: not a list of whole numbers from 1 to 4096' --frames 0
refuse 'only one of the two' --motion pingpong,continuous
refuse '--set maxi: not one of mini, mini-full' --set maxi
refuse '--size 65: .*even|65 pixels: the size must be even' --size 65
refuse '--points 0: not a whole number' --points 0
refuse 'nearest is --objects' --objcets worm
refuse 'takes one folder' second
refuse 'needs a value' --seed
check_status 2 "$synth" minibench
check test ! -e "$ch4_tmp/x"
check_status 2 "$synth" minibench "$ch4_tmp/$(printf '%03000d' 1)"
check_grep 'path too long' "$ch4_tmp/err"

begin unwritable_places_are_named
touch "$ch4_tmp/file"
check_status 1 "$synth" minibench "$ch4_tmp/file/sub" --objects worm $small
check_grep 'file.*: Not a directory' "$ch4_tmp/err"
if [ -w /dev/full ]; then
    mkdir -p "$ch4_tmp/e/data/worm_static_s1" && ln -s /dev/full "$ch4_tmp/e/data/worm_static_s1/video_alpha.mov"
    check_status 1 "$synth" minibench "$ch4_tmp/e" --objects worm $small
    check_grep 'worm_static_s1/video_alpha.mov: .*No space left on device' "$ch4_tmp/err"
    check test ! -e "$ch4_tmp/e/data/worm_static_s1/meta.json"
    rm "$ch4_tmp/e/data/worm_static_s1/video_alpha.mov" && ln -s /dev/full "$ch4_tmp/e/data/worm_static_s1/meta.json" && mkdir -p "$ch4_tmp/e/data/worm_static_s1/imgs/07.png"
    check_status 1 "$synth" minibench "$ch4_tmp/e" --objects worm $small
    check_grep 'worm_static_s1/imgs/07.png: Is a directory' "$ch4_tmp/err"
fi
finish
