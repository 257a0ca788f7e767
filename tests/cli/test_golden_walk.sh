#!/bin/bash
# chain4d-golden from the outside: how cases are found and named, and that nothing passes in silence.
. "$(dirname "$0")/../support/shell.sh"
golden=$(cd "$1" && pwd)/bin/chain4d-golden
here=$(cd "$(dirname "$0")" && pwd)
cases=$here/../golden
cd "$ch4_tmp" || exit 1

begin list_names_the_kinds
check_status 0 "$golden" --list
check_grep '^image_preproc$' out

begin kind_by_config_by_folder_and_by_parent
cp -r "$cases/image_preproc" set_b
check_status 0 "$golden" set_b
mkdir -p image_preproc_seed7 image_preproc/b
sed 's/"case": "[a-z_]*"/"case": "x"/' set_b/config.json >image_preproc_seed7/config.json
cp set_b/io.safetensors image_preproc_seed7/
cp image_preproc_seed7/* image_preproc/b/
check_status 0 "$golden" image_preproc_seed7 image_preproc
check_grep '^image_preproc/b +bbox_xywh .*ok$' out
check_grep '^2 cases, 18 tensors compared, 0 failed' out

begin unknown_cases_are_named_and_fail_when_strict
mkdir -p unheard_of && cp image_preproc_seed7/* unheard_of/
check_status 1 "$golden" unheard_of
check_grep '^unheard_of .*not covered' out
check_grep 'no case was run' err
check_status 0 "$golden" set_b unheard_of
check_status 1 "$golden" --strict set_b unheard_of

begin wrong_values_and_lost_tolerances_fail
cp -r set_b wrong
sed -i 's/"padding_ratios": \[0.1/"padding_ratios": [0.2/' wrong/config.json
check_status 0 "$golden" wrong
check_grep 'grouped_pad0.1 +not compared' out
check_status 1 "$golden" --strict wrong
sed 's/"bbox_xywh": {"atol"/"bbox_xywh": {"btol"/' set_b/config.json >wrong/config.json
check_status 1 "$golden" wrong
check_grep 'bbox_xywh +FAIL: config.json states no tolerance' out

begin damaged_files_fail_with_their_name
cp -r set_b cut && head -c 1000 set_b/io.safetensors >cut/io.safetensors
check_status 1 "$golden" cut
check_grep 'FAIL: .*cut/io.safetensors' out
check_status 3 "$golden" absent
check_grep 'absent: No such file' err
check_status 2 "$golden"
check_status 2 "$golden" --backend abacus set_b
finish
