/* GLB. The first byte of an input says what follows: 'R' a file as it is; 'J' a JSON chunk up to a zero byte, then the binary one, with the lengths in front
 * made to fit. */
#include "tests/fuzz/mesh_promises.h"

#include <string.h>

const char *const ch4_fuzz_words[] = {"\"asset\":{\"version\":\"2.0\"}", "\"scenes\":", "\"nodes\":", "\"meshes\":", "\"primitives\":", "\"attributes\":", "\"POSITION\":",
                                      "\"TEXCOORD_0\":", "\"COLOR_0\":", "\"indices\":", "\"accessors\":", "\"bufferViews\":", "\"buffers\":", "\"byteOffset\":", "\"byteStride\":",
                                      "\"byteLength\":", "\"componentType\":", "5120", "5121", "5122", "5123", "5125", "5126", "\"count\":", "\"type\":", "\"VEC3\"", "\"VEC2\"",
                                      "\"SCALAR\"", "\"children\":", "\"matrix\":", "\"rotation\":", "\"mode\":", "\"material\":", "\"materials\":", "\"textures\":", "\"images\":",
                                      "\"normalized\":true", "[0]", "[]", "{}", "null", "-1", "0.5", ",", NULL};

static size_t put_chunk(uint8_t *out, uint32_t type, const uint8_t *bytes, uint32_t n, uint8_t pad)
{
    uint32_t head[2] = {(n + 3) / 4 * 4, type};
    memcpy(out, head, 8);
    memcpy(out + 8, bytes, n);
    memset(out + 8 + n, pad, head[0] - n);
    return 8 + head[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[1 << 17];
    size_t n = size ? size - 1 : 0;
    ch4_asset asset;
    ch4_err err = {0};
    if (size < 1 || n > sizeof file - 64 || (data[0] != 'R' && data[0] != 'J'))
        return 0;
    const uint8_t *use = data + 1;
    if (data[0] == 'J') {
        const uint8_t *end = memchr(use, 0, n);
        size_t text = end ? (size_t)(end - use) : n, at = 12;
        at += put_chunk(file + at, 0x4E4F534A, use, (uint32_t)text, ' ');
        if (end)
            at += put_chunk(file + at, 0x004E4942, end + 1, (uint32_t)(n - text - 1), 0);
        const uint32_t head[3] = {0x46546C67, 2, (uint32_t)at};
        memcpy(file, head, 12);
        use = file;
        n = at;
    }
    ch4_status st = ch4_glb_parse(&asset, use, n, "input", &err);
    CH4_FUZZ_CHECK(st == CH4_OK || err.msg[0]);
    if (st == CH4_OK) {
        check_asset(&asset);
        ch4_asset_fini(&asset);
    }
    return 0;
}
