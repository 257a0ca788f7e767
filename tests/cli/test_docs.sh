# The options that docs/model.md names exist, and have the defaults that it states; the keys of model.yaml that it names are read.
source "$(dirname "$0")/../support/shell.sh"
build=$(cd "$1" && pwd)
top=$(cd "$(dirname "$0")/../.." && pwd)
page=$top/docs/model.md
"$build/bin/chain4d" help options >"$ch4_tmp/options"
# "  section.key   help" and the line after it, "default VALUE, allowed ..." or "default VALUE"
awk '/^  [a-z_]+\.[a-z_]+ / { key = $1; next } key != "" && $1 == "default" { sub(/^ *default /, ""); sub(/, allowed .*/, ""); print key ": " $0; key = "" }' \
    "$ch4_tmp/options" >"$ch4_tmp/defaults"

begin options_have_the_stated_defaults
check test "$(wc -l <"$ch4_tmp/defaults")" -gt 80
grep -oE '`[a-z]+\.[a-z_]+: [^`]+`' "$page" | tr -d '`' | grep -v '^model.yaml:' | sort -u >"$ch4_tmp/stated"
check test "$(wc -l <"$ch4_tmp/stated")" -gt 45
while read -r line; do
    check grep -qxF -- "$line" "$ch4_tmp/defaults"
done <"$ch4_tmp/stated"

begin every_choice_that_the_paper_leaves_open_is_named
for q in $(seq 1 33); do check grep -qE "^\| Q$q \|" "$page"; done

begin keys_of_model_yaml_are_read
grep -oE '\*model.yaml\* `[a-z_.0-9]+`' "$page" | sed 's/.*`\(.*\)`/\1/' | sort -u >"$ch4_tmp/keys"
check test "$(wc -l <"$ch4_tmp/keys")" -gt 3
while read -r key; do [ "$key" = key ] || check grep -q "O($key," "$top/lib/bundle/model_info.c"; done <"$ch4_tmp/keys"
finish
