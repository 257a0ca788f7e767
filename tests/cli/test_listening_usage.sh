# chain4d tap, status, record, replay: help, bad calls and folders without a run.
. "$(dirname "$0")/../support/shell.sh"
c=$(realpath "$1/bin/chain4d")
cd "$ch4_tmp" || exit 1
mkdir empty

begin help
for verb in tap status record replay; do check_status 0 "$c" $verb --help; check_grep "^usage: chain4d $verb " out; check_grep 'Exit: 0' out; done

begin usage_errors_exit_2
check_status 2 "$c" tap;                            check_grep 'one stage: chain4d tap STAGE --run OUT' err
check_status 2 "$c" tap chain;                      check_grep '\-\-run OUT is missing' err
check_status 2 "$c" tap chains --run empty;         check_grep 'chains: no such stage: decode, denoise' err
check_status 2 "$c" tap chain --run empty --windov 3; check_grep 'nearest is --window' err
check_status 2 "$c" tap chain --run empty --window x; check_grep '\-\-window x: not a number' err
check_status 2 "$c" status;                         check_grep 'one folder' err
check_status 2 "$c" status a b
check_status 2 "$c" record chain --run empty;       check_grep '\-o FILE is missing' err
check_status 2 "$c" replay f.rec;                   check_grep '\-\-stage is missing' err

begin no_run_there_exits_3
check_status 3 "$c" tap chain --run empty;          check_grep 'empty: no run here: give the folder' err
check_status 3 "$c" tap chain --run nowhere;        check_grep 'nowhere: No such file or directory' err
check_status 3 "$c" status empty;                   check_grep 'empty: no run here' err
check_status 3 "$c" record chain --run empty -o f.rec; check_grep 'empty: no run here' err
check_status 3 "$c" replay nowhere.rec --stage chain -o x; check_grep 'nowhere.rec: No such file' err
check_status 3 "$c" tap chain --run empty --wait 0.1

begin a_damaged_status_file_is_told
mkdir bad; echo "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1" >bad/epoch; echo '{"epoch":' >bad/status.json
check_status 3 "$c" status bad;                     check_grep 'bad/status.json: damaged' err
rm bad/status.json
check_status 1 "$c" status bad;                     check_grep '^bad: died' out
finish
