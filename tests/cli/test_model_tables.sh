# docs/tensors.md is what the loaders ask for, and that is as many parameters as the published files hold.
source "$(dirname "$0")/../support/shell.sh"
build=$(cd "$1" && pwd)
docs=$(cd "$(dirname "$0")/../../docs" && pwd)

begin tensors_md_is_what_the_loaders_ask_for
check_status 0 "$build/bin/chain4d" model tables
check diff "$docs/tensors.md" "$ch4_tmp/out"

begin totals_are_those_of_the_published_files
totals() { check_grep "^$1.* $2 tensors, $3 values\\." "$ch4_tmp/out"; }
totals 'facebook/ActionMesh, `denoiser/`' 554 1439556160
totals 'VAST-AI/TripoSG, `transformer/`' 554 1439556160
totals 'VAST-AI/TripoSG, `vae/`' 356 242662017
totals 'facebook/ActionMesh, `autoencoder/`' 231 214213635
totals 'facebook/dinov2-large' 439 304368640
totals 'briaai/RMBG-1.4' 798 $((44046790 + 28800 + 112)) # parameters, running statistics, counters
finish
