/* Wavefront OBJ. */
#include "tests/fuzz/mesh_promises.h"

const char *const ch4_fuzz_words[] = {"v ", "vt ", "vn ", "f ", "f 1 2 3\n", "v 0 0 0\n", "\n", "/", "//", "-1", " ", "1e30", "nan", "inf", "\\\n", "#", "g x\n", "usemtl a\n", "\r\n", NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ch4_asset asset;
    ch4_err err = {0};
    ch4_status st = ch4_obj_parse(&asset, (const char *)data, size, "input", &err);
    CH4_FUZZ_CHECK(st == CH4_OK || err.msg[0]);
    if (st == CH4_OK) {
        check_asset(&asset);
        ch4_asset_fini(&asset);
    }
    return 0;
}
