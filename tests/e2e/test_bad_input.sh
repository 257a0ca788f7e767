#!/bin/bash
# `chain4d run` with the real decode stage, and stand-ins for the stages behind it (tests/e2e/test_run.c): bad input gets one line with file,
# reason and what to do, exit code 3, and leaves other clips of the same call unharmed.
. "$(dirname "$0")/../support/shell.sh"
build=$(cd "$1" && pwd)
cd "$ch4_tmp" || exit 1
mkdir bin model
echo "name: none" >model/model.yaml
for name in chain4d chain4d-denoise chain4d-chain chain4d-animate chain4d-pose; do cp "$build/tests/e2e/test_run" bin/$name; done
cp "$build/bin/chain4d-decode" bin/
run() { bin/chain4d run "$@" --model model --quiet --set sink.keep=true; }
object() { # FILE FRAMES [ffmpeg options]: a red box on white
    ffmpeg -v error -y -f lavfi -i color=white:s=96x72:r=16 -f lavfi -i color=red:s=30x20:r=16 -filter_complex '[0][1]overlay=x=10+32*t:y=20' \
        -frames:v "$2" -c:v libx264 -pix_fmt yuv420p "${@:3}" "$1"
}
bad() { # FILE REASON: beside a good clip, FILE alone fails, with exactly one line about it
    rm -rf result
    check_status 3 run good.mp4 "$1" -o result
    check_grep "$1: .*$2" err
    check test "$(grep -c "$1" err)" -eq 1
    check test -s result/good/summary.json
    check test ! -e "result/${1%.*}/summary.json"
}
if ! command -v ffmpeg >/dev/null; then begin bad_input; skip "no ffmpeg program here"; finish; fi
object good.mp4 20

begin not_a_video
: >empty.mp4
seq 500 >text.mp4
mkdir pictures
ffmpeg -v error -y -f lavfi -i sine=d=1 sound.wav
bad empty.mp4 "empty: give"
bad text.mp4 "not a video.*: give"
bad pictures "no picture"
bad sound.wav "no video stream.*: give"
bad absent.mp4 "No such file"

begin no_foreground
ffmpeg -v error -y -f lavfi -i color=white:s=96x72:r=16 -frames:v 20 -c:v libx264 blank.mp4
ffmpeg -v error -y -f lavfi -i testsrc2=s=96x72:r=16 -frames:v 20 -c:v libx264 busy.mp4
bad blank.mp4 "frame 0: no foreground found.*--mask"
bad busy.mp4 "frame 0: no alpha and no uniform background.*--mask"

begin cut_off_files
ffmpeg -v error -y -f lavfi -i color=white:s=128x96:r=16 -f lavfi -i testsrc2=s=64x48:r=16 -filter_complex '[1]noise=alls=60:allf=t[f];[0][f]overlay=x=30:y=20' \
    -frames:v 60 -c:v libx264 -g 10 -crf 10 -pix_fmt yuv420p -movflags +faststart whole.mp4
head -c $(($(stat -c %s whole.mp4) * 6 / 10)) whole.mp4 >cut.mp4
head -c 600 good.mp4 >stub.mp4
check_status 0 run cut.mp4 -o out_cut
check_grep "cut.mp4: cut off after [0-9]+ of 60 frames.*: using what is there" err
check test -s out_cut/cut/summary.json
bad stub.mp4 "cut off or damaged: the index.*: copy"

begin short_clips_are_no_error
object one.mp4 1
object eight.mp4 8
check_status 0 run one.mp4 eight.mp4 -o out_short
check test -s out_short/one/w0000.decode.h5
check test ! -e out_short/eight/w0001.decode.h5

begin anchor_beyond_the_end_is_usage
check_status 2 run good.mp4 -o out_far --set anchor.frame=20
check_grep "good.mp4: anchor.frame is 20, but the clip has only 20 frames" err

begin unreadable_file
cp good.mp4 locked.mp4
chmod 0 locked.mp4
if [ "$(id -u)" -eq 0 ]; then skip "root reads everything"; else bad locked.mp4 "Permission denied"; fi
finish
