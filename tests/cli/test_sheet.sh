#!/bin/bash
# chain4d-sheet from the outside: the picture, what is said about bad calls and bad results.
source "$(dirname "$0")/../support/shell.sh"
sheet=$1/bin/chain4d-sheet

npy() { # descr, shape, data as printf escapes
    local header
    header=$(printf '%-117s' "{'descr': '$1', 'fortran_order': False, 'shape': ($2), }")
    printf '\x93NUMPY\x01\x00\x76\x00%s\n'"$3" "$header"
}
clip() { # folder: one triangle in two frames; in the second it is moved by 1 along z
    local o='\x00\x00\x00\x00' i='\x00\x00\x80\x3f'
    mkdir -p "$1"
    npy '<f4' '2, 3, 3' "$o$o$o$i$o$o$o$i$o$o$o$i$i$o$i$o$i$i" >"$1/vertices.npy"
    npy '<i4' '1, 3' "$o"'\x01\x00\x00\x00\x02\x00\x00\x00' >"$1/faces.npy"
}

begin a_sheet_is_a_png_of_the_size_that_is_told
check_status 0 "$sheet" --help
clip "$ch4_tmp/run/clip"
check_status 0 "$sheet" "$ch4_tmp/run/clip" --size 32
check_grep 'run/clip/sheet.png: 66 x 32 pixels .*mesh only' "$ch4_tmp/out"
check test "$(head -c 4 "$ch4_tmp/run/clip/sheet.png" | tail -c 3)" = PNG
check_status 0 "$sheet" "$ch4_tmp/run/clip" --size 32 --columns 1 --view 90,-20 -o "$ch4_tmp/other.png"
check_grep 'other.png: 32 x 74 pixels' "$ch4_tmp/out"
check_status 0 "$sheet" "$ch4_tmp/run/clip" --view front --rows 1 --columns 1 -o "$ch4_tmp/other.png"
check_grep 'other.png: 128 x 128 pixels' "$ch4_tmp/out"

begin usage_errors_exit_2
check_status 2 "$sheet"
check_status 2 "$sheet" "$ch4_tmp/run/clip" "$ch4_tmp/run/clip"
check_status 2 "$sheet" "$ch4_tmp/run/clip" --columns 0
check_grep '--columns 0: not a whole number from 1 to 64' "$ch4_tmp/err"
check_status 2 "$sheet" "$ch4_tmp/run/clip" --view side
check_status 2 "$sheet" "$ch4_tmp/run/clip" --view 10
check_status 2 "$sheet" "$ch4_tmp/run/clip" --view nan,0
check_grep '--view nan,0: not camera, front or AZIMUTH,ELEVATION' "$ch4_tmp/err"
check_status 2 "$sheet" "$ch4_tmp/run/clip" --no-such-option

begin bad_results_exit_3_with_file_and_reason
check_status 3 "$sheet" "$ch4_tmp/nowhere"
check_grep 'nowhere/vertices.npy: No such file or directory' "$ch4_tmp/err"
check_status 3 "$sheet" "$ch4_tmp/run/clip" --view camera
check_grep 'run/clip/cameras.json' "$ch4_tmp/err"
clip "$ch4_tmp/run/cut"
truncate -s 150 "$ch4_tmp/run/cut/vertices.npy"
check_status 3 "$sheet" "$ch4_tmp/run/cut"
check_grep 'cut/vertices.npy: .*do not fit the shape' "$ch4_tmp/err"
clip "$ch4_tmp/run/damaged"
echo junk >"$ch4_tmp/run/damaged/w0000.decode.h5"
check_status 3 "$sheet" "$ch4_tmp/run/damaged"
check_grep 'damaged/w0000.decode.h5' "$ch4_tmp/err"

begin unwritable_places_exit_1
check_status 1 "$sheet" "$ch4_tmp/run/clip" -o "$ch4_tmp/nowhere/x.png"
check_grep 'nowhere/x.png: No such file or directory' "$ch4_tmp/err"
finish
