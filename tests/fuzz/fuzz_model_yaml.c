/* model.yaml: whatever it says, it is read, or refused with at least one message. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "bundle/model_info.h"

const char *const ch4_fuzz_words[] = {"networks:", "denoiser:", "{path: x}", "attention:", "layers: [", "heads: [", "step: last", "steps: ", "guidance: ", "- ", "  ", "\n", "[", "]",
                                      "{", "}", ": ", "\"", "'", "|\n", ">\n", "&a ", "*a", "!!str ", "---\n", "...\n", "# ", "~", "null", "true", ".inf", ".nan", "0x10", NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ch4_model_info info;
    ch4_problems problems = {0};
    ch4_err err = {0};
    ch4_status st = ch4_model_info_load(&info, ch4_fuzz_file(data, size), &problems, &err);
    CH4_FUZZ_CHECK(st == CH4_OK || err.msg[0]);
    if (st == CH4_OK) {
        int64_t step;
        CH4_FUZZ_CHECK(info.attention.layers.n > 0 && info.steps >= 1 && info.name && info.networks.denoiser.path);
        ch4_model_info_step(&step, &info, info.steps, NULL);
        ch4_model_info_fini(&info);
    }
    ch4_problems_free(&problems);
    return 0;
}
