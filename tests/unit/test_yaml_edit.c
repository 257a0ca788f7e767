/* Changing single values of a YAML file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/calibrate/yaml_edit.h"

static const char FILE_TEXT[] = "# a model\n"
                                "name: x\n"
                                "attention:\n"
                                "  layers: [3, 4]             # paired\n"
                                "  step: last # of four\n"
                                "\n"
                                "# how points are matched\n"
                                "chain:\n"
                                "    topk: 64\n"
                                "    note: \"a # in quotes\"\n"
                                "flow: {topk: 3}\n"
                                "list:\n"
                                "  items:\n"
                                "    - 1\n"
                                "last:\n"
                                "  key: 1";

static void expect(const char *section, const char *key, const char *value, const char *from, const char *to)
{
    char *text = strdup(FILE_TEXT), want[2048];
    const char *at = strstr(FILE_TEXT, from);
    ch4_err err = {0};
    assert_non_null(at);
    snprintf(want, sizeof want, "%.*s%s%s", (int)(at - FILE_TEXT), FILE_TEXT, to, at + strlen(from));
    assert_int_equal(ch4_yaml_set(&text, section, key, value, &err), CH4_OK);
    assert_string_equal(text, want);
    free(text);
}

static void values_are_exchanged_in_place(void **state)
{
    (void)state;
    expect("attention", "layers", "[2]", "[3, 4]             # paired", "[2]                # paired");
    expect("attention", "layers", "[1, 2, 3, 4, 5, 6, 7, 8]", "[3, 4]             # paired", "[1, 2, 3, 4, 5, 6, 7, 8] # paired");
    expect("attention", "step", "2", "last # of four", "2    # of four");
    expect("chain", "topk", "16", "topk: 64", "topk: 16");
    expect("chain", "note", "b", "\"a # in quotes\"", "b");
    expect("last", "key", "22", "key: 1", "key: 22");
}

static void missing_keys_are_added(void **state)
{
    (void)state;
    expect("attention", "sinkhorn", "6", "  step: last # of four\n", "  step: last # of four\n  sinkhorn: 6\n");
    expect("chain", "unit_norm", "true", "    note: \"a # in quotes\"\n", "    note: \"a # in quotes\"\n    unit_norm: true\n");
    expect("last", "more", "2", "  key: 1", "  key: 1\n  more: 2\n");
    expect("new", "key", "3", "  key: 1", "  key: 1\nnew:\n  key: 3\n");
}

static void what_cannot_be_changed_says_so(void **state)
{
    (void)state;
    char *text = strdup(FILE_TEXT);
    ch4_err err = {0};
    assert_int_equal(ch4_yaml_set(&text, "flow", "topk", "4", &err), CH4_EUNSUP);
    assert_non_null(strstr(err.msg, "by hand"));
    assert_int_equal(ch4_yaml_set(&text, "list", "items", "[2]", &err), CH4_EUNSUP);
    assert_string_equal(text, FILE_TEXT);
    free(text);
}

static void changes_are_listed(void **state)
{
    (void)state;
    char *text = strdup(FILE_TEXT), *listed = NULL;
    size_t size;
    ch4_err err = {0};
    assert_int_equal(ch4_yaml_set(&text, "attention", "step", "2", &err), CH4_OK);
    assert_int_equal(ch4_yaml_set(&text, "attention", "sinkhorn", "6", &err), CH4_OK);
    FILE *f = open_memstream(&listed, &size);
    ch4_yaml_print_changes(f, FILE_TEXT, text);
    fclose(f);
    assert_string_equal(listed, "-   step: last # of four\n+   step: 2    # of four\n+   sinkhorn: 6\n");
    free(listed);
    free(text);
}

static void files_keep_their_mode(void **state)
{
    (void)state;
    char path[] = "/tmp/yaml_edit.XXXXXX", *text = NULL;
    struct stat sb;
    ch4_err err = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0640), 0);
    close(fd);
    assert_int_equal(ch4_yaml_save(path, FILE_TEXT, &err), CH4_OK);
    assert_int_equal(ch4_yaml_load(&text, path, &err), CH4_OK);
    assert_string_equal(text, FILE_TEXT);
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0640);
    free(text);
    unlink(path);
    assert_int_equal(ch4_yaml_load(&text, path, &err), CH4_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_exchanged_in_place), cmocka_unit_test(missing_keys_are_added), cmocka_unit_test(what_cannot_be_changed_says_so),
        cmocka_unit_test(changes_are_listed), cmocka_unit_test(files_keep_their_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
