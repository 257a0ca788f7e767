# Every fuzz target over its corpus: what was once found stays fixed.
source "$(dirname "$0")/../support/shell.sh"
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
export ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=512:detect_leaks=1:handle_segv=2

for source in "$here"/fuzz_*.c; do
    what=$(basename "$source" .c)
    begin "$what"
    check_status 0 "$build/fuzz/$what" "$here/corpus/${what#fuzz_}"
    check test "$(wc -l <"$ch4_tmp/out")" -eq "$(ls "$here/corpus/${what#fuzz_}" | wc -l)"
    [ $ch4_bad -eq 0 ] || tail -n 1 "$ch4_tmp/out"
done

begin missing_corpus_is_an_error
check_status 2 "$build/fuzz/fuzz_npy" "$ch4_tmp/nosuch"
finish
