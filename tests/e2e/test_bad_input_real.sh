# Bad input with all real stages (test_bad_input.sh looks closer at decode, with stand-ins behind it): in one call every bad clip gets exactly one
# line with file, reason and what to do, the others complete; bad meshes; a full disk; a folder that cannot be written.
. "$(dirname "$0")/../support/shell.sh"
bin=$(cd "$1/bin" && pwd)
cd "$ch4_tmp" || exit 1
if ! command -v ffmpeg >/dev/null; then begin bad_input_real; skip "no ffmpeg program here"; finish; fi
run() { "$bin/chain4d" run "$@" --quiet --set sink.keep=true --set chain.resolution=16 --set chain.anchor_resolution=16 --set chain.landmarks=200; }
one_line() { # FILE REASON: exactly one line of err names it, and so
    check test "$(grep -c "$1" err)" -eq 1
    check_grep "$1: .*$2" err
    check test ! -e "result/${1%.*}/summary.json"
}
complete() { check test -s "$1/mesh.glb" -a -s "$1/vertices.npy" -a -s "$1/cameras.json" -a -s "$1/tracks.h5" -a -s "$1/summary.json"; }

begin several_clips_some_bad
check_status 0 "$bin/chain4d-synth" creatures synth --frames 20 --size 64 --points 100
mv synth/*/video.mp4 good.mp4
mv synth/*/anchor.obj anchor.obj
ffmpeg -v error -i good.mp4 -frames:v 1 one.mp4
ffmpeg -v error -i good.mp4 -frames:v 8 eight.mp4
ffmpeg -v error -i good.mp4 -c copy -movflags +faststart whole.mp4
head -c $(($(stat -c %s whole.mp4) * 6 / 10)) whole.mp4 >cut.mp4
head -c $(($(stat -c %s good.mp4) * 6 / 10)) good.mp4 >headless.mp4
ffmpeg -v error -f lavfi -i color=white:s=64x64:r=12 -frames:v 4 -c:v libx264 blank.mp4
: >empty.mp4
seq 500 >text.mp4
mkfifo pipe.mp4
check_status 3 run empty.mp4 good.mp4 text.mp4 headless.mp4 cut.mp4 blank.mp4 one.mp4 absent.mp4 eight.mp4 pipe.mp4 -o result
mv "$ch4_tmp/err" lines; cp lines err
one_line empty.mp4 "the file is empty: give a video"
one_line text.mp4 "not a video.*: give a video"
one_line headless.mp4 "cut off or damaged: the index.*missing.*: copy or record it again"
one_line blank.mp4 "no foreground found.*: choose another with anchor.frame, or give a mask with --mask"
one_line absent.mp4 "No such file or directory: check the path"
one_line pipe.mp4 "neither a file nor a folder: "
check_grep "cut.mp4: cut off after [0-9]+ of 20 frames.*: using what is there" err
for clip in good cut one eight; do complete result/$clip; done
check test -e result/good/w0001.pose.h5
check_grep '"frames": 1,' result/one/summary.json
check_grep '"frames": 8,' result/eight/summary.json

begin meshes
sed '3s/.*/v nan 0 0/' anchor.obj >nan.obj
head -c 20000 anchor.obj >cut.obj
: >empty.obj
seq 20 >text.glb
for m in nan.obj cut.obj empty.obj text.glb; do
    check_status 3 run one.mp4 --mesh $m -o mesh_bad
    check test "$(wc -l <err)" -eq 1
    check_grep "^chain4d: .*/$m: .*: repair it or give another" err
    rm -rf mesh_bad
done
# An edge of three faces, a face twice, one turned over, and a vertex that no face uses: all keep their place.
awk '{ print } /^v / { v++ } /^f / && !done { split($2, a, "/"); split($3, b, "/"); split($4, c, "/"); done = 1
       more = "f " a[1] " " b[1] " " 40 "\nf " a[1] " " b[1] " " 80 "\nf " c[1] " " b[1] " " a[1] "\n" $0 } END { print more; print "v 0.1 0.2 0.3" }' anchor.obj >tangled.obj
check_status 0 run one.mp4 --mesh tangled.obj -o mesh_tangled
complete mesh_tangled/one
check_grep "\"vertices\": $(grep -c '^v ' tangled.obj)," mesh_tangled/one/summary.json

begin full_disk
mkdir small
if ! mount -t tmpfs -o size=400k none small 2>/dev/null; then
    skip "no small file system can be mounted here"
else
    check_status 3 run good.mp4 one.mp4 -o small/out
    check test "$(grep -c 'No space left on device: make room, or choose another folder with -o' err)" -eq "$(wc -l <err)"
    check_grep "^chain4d: good.mp4: " err
    check test ! -e small/out/good/summary.json -a ! -e small/out/bus
    head -c 1M /dev/zero >small/filler 2>/dev/null
    check_status 3 run one.mp4 -o small/other
    check_grep '^chain4d: .*No space left on device: ' err
    check test "$(wc -l <err)" -eq 1
    umount small
fi

begin read_only_folder
mkdir locked
if ! mount -t tmpfs -o size=64k none locked 2>/dev/null || ! mkdir locked/old || ! mount -o remount,ro locked; then
    skip "no read-only file system can be mounted here"
else
    for out in locked/old locked/new; do
        check_status 3 run one.mp4 -o $out
        check_grep "^chain4d: output folder: .*$out.*: Read-only file system: choose another one with -o$" err
        check test "$(wc -l <err)" -eq 1
    done
    umount locked
fi

begin unreadable
cp one.mp4 secret.mp4
chmod 0 secret.mp4
if [ -r secret.mp4 ]; then skip "this user reads everything"; else
    check_status 3 run secret.mp4 -o result_secret
    check_grep '^chain4d: .*secret.mp4: Permission denied: check the path and its permissions$' err
fi

begin no_stage_died_of_a_sanitizer # a restart would hide it
check test -z "$(grep -hE 'Sanitizer|runtime error' */run.log)"
finish
