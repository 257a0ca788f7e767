/* The pipeline file: read or refused with messages; what is accepted is the same after it was written and read again. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

const char *const ch4_fuzz_words[] = {"run:", "decode:", "mesh:", "denoise:", "attention:", "layers: [", "chain:", "animate:", "pose:", "seed: ", "steps: ", "weights: bfloat16",
                                      "offload: layers", "- ", "  ", "\n", "[", "]", "{", "}", ": ", "\"", "'", "|\n", ">\n", "&a ", "*a", "!!str ", "---\n", "...\n", "# ", "~",
                                      "null", "true", ".inf", ".nan", "0x10", NULL};

static char *print(const ch4_config *config, size_t *size)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    CH4_FUZZ_CHECK(f && ch4_schema_print(&ch4_config_schema, config, f, NULL) == CH4_OK && fclose(f) == 0);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ch4_config config, again;
    ch4_problems problems = {0};
    ch4_err err = {0};
    CH4_FUZZ_CHECK(ch4_schema_defaults(&ch4_config_schema, &config, NULL) == CH4_OK && ch4_schema_defaults(&ch4_config_schema, &again, NULL) == CH4_OK);
    ch4_status st = ch4_schema_parse(&ch4_config_schema, &config, (const char *)data, size, "input", &problems, &err);
    CH4_FUZZ_CHECK(st == CH4_OK || (err.msg[0] && problems.count > 0));
    if (st == CH4_OK) {
        size_t n, m;
        char *first = print(&config, &n);
        if (ch4_schema_parse(&ch4_config_schema, &again, first, n, "written", NULL, &err) != CH4_OK)
            ch4_fuzz_fail(err.msg, __FILE__, __LINE__);
        char *second = print(&again, &m);
        CH4_FUZZ_CHECK(n == m && memcmp(first, second, n) == 0);
        free(first);
        free(second);
    }
    ch4_problems_free(&problems);
    ch4_schema_fini(&ch4_config_schema, &config);
    ch4_schema_fini(&ch4_config_schema, &again);
    return 0;
}
