# The command line of chain4d: what it prints and how it ends, without any stage at work.
. "$(dirname "$0")/../support/shell.sh"
c=$1/bin/chain4d
cd "$ch4_tmp" || exit 1
mkdir model; touch model/model.yaml
c=$(cd "$OLDPWD" && realpath "$c")

begin help_and_version
check_status 0 "$c" help;               check_grep '^usage: chain4d run VIDEO' out
check_status 0 "$c" --help;             check_grep 'exit: 0 done' out
check_status 0 "$c" run --help;         check_grep '^usage: chain4d run' out
check_status 0 "$c" help options;       check_grep 'pipeline\.windows' out
check_status 0 "$c" --version;          check_grep '^chain4d [0-9]+\.[0-9]+\.[0-9]+$' out
check_status 2 "$c";                    check_grep '^usage:' err

begin verbs
check_status 2 "$c" nonsense;           check_grep '^chain4d: unknown command nonsense; see `chain4d help`$' err
check_status 2 "$c" ../bin/sh;          check_grep 'unknown command' err
check_status 0 "$c" decode --version;   check_grep '^chain4d-decode [0-9]' out

begin usage
check_status 2 "$c" run;                check_grep '^chain4d: no input' err
check_status 2 "$c" run a.mp4;          check_grep '^chain4d: no output folder: give one with -o FOLDER$' err
check_status 2 "$c" run a.mp4 -o;       check_grep 'needs a value' err
check_status 2 "$c" run a.mp4 -o result --frames 0;        check_grep 'bad value 0' err
check_status 2 "$c" run a.mp4 -o result --nonsense;        check_grep 'unknown option --nonsense; see `chain4d help`$' err
check_status 2 "$c" run a.mp4 -o result --tread 2;         check_grep 'unknown option --tread, nearest is --threads; see' err
check_status 2 "$c" run a.mp4 -o result --set chain.topk=-1 --set chain.tpk=3
check_grep '^--set.*chain\.topk: -1 is not in' err
check_grep 'chain\.tpk: unknown option, nearest is chain\.topk' err
printf 'chain:\n  topk: -1\n  tpk: 3\nanimate:\n  beta: x\n' >bad.yaml
check_status 2 "$c" run a.mp4 -o result --config bad.yaml; check_grep '^bad\.yaml:2:9: chain\.topk' err
check_grep '^bad\.yaml:3:3: chain\.tpk: unknown option, nearest is chain\.topk$' err
check_grep "^bad\.yaml:5:9: animate\.beta: 'x' is not a number" err
check test "$(wc -l <err)" -eq 3
mkdir folder.yaml
check_status 2 "$c" run a.mp4 -o result --config folder.yaml; check_grep 'folder\.yaml: Is a directory' err
check test ! -e result

check_status 2 "$c" run a.mp4 -o result --mesh bad.yaml --set anchor.frame=auto; check_grep '^chain4d: anchor\.frame: auto does not go with a given mesh' err
check test ! -e result

begin what_is_not_there
check_status 3 "$c" run a.mp4 -o result --mesh no.glb;     check_grep '^chain4d: no\.glb: No such file or directory: check the path of the mesh$' err
check_status 3 "$c" run a.mp4 -o result --model nowhere;   check_grep '^chain4d: nowhere: .*check the path of the model$' err
check test ! -e result
check_status 3 "$c" run a.mp4 -o result --model model;     check_grep '^chain4d: a\.mp4: No such file or directory: check the path' err
check test -e result/run.yaml

check_status 3 "$c" run a.mp4 -o result2 --mesh model;    check_grep '/model: not a file: give a .glb or .obj with --mesh$' err
check test ! -e result2

begin output_folder
touch file
check_status 3 "$c" run a.mp4 -o file --model model;    check_grep '^chain4d: output folder: file: .*: choose another one with -o$' err
check_status 3 "$c" run a.mp4 -o file/sub --model model; check_grep 'choose another one with -o$' err

begin every_program_has_help_and_refuses_unknown_options
for p in decode denoise chain animate pose golden synth eval; do
    check_status 0 "$c" $p --help;                      check_grep "^usage: chain4d-$p " out
    first=; [ $p = synth ] && first=creatures
    check_status 2 "$c" $p $first --hepl;               check test "$(wc -l <err)" -eq 1
    [ $p = golden ] || [ $p = synth ] || [ $p = eval ] || check_grep "^chain4d-$p: unknown option --hepl, nearest is --help; see --help$" err
done
check_status 2 "$c" golden --stict;                     check_grep 'nearest is --strict' err
check_status 2 "$c" synth creatures --frmes 3;          check_grep 'nearest is --frames' err
check_status 2 "$c" eval --oot x;                       check_grep 'nearest is --out' err

begin stages
check_status 2 "$c" decode;                             check_grep '^chain4d-decode: --run is missing' err
check_status 3 "$c" decode --run nowhere;               check_grep '^chain4d-decode: nowhere: No such file' err
check_status 2 "$c" decode --run . --epoch x;           check_grep 'bad value x' err
finish
