#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "config/config.h"

typedef struct model {
    struct {
        char *file;
        int64_t width;
    } net;
    struct {
        ch4_ints layers;
        ch4_reals mean;
        ch4_strs tags;
        bool on;
    } read;
} model;

static const ch4_opt model_opts[] = {
    CH4_OPT(model, net.file, NULL, 0, 0, NULL, "weights"),
    CH4_OPT(model, net.width, "64", 1, 4096, NULL, "width"),
    CH4_OPT(model, read.layers, "[3, 4]", 0, 20, NULL, "layers"),
    {.path = "read.mean", .type = CH4_OPT_REALS, .offset = offsetof(model, read.mean), .def = "[0, 0, 0]", .count = 3, .help = "mean"},
    CH4_OPT(model, read.tags, "[]", 0, 0, "red|green", "tags"),
    CH4_OPT(model, read.on, "false", 0, 0, NULL, "switch"),
};
static const ch4_schema model_schema = {"model", model_opts, sizeof model_opts / sizeof model_opts[0], sizeof(model)};

/* Parses `text` into a fresh model and returns the problems (caller frees). */
static ch4_problems problems_of(const char *text)
{
    model m;
    ch4_problems p = {0};
    assert_int_equal(ch4_schema_defaults(&model_schema, &m, NULL), CH4_OK);
    ch4_status s = ch4_schema_parse(&model_schema, &m, text, strlen(text), "m.yaml", &p, NULL);
    assert_int_equal(s, p.count ? CH4_ECONFIG : CH4_OK);
    ch4_schema_fini(&model_schema, &m);
    return p;
}

static void table_of_any_struct_is_filled(void **state)
{
    (void)state;
    model m;
    const char *text = "net: {file: a b.safetensors, width: 128}\n"
                       "read:\n  layers: [1,2,\n    5]\n  mean: [0.5, -1e-3, 2]\n  tags:\n  - green\n  - red\n  on: true\n";
    assert_int_equal(ch4_schema_defaults(&model_schema, &m, NULL), CH4_OK);
    assert_int_equal(m.read.layers.n, 2);
    assert_int_equal(ch4_schema_parse(&model_schema, &m, text, strlen(text), "m.yaml", NULL, NULL), CH4_OK);
    assert_string_equal(m.net.file, "a b.safetensors");
    assert_int_equal(m.net.width, 128);
    assert_int_equal(m.read.layers.n, 3);
    assert_int_equal(m.read.layers.v[2], 5);
    assert_true(m.read.mean.v[1] == -1e-3);
    assert_string_equal(m.read.tags.v[0], "green");
    assert_true(m.read.on);
    ch4_schema_fini(&model_schema, &m);
}

/* Each broken file with every line that must come out. */
static void all_problems_are_reported_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"net:\n  file: x\n  widht: 3\n", "m.yaml:3:3: net.widht: unknown option, nearest is net.width\n"},
        {"net:\n  file: x\n  width: 0\nread:\n  on: maybe\n  zzzzzzzzzzz: 1\n",
         "m.yaml:3:10: net.width: 0 is not in 1..4096\n"
         "m.yaml:5:7: read.on: 'maybe' is not true or false\n"
         "m.yaml:6:3: read.zzzzzzzzzzz: unknown option\n"},
        {"net: {file: x}\nread: {width: 4}\n", "m.yaml:2:8: read.width: unknown option, nearest is net.width\n"},
        {"net: {file: x, width: 3.5}\n", "m.yaml:1:23: net.width: '3.5' is not a whole number, allowed 1..4096\n"},
        {"net: {file: x, width: '3'}\n", "m.yaml:1:23: net.width: '3' is not a whole number, allowed 1..4096\n"},
        {"net: {file: x, width: 99999999999999999999}\n",
         "m.yaml:1:23: net.width: '99999999999999999999' is not a whole number, allowed 1..4096\n"},
        {"net: {file: x, width: [3]}\n", "m.yaml:1:23: net.width: a list where one value is expected\n"},
        {"net: {file: x, width: {a: 3}}\n", "m.yaml:1:23: net.width: a section where one value is expected\n"},
        {"net: 3\n", "m.yaml:1:1: net: a section of options is expected\nm.yaml:1:1: net.file: must be given\n"},
        {"", "m.yaml:1:1: net.file: must be given\n"},
        {"[1, 2]\n", "m.yaml:1:1: sections of options are expected\nm.yaml:1:1: net.file: must be given\n"},
        {"net: {file: x}\nnet: {width: 2}\n", "m.yaml:2:1: net: given twice\n"},
        {"net: {file: x, file: y}\n", "m.yaml:1:16: net.file: given twice\n"},
        {"net: {file: x}\nnet.file: y\n", "m.yaml:2:1: net.file: given twice\n"},
        {"net: {file: &a x}\nread: {tags: [*a]}\n",
         "m.yaml:1:13: anchors (&name) are not allowed\nm.yaml:2:15: aliases (*name) are not allowed; write the value out\n"},
        {"net: {file: !!str x}\n", "m.yaml:1:13: tags (!name) are not allowed\n"},
        {"net: {file: x}\n---\nnet: {file: y}\n", "m.yaml:2:1: a second document; one is allowed\n"},
        {"net: {file: x}\nread: {mean: [1, 2], layers: [1, 21, x]}\n",
         "m.yaml:2:14: read.mean: list of 2 elements, allowed 3\n"
         "m.yaml:2:34: read.layers: 21 is not in 0..20\n"
         "m.yaml:2:38: read.layers: 'x' is not a whole number, allowed 0..20\n"},
        {"net: {file: x}\nread: {mean: [1, 2, nan], layers: 3, tags: [blue]}\n",
         "m.yaml:2:21: read.mean: 'nan' is not a number\n"
         "m.yaml:2:35: read.layers: '3' is not a list, write [a, b]\n"
         "m.yaml:2:45: read.tags: 'blue' is not one of the names, allowed red|green\n"},
        {"net: {file: \"a\\0b\"}\n", "m.yaml:1:13: net.file: text with a NUL character\n"},
        {"net: {file: x}\n? [a]\n: 1\n", "m.yaml:2:3: key: a list where one value is expected\n"},
        {"[[[[[[[[[1]]]]]]]]]\n", "m.yaml:1:9: nested too deeply\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ch4_problems p = problems_of(cases[i].text);
        if (!p.text)
            fail_msg("case %zu was accepted", i);
        assert_string_equal(p.text, cases[i].expected);
        ch4_problems_free(&p);
    }
}

static void syntax_errors_have_a_place(void **state)
{
    (void)state;
    ch4_problems p = problems_of("net:\n  file: [x\nread: }\n");
    assert_int_equal(p.count, 1);
    assert_non_null(strstr(p.text, "m.yaml:3:"));
    assert_non_null(strstr(p.text, "not YAML"));
    ch4_problems_free(&p);
}

static void too_large_a_file_is_refused(void **state)
{
    (void)state;
    model m = {0};
    ch4_err err = {0};
    char *text = malloc(CH4_SCHEMA_FILE_BYTES + 1);
    memset(text, '#', CH4_SCHEMA_FILE_BYTES + 1);
    assert_int_equal(ch4_schema_parse(&model_schema, &m, text, CH4_SCHEMA_FILE_BYTES + 1, "m.yaml", NULL, &err), CH4_ECONFIG);
    assert_non_null(strstr(err.msg, "at most"));
    free(text);
}

static void set_takes_scalars_and_lists(void **state)
{
    (void)state;
    model m;
    ch4_err err = {0};
    assert_int_equal(ch4_schema_defaults(&model_schema, &m, NULL), CH4_OK);
    assert_int_equal(ch4_schema_set(&model_schema, &m, "net.file=a=b, c", NULL, NULL), CH4_OK);
    assert_string_equal(m.net.file, "a=b, c");
    assert_int_equal(ch4_schema_set(&model_schema, &m, "read.layers=7, 8,9", NULL, NULL), CH4_OK);
    assert_int_equal(m.read.layers.n, 3);
    assert_int_equal(m.read.layers.v[1], 8);
    assert_int_equal(ch4_schema_set(&model_schema, &m, "read.layers=[]", NULL, NULL), CH4_OK);
    assert_int_equal(m.read.layers.n, 0);
    assert_int_equal(ch4_schema_set(&model_schema, &m, "net.width=0", NULL, &err), CH4_ECONFIG);
    assert_string_equal(err.msg, "--set: net.width: 0 is not in 1..4096");
    assert_int_equal(m.net.width, 64);
    assert_int_equal(ch4_schema_set(&model_schema, &m, "net.with=3", NULL, &err), CH4_ECONFIG);
    assert_string_equal(err.msg, "--set: net.with: unknown option, nearest is net.width");
    assert_int_equal(ch4_schema_set(&model_schema, &m, "net.width", NULL, &err), CH4_ECONFIG);
    ch4_schema_fini(&model_schema, &m);
}

/* What is written reads back to the same values, and writing that gives the same bytes. */
static void resolved_file_round_trips(void **state)
{
    (void)state;
    ch4_config a, b;
    ch4_err err = {0};
    char path[] = "/tmp/ch4_config_XXXXXX", *text[2] = {0};
    size_t size[2];
    close(mkstemp(path));
    const char *sets[] = {"chain.topk=16", "run.model=a \"b\"\\ \xc3\xa9\t", "attention.layers=3,4", "chain.temperature=0.1234567890123456",
                          "animate.confidence=score", "sink.glb=false"};
    assert_int_equal(ch4_config_load(&a, NULL, sets, 6, NULL, &err), CH4_OK);
    assert_int_equal(ch4_config_save(&a, path, &err), CH4_OK);
    assert_int_equal(ch4_config_load(&b, path, NULL, 0, NULL, &err), CH4_OK);
    assert_int_equal(b.chain.topk, 16);
    assert_string_equal(b.run.model, a.run.model);
    assert_int_equal(b.attention.layers.v[1], 4);
    assert_true(b.chain.temperature == 0.1234567890123456);
    assert_int_equal(b.animate.confidence, CH4_CONFIDENCE_SCORE);
    assert_false(b.sink.glb);
    for (int i = 0; i < 2; i++) {
        FILE *f = open_memstream(&text[i], &size[i]);
        assert_int_equal(ch4_schema_print(&ch4_config_schema, i ? &b : &a, f, NULL), CH4_OK);
        fclose(f);
    }
    assert_string_equal(text[0], text[1]);
    free(text[0]);
    free(text[1]);
    ch4_config_fini(&a);
    ch4_config_fini(&b);
    unlink(path);
}

static void defaults_are_the_documented_ones(void **state)
{
    (void)state;
    ch4_config c;
    assert_int_equal(ch4_config_defaults(&c, NULL), CH4_OK);
    assert_int_equal(c.decode.window, 16);
    assert_int_equal(c.attention.k, 64);
    assert_int_equal(c.attention.direction, CH4_DIRECTION_MODEL);
    assert_int_equal(c.chain.landmarks, 1000);
    assert_true(c.animate.smooth_sigma == -1);
    assert_int_equal(c.log.level, CH4_LOG_INFO);
    ch4_config_fini(&c);
    ch4_config_fini(&c);
}

static void the_yaw_is_searched_or_a_number(void **state)
{
    (void)state;
    static const char *const good[] = {"mesh.yaw=auto", "mesh.yaw=0", "mesh.yaw=-112.5"};
    static const char *const bad[] = {"mesh.yaw=left", "mesh.yaw=361", "mesh.yaw=90deg", "mesh.yaw=nan", "mesh.yaw="};
    static const double degrees[] = {0, 0, -112.5};
    ch4_config c;
    for (size_t i = 0; i < 3; i++) {
        double yaw = 5;
        bool searched;
        assert_int_equal(ch4_config_load(&c, NULL, &good[i], 1, NULL, NULL), CH4_OK);
        assert_int_equal(ch4_config_mesh_yaw(&yaw, &searched, &c, NULL), CH4_OK);
        assert_true(yaw == degrees[i]);
        assert_int_equal(searched, i == 0);
        ch4_config_fini(&c);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ch4_config_load(&c, NULL, &bad[i], 1, NULL, NULL), CH4_ECONFIG);
}

static void anchor_options_are_words_or_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        int64_t frame;
    } good[] = {{"anchor.frame=first", 0}, {"anchor.frame=0", 0}, {"anchor.frame=17", 17}, {"anchor.frame=auto", CH4_ANCHOR_AUTO}};
    static const char *const bad[] = {"anchor.frame=-1", "anchor.frame=last", "anchor.frame=1x", "anchor.frame=", "anchor.frame=99999999999999999999"};
    ch4_config c;
    int64_t frame = 5;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(ch4_config_load(&c, NULL, &good[i].set, 1, NULL, NULL), CH4_OK);
        assert_int_equal(ch4_config_anchor_frame(&frame, &c, NULL), CH4_OK);
        assert_int_equal(frame, good[i].frame);
        ch4_config_fini(&c);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ch4_config_load(&c, NULL, &bad[i], 1, NULL, NULL), CH4_ECONFIG);
    static const struct {
        const char *set;
        int64_t every; /* -1: refused */
    } handover[] = {{"anchor.handover=latent", 0}, {"anchor.handover=reencode", 1}, {"anchor.handover=reencode:4", 4}, {"anchor.handover=reencode:", -1},
                    {"anchor.handover=reencode:0", -1}, {"anchor.handover=reencode:2x", -1}, {"anchor.handover=reencoded", -1}, {"anchor.handover=", -1}};
    for (size_t i = 0; i < sizeof handover / sizeof *handover; i++) {
        ch4_status st = ch4_config_load(&c, NULL, &handover[i].set, 1, NULL, NULL);
        assert_int_equal(st, handover[i].every < 0 ? CH4_ECONFIG : CH4_OK);
        if (st)
            continue;
        assert_int_equal(ch4_config_handover(&frame, &c, NULL), CH4_OK);
        assert_int_equal(frame, handover[i].every);
        ch4_config_fini(&c);
    }
}

static void options_are_checked_against_each_other(void **state)
{
    (void)state;
    ch4_config c;
    ch4_err err = {0};
    ch4_problems p = {0};
    const char *sets[] = {"decode.slide=17", "decode.foreground=mask"};
    assert_int_equal(ch4_config_load(&c, NULL, sets, 2, &p, &err), CH4_ECONFIG);
    assert_int_equal(p.count, 2);
    assert_string_equal(p.text, "decode.slide: 17 is more than decode.window (16)\ndecode.foreground: mask needs decode.mask\n");
    ch4_problems_free(&p);
    assert_int_equal(ch4_config_load(&c, "/nonexistent/run.yaml", NULL, 0, NULL, &err), CH4_ECONFIG);
}

static void help_names_every_option(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    ch4_schema_help(&ch4_config_schema, "chain.", f);
    fclose(f);
    assert_non_null(strstr(text, "chain.topk"));
    assert_non_null(strstr(text, "allowed 0..4096"));
    assert_null(strstr(text, "decode."));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_any_struct_is_filled),    cmocka_unit_test(all_problems_are_reported_with_their_place),
        cmocka_unit_test(syntax_errors_have_a_place),       cmocka_unit_test(too_large_a_file_is_refused),
        cmocka_unit_test(set_takes_scalars_and_lists),      cmocka_unit_test(resolved_file_round_trips),
        cmocka_unit_test(defaults_are_the_documented_ones), cmocka_unit_test(options_are_checked_against_each_other),
        cmocka_unit_test(the_yaw_is_searched_or_a_number),
        cmocka_unit_test(anchor_options_are_words_or_numbers),
        cmocka_unit_test(help_names_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
