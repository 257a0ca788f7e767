# chain4d model check: the bundled model is whole, every damaged copy is refused with a line that names what is wrong and where.
source "$(dirname "$0")/../support/shell.sh"
build=$(cd "$1" && pwd)
models=$(cd "$(dirname "$0")/../../models" && pwd)
model=$ch4_tmp/model

copy() { rm -rf "$model"; cp -r "$models/mini" "$model"; chmod -R u+w "$model"; }
refused() { # what the copy's errors must say
    check_status 1 "$build/bin/chain4d" model check "$model"
    check_grep "$1" "$ch4_tmp/err"
}

begin bundled_model_is_whole
check_status 0 "$build/bin/chain4d" model check "$models/mini"
check_grep '^temporal denoiser +[0-9]+ +[0-9]+  F16 +denoiser/model.safetensors$' "$ch4_tmp/out"
check_grep '^input statistics +3 +16513  F32 +familiar.safetensors   familiar up to [0-9.]+$' "$ch4_tmp/out"
check_grep '^  denoise +weights .* workspace ' "$ch4_tmp/out"
check_grep '^  chain +weights .* workspace ' "$ch4_tmp/out"
check_grep '^whole, and this machine can run it$' "$ch4_tmp/out"
check test ! -s "$ch4_tmp/err"

begin renamed_tensor_is_missing_and_extra
copy
LC_ALL=C sed -i 's/"norm_out.bias"/"norm_out.bixs"/' "$model/denoiser/model.safetensors"
refused 'denoiser/model.safetensors: tensor norm_out.bias is missing'
check_grep 'denoiser/model.safetensors: tensor norm_out.bixs does not belong' "$ch4_tmp/err"
check_grep '^damaged: 2 problems$' "$ch4_tmp/out"

begin misshapen_tensor
copy
LC_ALL=C sed -i 's/\("post_quant.weight":{[^}]*\)\[128,16\]/\1[16,128]/' "$model/vae/model.safetensors"
refused 'vae/model.safetensors: tensor post_quant.weight is \[16,128\] F16, the configuration wants \[128,16\] F16'

begin truncated_file
copy
truncate -s -2 "$model/image_encoder/model.safetensors"
refused 'image encoder cannot be read: .*image_encoder/model.safetensors: '

begin missing_network
copy
rm -r "$model/vae"
refused 'shape autoencoder is missing: .*vae/config.json'
check_grep '^incomplete: 1 of 3 networks cannot be used$' "$ch4_tmp/out"

begin damaged_input_statistics
copy
LC_ALL=C sed -i 's/"mean"/"meen"/' "$model/familiar.safetensors"
refused "input statistics cannot be read: .*familiar.safetensors.*'mean'"

begin background_remover_may_be_absent_but_not_damaged
copy
sed -i 's/^networks:/networks:\n  matting: {path: RMBG}/' "$model/model.yaml"
check_status 0 "$build/bin/chain4d" model check "$model"
check_grep '^background remover +- .* RMBG/   not there: runs go without$' "$ch4_tmp/out"
mkdir "$model/RMBG"
refused 'background remover is missing: .*RMBG/config.json'

begin networks_of_different_models
copy
sed -i 's/"num_attention_heads": 4/"num_attention_heads": 3/' "$model/denoiser/config.json"
refused 'temporal denoiser cannot be read: .*width 128 over 3 heads'

begin wrong_key_of_model_yaml
copy
echo 'nosuch: 1' >>"$model/model.yaml"
refused 'model.yaml:[0-9]+:[0-9]+: nosuch'

begin no_model
check_status 1 "$build/bin/chain4d" model check "$ch4_tmp/none"
check_grep 'none/model.yaml' "$ch4_tmp/err"
check_status 2 "$build/bin/chain4d" model

begin ways_to_hold_the_weights_of_the_bundled_model
check_status 0 "$build/bin/chain4d" model check "$models/mini" --memory 16
check_grep '^ +or +[0-9.]+ MiB   with denoise.offload=layers$' "$ch4_tmp/out"
check_grep '^whole, and such a machine can run it$' "$ch4_tmp/out"
check_status 2 "$build/bin/chain4d" model check "$models/mini" --memory none

# Sparse files: names, shapes and sizes of everything that is published, no disk.
begin published_networks_at_their_size
mkdir "$ch4_tmp/full"
cp "$models/actionmesh/model.yaml" "$ch4_tmp/full"
check_status 0 "$build/tests/long/full_size" sparse "$ch4_tmp/full"
echo '{}' >"$ch4_tmp/full/dinov2/preprocessor_config.json"
check test "$(du -sk "$ch4_tmp/full" | cut -f1)" -lt 2000
check_status 0 "$build/bin/chain4d" model check "$ch4_tmp/full" --memory 64
check_grep '^temporal denoiser +554 +1439556160  F32 +ActionMesh/denoiser/model.safetensors$' "$ch4_tmp/out"
check_grep '^image-to-3D transformer +554 +1439556160  F32 +TripoSG/transformer/diffusion_pytorch_model.safetensors$' "$ch4_tmp/out"
check_grep '^shape autoencoder +356 +242662017  F32 ' "$ch4_tmp/out"
check_grep '^image encoder +439 +304368640  F32 ' "$ch4_tmp/out"
check_grep '^temporal autoencoder +231 +214213635  F32 ' "$ch4_tmp/out"
check_grep '^whole, and such a machine can run it$' "$ch4_tmp/out"
# 2 x 1,439,556,160 parameters, 304,367,616 of the encoder, and half of the autoencoder, 4 bytes each
check_grep '^  denoise +weights +1[12]\.[0-9]+ GiB ' "$ch4_tmp/out"

begin what_16_gib_can_run
check_status 0 "$build/bin/chain4d" model check "$ch4_tmp/full" --memory 16
check_grep '^whole, and such a machine can run it with denoise\.(weights=bfloat16|offload=layers)$' "$ch4_tmp/out"
check_status 1 "$build/bin/chain4d" model check "$ch4_tmp/full" --memory 4
check_grep '^whole, but such a machine cannot run it: [0-9.]+ GiB wanted, 4.00 GiB there$' "$ch4_tmp/out"

begin published_layout_without_weights
check_status 1 "$build/bin/chain4d" model check "$models/actionmesh"
check_grep 'temporal denoiser is missing: .*ActionMesh/denoiser/config.json' "$ch4_tmp/err"
check_grep '^this directory has no weights: its README says where they come from$' "$ch4_tmp/out"
finish
