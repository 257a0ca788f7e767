#!/bin/bash
# chain4d-decode --probe: one line per input, and for a bad one the file, the reason and exit code 3.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../support/shell.sh"
probe="$(cd "$1" && pwd)/bin/chain4d-decode --probe"
cd "$ch4_tmp" || exit 1
movie() { ffmpeg -v error -y -f lavfi -i color=red:s=64x48:r=8 "$@"; }

begin bad_inputs_are_named_with_their_reason
: >empty.mp4
seq 500 >text.mp4
mkdir nothing
for bad in "empty.mp4:empty" "text.mp4:not a video" "nothing:no picture" "absent.mp4:No such file" "text.mp4/x.mp4:Not a directory"; do
    check_status 3 $probe "${bad%%:*}"
    check_grep "^${bad%%:*}: .*${bad#*:}" err
    check test "$(wc -l <err)" -eq 1
    check test ! -s out
done

begin unreadable_file
cp text.mp4 locked.mp4
chmod 0 locked.mp4
if [ "$(id -u)" -eq 0 ]; then skip "root reads everything"; else
    check_status 3 $probe locked.mp4
    check_grep "^locked.mp4: .*Permission denied" err
fi

begin good_inputs_are_described
if ! command -v ffmpeg >/dev/null; then skip "no ffmpeg program here"; else
    movie -frames:v 5 good.mp4
    mkdir pictures
    movie -vf format=rgba -frames:v 3 pictures/%d.png
    check_status 0 $probe good.mp4 pictures
    check_grep "^good.mp4: 64 x 48, 5 frames$" out
    check_grep "^pictures: 64 x 48, alpha, 3 frames$" out
fi

begin files_without_pictures
if ! command -v ffmpeg >/dev/null; then skip "no ffmpeg program here"; else
    movie -frames:v 5 good.mp4
    ffmpeg -v error -y -f lavfi -i sine=d=1 sound.mp4
    head -c 300 good.mp4 >stub.mp4
    movie -frames:v 0 none.mkv 2>/dev/null
    check_status 3 $probe good.mp4 sound.mp4 stub.mp4 none.mkv
    check_grep "^good.mp4: 64 x 48, 5 frames$" out
    check_grep "^sound.mp4: no video stream" err
    check_grep "^stub.mp4: cut off or damaged" err
    check_grep "^none.mkv: " err
    check test "$(wc -l <err)" -eq 3
fi
finish
