# Every golden case in this folder, in both backends where the case has a network.
. "$(dirname "$0")/../support/shell.sh"
here=$(cd "$(dirname "$0")" && pwd)
golden=$1/bin/chain4d-golden
for case in "$here"/*/ "$here"/geometry/*/; do
    case=${case%/}
    [ "$case" = "$here/geometry" ] && continue
    begin "${case#"$here"/}"
    check_status 0 "$golden" "$case"
    grep -E 'FAIL' "$ch4_tmp/out" | head -n 5
done
for kind in autoencoder_stage2 denoiser_forward denoiser_sample4 triposg_dit_forward triposg_vae_decode triposg_vae_encode dinov2 embeddings shapes; do
    begin "$kind.ref"
    check_status 0 "$golden" --backend ref "$here/$kind"
    grep -E 'FAIL' "$ch4_tmp/out" | head -n 5
done
begin damaged_record_fails
mkdir -p "$ch4_tmp/scheduler"
cp "$here"/scheduler/* "$ch4_tmp/scheduler/"
# the last four bytes belong to a compared value: any change has to be noticed
printf '\x00\x00\x80\x3f' | dd of="$ch4_tmp/scheduler/io.safetensors" bs=1 seek=$(($(stat -c %s "$ch4_tmp/scheduler/io.safetensors") - 4)) conv=notrunc 2>/dev/null
check_status 1 "$golden" "$ch4_tmp/scheduler"
finish
