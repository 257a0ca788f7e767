#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "mesh/mesh_io.h"

static char dir[] = "/tmp/ch4.XXXXXX", path[64];

/* A GLB from a JSON text (single quotes stand for double ones) and a binary chunk. */
static size_t make_glb(uint8_t *out, const char *json, const void *bin, size_t bin_size)
{
    size_t n = strlen(json), room = (n + 3) / 4 * 4, bin_room = (bin_size + 3) / 4 * 4;
    uint32_t head[5] = {0x46546c67u, 2, (uint32_t)(20 + room + 8 + bin_room), (uint32_t)room, 0x4e4f534au}, tail[2] = {(uint32_t)bin_room, 0x004e4942u};
    memset(out, 0, 28 + room + bin_room);
    memcpy(out, head, 20);
    memset(out + 20, ' ', room);
    for (size_t i = 0; i < n; i++)
        out[20 + i] = (uint8_t)(json[i] == '\'' ? '"' : json[i]);
    memcpy(out + 20 + room, tail, 8);
    memcpy(out + 28 + room, bin, bin_size);
    return 28 + room + bin_room;
}

/* Four corners of a square, texture coordinates interleaved, u16 indices of two triangles. */
typedef struct square {
    struct {
        float pos[3], uv[2];
    } v[4];
    uint16_t index[6];
} square;

static const square square_data = {{{{0, 0, 0}, {0, 0}}, {{1, 0, 0}, {1, 0}}, {{1, 1, 0}, {1, 1}}, {{0, 1, 0}, {0, 1}}}, {0, 1, 2, 0, 2, 3}};

#define SQUARE_TAIL                                                                                                    \
    "'accessors':[{'bufferView':0,'componentType':5126,'count':4,'type':'VEC3'},"                                      \
    "{'bufferView':0,'byteOffset':12,'componentType':5126,'count':4,'type':'VEC2'},"                                   \
    "{'bufferView':1,'componentType':5123,'count':6,'type':'SCALAR'}],"                                                \
    "'bufferViews':[{'buffer':0,'byteLength':80,'byteStride':20},{'buffer':0,'byteOffset':80,'byteLength':12}],"       \
    "'buffers':[{'byteLength':92}]}"
#define SQUARE_HEAD "{'asset':{'version':'2.0'},"
#define SQUARE_MESH "'meshes':[{'primitives':[{'attributes':{'POSITION':0,'TEXCOORD_0':1},'indices':2}]}],"

static ch4_status parse(ch4_asset *a, const char *json, const square *s, ch4_err *err)
{
    uint8_t *glb = malloc(8192);
    size_t n = make_glb(glb, json, s, sizeof *s);
    uint8_t *exact = malloc(n); /* so that the sanitizer sees a read past the end */
    memcpy(exact, glb, n);
    ch4_status st = ch4_glb_parse(a, exact, n, "x.glb", err);
    free(glb);
    free(exact);
    return st;
}

static void reads_interleaved_data_and_nodes(void **state)
{
    (void)state;
    ch4_asset a;
    /* the second node mirrors: its faces must be turned round */
    assert_int_equal(parse(&a, SQUARE_HEAD "'scene':0,'scenes':[{'nodes':[0]}],'nodes':[{'mesh':0,'children':[1]},{'mesh':0,'scale':[-1,1,1],"
                               "'translation':[5,0,0]}]," SQUARE_MESH SQUARE_TAIL, &square_data, NULL), CH4_OK);
    assert_int_equal(a.mesh.n_vert, 8);
    assert_int_equal(a.mesh.n_face, 4);
    assert_float_equal(a.mesh.vert[3 * 1], 1, 0);
    assert_float_equal(a.mesh.vert[3 * 5], 4, 0);
    assert_float_equal(a.uv[2 * 6 + 1], 1, 0);
    assert_int_equal(a.mesh.face[1], 1);
    assert_int_equal(a.mesh.face[3 * 2], 4);
    assert_int_equal(a.mesh.face[3 * 2 + 1], 6);
    assert_int_equal(a.mesh.face[3 * 2 + 2], 5);
    ch4_asset_fini(&a);
}

static void strips_and_fans_become_triangles(void **state)
{
    (void)state;
    ch4_asset a;
    static const int32_t want[2][6] = {{0, 1, 2, 1, 3, 2}, {1, 2, 0, 2, 3, 0}};
    for (int mode = 5; mode <= 6; mode++) {
        char json[2048];
        snprintf(json, sizeof json, SQUARE_HEAD "'nodes':[{'mesh':0}],'meshes':[{'primitives':[{'attributes':{'POSITION':0},'mode':%d}]}]," SQUARE_TAIL, mode);
        assert_int_equal(parse(&a, json, &square_data, NULL), CH4_OK);
        assert_memory_equal(a.mesh.face, want[mode - 5], sizeof want[0]);
        ch4_asset_fini(&a);
    }
}

/* Every one of these must be refused with a message that names the file, and without reading out of bounds. */
static void hostile_glbs_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        ch4_status want;
        const char *text;
    } cases[] = {
        {SQUARE_HEAD SQUARE_MESH SQUARE_TAIL, CH4_EFORMAT, "no triangles"},
        {SQUARE_HEAD "'nodes':[{'mesh':0,'children':[0]}],'scenes':[{'nodes':[0]}]," SQUARE_MESH SQUARE_TAIL, CH4_EFORMAT, "tree"},
        {SQUARE_HEAD "'nodes':[{'mesh':7}]," SQUARE_MESH SQUARE_TAIL, CH4_EFORMAT, "mesh that does not exist"},
        {SQUARE_HEAD "'nodes':[{'mesh':0}],'meshes':[{'primitives':[{'attributes':{'POSITION':9}}]}]," SQUARE_TAIL, CH4_EFORMAT, "accessor"},
        {SQUARE_HEAD "'nodes':[{'mesh':0}],'meshes':[{'primitives':[{'attributes':{'POSITION':1}}]}]," SQUARE_TAIL, CH4_EFORMAT, "VEC3"},
        {SQUARE_HEAD "'nodes':[{'mesh':0}],'meshes':[{'primitives':[{'attributes':{'POSITION':0},'extensions':{'KHR_draco_mesh_compression':{}}}]}],"
         SQUARE_TAIL, CH4_EUNSUP, "Draco"},
        {SQUARE_HEAD "'nodes':[{'mesh':0}]," SQUARE_MESH
         "'accessors':[{'bufferView':0,'componentType':5126,'count':400,'type':'VEC3'}],'bufferViews':[{'buffer':0,'byteLength':80}],'buffers':[{'byteLength':92}]}",
         CH4_EFORMAT, "do not fit"},
        {SQUARE_HEAD "'nodes':[{'mesh':0}]," SQUARE_MESH
         "'accessors':[{'bufferView':0,'componentType':5126,'count':9007199254740992,'type':'VEC3'}],'bufferViews':[{'buffer':0,'byteLength':80}],"
         "'buffers':[{'byteLength':92}]}", CH4_EFORMAT, "do not fit"},
        {SQUARE_HEAD "'nodes':[{'mesh':0}]," SQUARE_MESH
         "'accessors':[{'bufferView':0,'componentType':5126,'count':2,'type':'VEC3'}],'bufferViews':[{'buffer':0,'byteOffset':4294967295,'byteLength':80}],"
         "'buffers':[{'byteLength':92}]}", CH4_EFORMAT, "reaches past"},
        {SQUARE_HEAD "'nodes':[{'mesh':0}]," SQUARE_MESH
         "'accessors':[{'bufferView':0,'componentType':5126,'count':2,'type':'VEC3'}],'bufferViews':[{'buffer':0,'byteLength':4000}],"
         "'buffers':[{'byteLength':4000}]}", CH4_EFORMAT, "reaches past"},
        {SQUARE_HEAD "'nodes':[{'mesh':0}]," SQUARE_MESH
         "'accessors':[{'bufferView':0,'componentType':5126,'count':4,'type':'VEC3','sparse':{}}],'bufferViews':[{'buffer':0,'byteLength':80}],"
         "'buffers':[{'byteLength':92}]}", CH4_EUNSUP, "sparse"},
        {SQUARE_HEAD "'nodes':[{'mesh':0}]," SQUARE_MESH
         "'accessors':[{'bufferView':0,'componentType':5126,'count':4,'type':'VEC3'}],'bufferViews':[{'buffer':0,'byteLength':80,"
         "'extensions':{'EXT_meshopt_compression':{}}}],'buffers':[{'byteLength':92}]}", CH4_EUNSUP, "meshopt"},
        {SQUARE_HEAD "'nodes':[{'mesh':0}]," SQUARE_MESH
         "'accessors':[{'bufferView':0,'componentType':5126,'count':-4,'type':'VEC3'}],'bufferViews':[{'buffer':0,'byteLength':80}],"
         "'buffers':[{'byteLength':92}]}", CH4_EFORMAT, "not a size"},
        {SQUARE_HEAD "'nodes':[{'mesh':0,'scale':[1,1,'x']}]," SQUARE_MESH SQUARE_TAIL, CH4_EFORMAT, "transform"},
        {"{'asset':{'version':'1.0'}}", CH4_EUNSUP, "version"},
        {"[1,2", CH4_EFORMAT, "JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ch4_asset a;
        ch4_err err = {0};
        assert_int_equal(parse(&a, cases[i].json, &square_data, &err), cases[i].want);
        if (!strstr(err.msg, cases[i].text) || !strstr(err.msg, "x.glb"))
            fail_msg("case %zu: %s", i, err.msg);
        assert_null(a.mesh.vert);
    }
}

static void bad_values_name_file_and_vertex(void **state)
{
    (void)state;
    ch4_asset a;
    ch4_err err = {0};
    square s = square_data;
    s.v[2].pos[1] = NAN;
    assert_int_equal(parse(&a, SQUARE_HEAD "'nodes':[{'mesh':0}]," SQUARE_MESH SQUARE_TAIL, &s, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "x.glb"));
    assert_non_null(strstr(err.msg, "vertex 2"));
    s = square_data;
    s.index[4] = 4;
    assert_int_equal(parse(&a, SQUARE_HEAD "'nodes':[{'mesh':0}]," SQUARE_MESH SQUARE_TAIL, &s, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "vertex 4 of 4"));
}

/* Cutting the file anywhere, or flipping any byte of it, must never crash. */
static void damaged_glbs_never_crash(void **state)
{
    (void)state;
    uint8_t whole[4096];
    size_t n = make_glb(whole, SQUARE_HEAD "'nodes':[{'mesh':0}]," SQUARE_MESH SQUARE_TAIL, &square_data, sizeof square_data);
    ch4_asset a;
    for (size_t cut = 0; cut <= n; cut++) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, whole, cut);
        ch4_status st = ch4_glb_parse(&a, part, cut, "x.glb", NULL);
        assert_true(st == CH4_OK || cut < n);
        ch4_asset_fini(&a);
        free(part);
    }
    ch4_rng rng = ch4_rng_at(11, 0);
    for (int i = 0; i < 4000; i++) {
        uint8_t *bad = malloc(n);
        memcpy(bad, whole, n);
        for (int k = 0; k < 3; k++)
            bad[ch4_rng_below(&rng, (uint32_t)n)] = (uint8_t)ch4_rng_u32(&rng);
        (void)ch4_glb_parse(&a, bad, n, "x.glb", NULL);
        ch4_asset_fini(&a);
        free(bad);
    }
}

static void obj_keeps_order_and_splits_only_for_drawing(void **state)
{
    (void)state;
    static const char text[] = "# square\nv 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 1 1 0 0 0 1\nv 0 1 0 1 1 1\nvt 0 0\nvt 1 1\n"
                               "f 1/1 2/2 3/1 -1/2\r\nf 1/2/7 2/2/7 3//7\n";
    ch4_asset a;
    ch4_err err = {0};
    assert_int_equal(ch4_obj_parse(&a, text, sizeof text - 1, "x.obj", &err), CH4_OK);
    assert_int_equal(a.mesh.n_vert, 4);
    assert_int_equal(a.mesh.n_face, 3);
    static const int32_t want[] = {0, 1, 2, 0, 2, 3, 0, 1, 2};
    assert_memory_equal(a.mesh.face, want, sizeof want);
    assert_int_equal(a.n_draw, 6); /* vertex 1 with the other coordinate, vertex 3 without one */
    for (int64_t i = 0; i < 9; i++)
        assert_int_equal(a.draw_vert[a.draw_face[i]], a.mesh.face[i]);
    assert_float_equal(a.uv[2 * a.draw_face[6]], 1, 0);
    assert_float_equal(a.uv[2 * a.draw_face[6] + 1], 0, 0);
    assert_float_equal(a.color[4 * a.draw_face[1] + 1], 1, 0);
    ch4_asset_fini(&a);
}

static void bad_objs_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"v 0 0\n", "line 1"},       {"v 0 0 0\nf 1 1\n", "line 2"},    {"v 0 0 0\nf 1 1 2\n", "vertex 2 of 1"}, {"v 0 0 nan\n", "vertex 0 is not finite"},
        {"v 0 0 1e99\n", "finite"},  {"v 0 0 0\nf 0 1 1\n", "line 2"},  {"v 0 0 0\nf 1/3 1 1\n", "line 2"},      {"hello world\n", "no faces"},
        {"v 0 0 0\nf 1 1 x\n", "line 2"}, {"v 1 2 3 zz\n", "line 1"},   {"v 0 0 0\nf -2 -1 -1\n", "line 2"},     {"f 99999999999999999999 1 1\n", "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ch4_asset a;
        ch4_err err = {0};
        assert_int_equal(ch4_obj_parse(&a, cases[i].text, strlen(cases[i].text), "x.obj", &err), CH4_EFORMAT);
        if (!strstr(err.msg, cases[i].want) || !strstr(err.msg, "x.obj"))
            fail_msg("case %zu: %s", i, err.msg);
    }
}

/* --- writing ---------------------------------------------------------------------------------------------------------------- */

enum { FRAMES = 5 };
static const int32_t tetra_face[12] = {0, 2, 1, 0, 1, 3, 1, 2, 3, 0, 3, 2};

static void tetra_frame(float v[12], int f)
{
    static const float base[12] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1};
    for (int i = 0; i < 12; i++)
        v[i] = base[i] + 0.1f * (float)f * (float)(i % 3);
}

static ch4_status write_tetra(const ch4_glb_options *o, const double *times, int frames, ch4_err *err)
{
    ch4_glb_writer *w = NULL;
    ch4_status st = ch4_glb_create(&w, path, tetra_face, 4, 4, times, FRAMES, o, err);
    for (int f = 0; st == CH4_OK && f < frames; f++) {
        float v[12];
        tetra_frame(v, f);
        st = ch4_glb_append(w, v, err);
    }
    return st == CH4_OK ? ch4_glb_close(&w, err) : (ch4_glb_abort(&w), st);
}

static json_t *read_json(uint8_t **file, const uint8_t **bin)
{
    FILE *f = fopen(path, "rb");
    uint32_t head[5];
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    *file = malloc((size_t)n);
    assert_int_equal(fread(*file, 1, (size_t)n, f), n);
    fclose(f);
    memcpy(head, *file, sizeof head);
    assert_int_equal(head[2], n);
    *bin = *file + 28 + head[3];
    json_t *root = json_loadb((char *)*file + 20, head[3], 0, NULL);
    assert_non_null(root);
    return root;
}

static double path_number(json_t *v, const char *key, int index)
{
    v = json_object_get(v, key);
    return json_number_value(index < 0 ? v : json_array_get(v, (size_t)index));
}

/* What a viewer does: base + sum of weights times targets, at every key of the animation. */
static void animation_shows_every_frame_at_its_time(void **state)
{
    (void)state;
    const double times[FRAMES] = {0, 0.04, 0.1, 0.11, 0.5};
    for (int normals = 0; normals < 2; normals++) {
        uint8_t *file;
        const uint8_t *bin;
        assert_int_equal(write_tetra(&(ch4_glb_options){.normals = normals}, times, FRAMES, NULL), CH4_OK);
        json_t *root = read_json(&file, &bin), *acc = json_object_get(root, "accessors"), *views = json_object_get(root, "bufferViews");
        json_t *sampler = json_array_get(json_object_get(json_array_get(json_object_get(root, "animations"), 0), "samplers"), 0);
        json_t *prim = json_array_get(json_object_get(json_array_get(json_object_get(root, "meshes"), 0), "primitives"), 0);
        json_t *targets = json_object_get(prim, "targets");
        assert_int_equal(json_array_size(targets), FRAMES - 1);
        const float *data[FRAMES + 2];
        for (int i = 0; i < FRAMES + 2; i++) { /* base, targets, times, weights */
            json_t *a = i == 0        ? json_object_get(json_object_get(prim, "attributes"), "POSITION")
                        : i < FRAMES  ? json_object_get(json_array_get(targets, (size_t)i - 1), "POSITION")
                        : i == FRAMES ? json_object_get(sampler, "input")
                                      : json_object_get(sampler, "output");
            a = json_array_get(acc, (size_t)json_integer_value(a));
            json_t *view = json_array_get(views, (size_t)path_number(a, "bufferView", -1));
            data[i] = (const float *)(const void *)(bin + (size_t)path_number(view, "byteOffset", -1) + (size_t)path_number(a, "byteOffset", -1));
            if (i < FRAMES)
                for (int k = 0; k < 3; k++) {
                    float lo = INFINITY, hi = -INFINITY;
                    for (int v = 0; v < 4; v++) {
                        lo = fminf(lo, data[i][3 * v + k]);
                        hi = fmaxf(hi, data[i][3 * v + k]);
                    }
                    assert_true((float)path_number(a, "min", k) == lo && (float)path_number(a, "max", k) == hi);
                }
        }
        for (int f = 0; f < FRAMES; f++) {
            float want[12];
            tetra_frame(want, f);
            assert_true(data[FRAMES][f] == (float)times[f]);
            for (int i = 0; i < 12; i++) {
                double x = data[0][i];
                for (int t = 0; t < FRAMES - 1; t++)
                    x += data[FRAMES + 1][f * (FRAMES - 1) + t] * data[t + 1][i];
                assert_true(fabs(x - want[i]) < 1e-6);
            }
        }
        json_decref(root);
        free(file);
        ch4_asset a;
        assert_int_equal(ch4_asset_load(&a, path, NULL), CH4_OK);
        assert_int_equal(a.mesh.n_vert, 4);
        assert_memory_equal(a.mesh.face, tetra_face, sizeof tetra_face);
        ch4_asset_fini(&a);
    }
}

static void look_of_the_given_mesh_survives(void **state)
{
    (void)state;
    const double times[FRAMES] = {0, 1, 2, 3, 4};
    float uv[8] = {0, 0, 1, 0, 1, 1, 0, 1};
    ch4_mesh_part part[2] = {{0, 1, 1}, {1, 3, 0}};
    ch4_blob image = {(uint8_t[]){9, 8, 7}, 3};
    ch4_asset in = {.mesh = {.n_vert = 4, .n_face = 4}, .n_draw = 4, .uv = uv, .part = part, .n_part = 2, .image = &image, .n_image = 1,
                    .look = (char[]){"{\"materials\":[{\"name\":\"a\"},{\"name\":\"b\",\"pbrMetallicRoughness\":{\"baseColorTexture\":{\"index\":0}}}],"
                                     "\"textures\":[{\"source\":0}],\"images\":[{\"mimeType\":\"image/png\"}]}"}};
    assert_int_equal(write_tetra(&(ch4_glb_options){.asset = &in}, times, FRAMES, NULL), CH4_OK);
    ch4_asset out;
    assert_int_equal(ch4_asset_load(&out, path, NULL), CH4_OK);
    assert_memory_equal(out.uv, uv, sizeof uv);
    assert_int_equal(out.n_image, 1);
    assert_int_equal(out.image[0].size, 3);
    assert_memory_equal(out.image[0].data, image.data, 3);
    assert_int_equal(out.n_part, 2);
    assert_int_equal(out.part[0].material, 1);
    assert_int_equal(out.part[1].n_face, 3);
    assert_non_null(strstr(out.look, "\"b\""));
    ch4_asset_fini(&out);
}

static void unfinished_and_impossible_files_leave_nothing(void **state)
{
    (void)state;
    const double times[FRAMES] = {0, 1, 2, 3, 4}, standing[FRAMES] = {0, 1, 1, 3, 4};
    ch4_err err = {0};
    unlink(path);
    assert_int_equal(write_tetra(&(ch4_glb_options){0}, times, FRAMES - 1, NULL), CH4_EINVAL);
    assert_int_equal(write_tetra(&(ch4_glb_options){0}, standing, FRAMES, NULL), CH4_EINVAL);
    assert_int_equal(access(path, F_OK), -1);
    double many[CH4_GLB_MAX_FRAMES + 1];
    for (int i = 0; i <= CH4_GLB_MAX_FRAMES; i++)
        many[i] = i;
    ch4_glb_writer *w = NULL;
    assert_int_equal(ch4_glb_create(&w, path, tetra_face, 4, 4, many, CH4_GLB_MAX_FRAMES + 1, &(ch4_glb_options){0}, &err), CH4_EUNSUP);
    assert_non_null(strstr(err.msg, "4096"));
    assert_null(w);
    assert_int_equal(ch4_glb_create(&w, "/nonexistent/x.glb", tetra_face, 4, 4, times, FRAMES, &(ch4_glb_options){0}, &err), CH4_ENOENT);
}

static void a_thousand_targets_are_written(void **state)
{
    (void)state;
    enum { N = 1001 };
    double times[N];
    for (int i = 0; i < N; i++)
        times[i] = i / 25.0;
    ch4_glb_writer *w = NULL;
    assert_int_equal(ch4_glb_create(&w, path, tetra_face, 4, 4, times, N, &(ch4_glb_options){0}, NULL), CH4_OK);
    for (int f = 0; f < N; f++) {
        float v[12];
        tetra_frame(v, f);
        assert_int_equal(ch4_glb_append(w, v, NULL), CH4_OK);
    }
    assert_int_equal(ch4_glb_close(&w, NULL), CH4_OK);
    ch4_asset a;
    assert_int_equal(ch4_asset_load(&a, path, NULL), CH4_OK);
    ch4_asset_fini(&a);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/x.glb", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails if a temporary file was left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_interleaved_data_and_nodes),
        cmocka_unit_test(strips_and_fans_become_triangles),
        cmocka_unit_test(hostile_glbs_are_refused),
        cmocka_unit_test(bad_values_name_file_and_vertex),
        cmocka_unit_test(damaged_glbs_never_crash),
        cmocka_unit_test(obj_keeps_order_and_splits_only_for_drawing),
        cmocka_unit_test(bad_objs_are_refused_with_their_line),
        cmocka_unit_test(animation_shows_every_frame_at_its_time),
        cmocka_unit_test(look_of_the_given_mesh_survives),
        cmocka_unit_test(unfinished_and_impossible_files_leave_nothing),
        cmocka_unit_test(a_thousand_targets_are_written),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
