/* chain4d-eval's readers: .npz archives, honest and hostile, and the families that read tracks from files, against recorded values of the public
 * functions. */
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
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "tensor/safetensors.h"
#include "tools/eval/families.h"
#include "tools/eval/npz.h"

static char folder[64];

static const char *at(const char *name)
{
    static char path[6][256];
    static int next;
    char *p = path[next++ % 6];
    snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
    return p;
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/ch4_eval_files_XXXXXX");
    return !mkdtemp(folder);
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

/* --- a writer of archives -------------------------------------------------------------------------------------------------------------------------- */

enum { MAX_ARRAYS = 8, MAX_ARCHIVE = 1 << 20 };

typedef struct archive {
    unsigned char bytes[MAX_ARCHIVE];
    size_t n;
    struct {
        char name[32];
        uint32_t offset, packed, size, crc;
        int method;
    } entry[MAX_ARRAYS];
    int n_entry;
} archive;

static void put(archive *a, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) a->bytes[a->n++] = (unsigned char)(value >> 8 * i);
}

static void put_bytes(archive *a, const void *p, size_t n)
{
    assert_true(a->n + n < MAX_ARCHIVE);
    memcpy(a->bytes + a->n, p, n);
    a->n += n;
}

/* descr as numpy spells it, such as "<f4"; shape as "(2, 3)". */
static void add_array(archive *a, const char *name, const char *descr, const char *shape, const void *data, size_t size, bool deflate_it)
{
    unsigned char *npy = calloc(1, size + 256), *packed = calloc(1, size + 1024);
    int used = snprintf((char *)npy, 200, "%cNUMPY%c%c%c%c{'descr': '%s', 'fortran_order': False, 'shape': %s, }", 0x93, 1, 0, 118, 0, descr, shape);
    memset(npy + used, ' ', 127 - (size_t)used);
    npy[127] = '\n';
    memcpy(npy + 128, data, size);
    uLongf packed_size = size + 1024;
    z_stream s = {.next_in = npy, .avail_in = (uInt)(size + 128), .next_out = packed, .avail_out = (uInt)packed_size};
    assert_int_equal(deflateInit2(&s, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    packed_size = s.total_out;
    deflateEnd(&s);
    int e = a->n_entry++;
    snprintf(a->entry[e].name, sizeof(a->entry[e].name), "%s.npy", name);
    a->entry[e].offset = (uint32_t)a->n;
    a->entry[e].method = deflate_it ? 8 : 0;
    a->entry[e].size = (uint32_t)size + 128;
    a->entry[e].packed = deflate_it ? (uint32_t)packed_size : (uint32_t)size + 128;
    a->entry[e].crc = (uint32_t)crc32(crc32(0, NULL, 0), npy, (uInt)(size + 128));
    put(a, 0x04034b50, 4);
    put(a, 20, 2), put(a, 0, 2), put(a, (uint32_t)a->entry[e].method, 2), put(a, 0, 4), put(a, a->entry[e].crc, 4);
    put(a, UINT32_MAX, 4), put(a, UINT32_MAX, 4); /* numpy writes the true sizes into an extra field here */
    put(a, (uint32_t)strlen(a->entry[e].name), 2), put(a, 20, 2);
    put_bytes(a, a->entry[e].name, strlen(a->entry[e].name));
    put_bytes(a, (unsigned char[20]){1, 0, 16, 0}, 20);
    put_bytes(a, deflate_it ? packed : npy, a->entry[e].packed);
    free(npy);
    free(packed);
}

static void finish(archive *a)
{
    size_t begin = a->n;
    for (int e = 0; e < a->n_entry; e++) {
        put(a, 0x02014b50, 4);
        put(a, 20, 2), put(a, 20, 2), put(a, 0, 2), put(a, (uint32_t)a->entry[e].method, 2), put(a, 0, 4), put(a, a->entry[e].crc, 4);
        put(a, a->entry[e].packed, 4), put(a, a->entry[e].size, 4), put(a, (uint32_t)strlen(a->entry[e].name), 2);
        put(a, 0, 2), put(a, 0, 2), put(a, 0, 2), put(a, 0, 2), put(a, 0, 4), put(a, a->entry[e].offset, 4);
        put_bytes(a, a->entry[e].name, strlen(a->entry[e].name));
    }
    size_t size = a->n - begin;
    put(a, 0x06054b50, 4);
    put(a, 0, 4), put(a, (uint32_t)a->n_entry, 2), put(a, (uint32_t)a->n_entry, 2), put(a, (uint32_t)size, 4), put(a, (uint32_t)begin, 4), put(a, 0, 2);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static const float NUMBERS[6] = {1, 2, 3, 4, 5, 6.5f};

static archive *two_arrays(void)
{
    archive *a = calloc(1, sizeof(*a));
    add_array(a, "numbers", "<f4", "(2, 3)", NUMBERS, sizeof(NUMBERS), false);
    add_array(a, "flags", "|b1", "(4,)", (unsigned char[4]){1, 0, 1, 1}, 4, true);
    finish(a);
    return a;
}

/* --- reading ------------------------------------------------------------------------------------------------------------------------------------------ */

static void arrays_are_read(void **state)
{
    (void)state;
    archive *a = two_arrays();
    write_file(at("good.npz"), a->bytes, a->n);
    ch4_npz *z;
    ch4_buf buf;
    ch4_tensor t;
    ch4_err err = {0};
    assert_int_equal(ch4_npz_open(&z, at("good.npz"), &err), CH4_OK);
    assert_true(ch4_npz_has(z, "numbers") && ch4_npz_has(z, "flags") && !ch4_npz_has(z, "number") && !ch4_npz_has(z, "numbers.npy"));
    assert_int_equal(ch4_npz_get(&buf, &t, z, "numbers", &err), CH4_OK);
    assert_true(t.dtype == CH4_DTYPE_F32 && ch4_tensor_has_shape(&t, 2, (int64_t[]){2, 3}));
    assert_memory_equal(t.data, NUMBERS, sizeof(NUMBERS));
    ch4_buf_free(&buf);
    assert_int_equal(ch4_npz_get(&buf, &t, z, "flags", &err), CH4_OK);
    assert_true(t.dtype == CH4_DTYPE_U8 && ((uint8_t *)t.data)[1] == 0 && ((uint8_t *)t.data)[3] == 1);
    ch4_buf_free(&buf);
    assert_int_equal(ch4_npz_get(&buf, &t, z, "nothing", &err), CH4_ENOENT);
    assert_non_null(strstr(err.msg, "no array nothing"));
    ch4_npz_close(&z);
    assert_int_equal(ch4_npz_open(&z, at("no.npz"), &err), CH4_ENOENT);
    free(a);
}

/* Reads everything; true if all is as it was written. */
static bool reads_well(const char *path)
{
    ch4_npz *z;
    ch4_buf buf;
    ch4_tensor t;
    bool good = true;
    if (ch4_npz_open(&z, path, NULL)) return false;
    if (ch4_npz_get(&buf, &t, z, "numbers", NULL)) good = false;
    else good = t.dtype == CH4_DTYPE_F32 && ch4_tensor_count(&t) == 6 && !memcmp(t.data, NUMBERS, sizeof(NUMBERS));
    ch4_buf_free(&buf);
    if (ch4_npz_get(&buf, &t, z, "flags", NULL)) good = false;
    ch4_buf_free(&buf);
    ch4_npz_close(&z);
    return good;
}

/* Whatever is cut off or changed, nothing wrong is taken for an array, and the sanitizers see no wrong access. */
static void damaged_archives_are_refused(void **state)
{
    (void)state;
    archive *a = two_arrays();
    const char *path = at("bad.npz");
    for (size_t n = 0; n < a->n; n++) {
        write_file(path, a->bytes, n);
        assert_false(reads_well(path));
    }
    int harmless = 0;
    for (size_t i = 0; i < a->n; i++) {
        a->bytes[i] ^= 0xff;
        write_file(path, a->bytes, a->n);
        harmless += reads_well(path);
        a->bytes[i] ^= 0xff;
    }
    /* Fields that say nothing about the content: versions, dates, extra fields, sizes in local headers. */
    assert_in_range(harmless, 1, 200);
    free(a);
}

static void check_refused(archive *a, ch4_status status, const char *text)
{
    ch4_npz *z;
    ch4_buf buf = {0};
    ch4_tensor t;
    ch4_err err = {0};
    write_file(at("odd.npz"), a->bytes, a->n);
    ch4_status st = ch4_npz_open(&z, at("odd.npz"), &err);
    if (!st) st = ch4_npz_get(&buf, &t, z, "numbers", &err);
    if (st != status || !strstr(err.msg, text)) print_error("%s: %s\n", ch4_status_name(st), err.msg);
    assert_int_equal(st, status);
    assert_non_null(strstr(err.msg, text));
    ch4_buf_free(&buf);
    ch4_npz_close(&z);
    free(a);
}

static archive *one_array(bool deflated)
{
    archive *a = calloc(1, sizeof(*a));
    add_array(a, "numbers", "<f4", "(2, 3)", NUMBERS, sizeof(NUMBERS), deflated);
    return a;
}

static void hostile_archives_are_named(void **state)
{
    (void)state;
    archive *a = one_array(true);
    a->entry[0].size = 1u << 30; /* a bomb: 4 KiB that claim to be a gigabyte are refused before anything is allocated */
    finish(a);
    check_refused(a, CH4_EFORMAT, "cannot hold");
    a = one_array(true);
    a->entry[0].size += 7;
    finish(a);
    check_refused(a, CH4_EFORMAT, "not of the size");
    a = one_array(false);
    a->entry[0].offset = 1u << 28;
    finish(a);
    check_refused(a, CH4_EFORMAT, "cut off or damaged");
    a = one_array(false);
    a->entry[0].crc ^= 1;
    finish(a);
    check_refused(a, CH4_EFORMAT, "wrong checksum");
    a = one_array(false);
    a->entry[0].method = 14;
    finish(a);
    check_refused(a, CH4_EUNSUP, "compression 14");
    a = one_array(false);
    add_array(a, "numbers", "<f4", "(1,)", NUMBERS, 4, false);
    finish(a);
    check_refused(a, CH4_EFORMAT, "there twice");
    a = calloc(1, sizeof(*a));
    add_array(a, "numbers", "<f4", "(1000000, 1000000)", NUMBERS, sizeof(NUMBERS), false);
    finish(a);
    check_refused(a, CH4_EFORMAT, "do not fit the shape");
    a = calloc(1, sizeof(*a));
    add_array(a, "numbers", "|O", "(6,)", NUMBERS, sizeof(NUMBERS), false);
    finish(a);
    check_refused(a, CH4_EFORMAT, "unusable npy header");
    a = calloc(1, sizeof(*a));
    put_bytes(a, "this is no archive at all", 25);
    check_refused(a, CH4_EFORMAT, "not a zip archive");
}

/* --- families ------------------------------------------------------------------------------------------------------------------------------------------ */

static ch4_safetensors *golden(const char *name)
{
    char path[256];
    ch4_safetensors *f;
    snprintf(path, sizeof(path), "tests/golden/eval/%s.safetensors", name);
    assert_int_equal(ch4_safetensors_open(&f, path, NULL), CH4_OK);
    return f;
}

static ch4_tensor tensor(const ch4_safetensors *f, const char *name)
{
    ch4_tensor t;
    assert_int_equal(ch4_safetensors_get(f, name, &t, NULL), CH4_OK);
    return t;
}

static void run_family(ch4_eval_family_fn family, const char *gt, const char *pred_folder, int64_t failed)
{
    char *const pred[] = {(char *)(uintptr_t)pred_folder};
    ch4_eval_request r = {.gt = gt, .out = at("report"), .pred = pred, .n_pred = 1, .quiet = true, .bench = ch4_bench_defaults(),
                          .world_align = CH4_WORLD_GLOBAL, .tapvid3d_scaling = CH4_TAPVID3D_MEDIAN};
    ch4_eval_outcome o = {0};
    ch4_err err = {0};
    ch4_status st = family(&o, &r, &err);
    if (st) print_error("%s\n", err.msg);
    assert_int_equal(st, CH4_OK);
    assert_true(o.applied);
    assert_int_equal(o.n_failed, failed);
}

static double value(const char *report, const char *method, const char *key)
{
    json_t *root = json_load_file(at(report), 0, NULL), *x = json_object_get(json_object_get(json_object_get(root, "mean"), method), key);
    double v = json_is_number(x) ? json_number_value(x) : (double)NAN;
    json_decref(root);
    return v;
}

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) print_error("%.9g, expected %.9g\n", got, want);
    assert_true(fabs(got - want) <= tolerance);
}

/* The dataset's layout as it is recorded, with the recorded predictions as files. */
static void badja_from_files(void **state)
{
    (void)state;
    static const char *const VIDEO[] = {"beast-a", "beast-b"};
    ch4_safetensors *f = golden("badja");
    mkdir(at("joints"), 0777);
    for (int v = 0; v < 2; v++) {
        char name[64], path[256];
        snprintf(name, sizeof(name), "%s.pred", VIDEO[v]);
        ch4_tensor t = tensor(f, name);
        int64_t T = t.shape[0], n = t.shape[1];
        float *points = malloc((size_t)(T * n) * 2 * sizeof(float));
        const float *from = t.data;
        for (int64_t k = 0; k < T; k++)
            for (int64_t i = 0; i < n; i++) points[2 * (i * T + k)] = from[2 * (k * n + i)] / 512, points[2 * (i * T + k) + 1] = from[2 * (k * n + i) + 1] / 384;
        snprintf(path, sizeof(path), "%s/%s", at("joints"), VIDEO[v]);
        mkdir(path, 0777);
        snprintf(path, sizeof(path), "%s/%s/tracks.safetensors", at("joints"), VIDEO[v]);
        const ch4_named_tensor named = {"points", CH4_F32(points, n, T, 2)};
        assert_int_equal(ch4_safetensors_save(path, &named, 1, NULL), CH4_OK);
        free(points);
    }
    run_family(ch4_eval_joints, "tests/golden/eval/badja", at("joints"), 0);
    near(value("report/badja.json", "ours", "seg_a"), 73.8662109375, 1e-3);
    near(value("report/badja.json", "ours", "delta_3px"), 45.039682388305664, 1e-3);
    near(value("report/badja.json", "oracle", "seg_a"), 100, 0);
    assert_true(value("report/badja.json", "static_point", "delta_3px") < 100);
    ch4_safetensors_close(&f);
}

static void shape_text(char out[64], const ch4_tensor *t)
{
    snprintf(out, 64, t->rank == 3 ? "(%lld, %lld, %lld)" : "(%lld, %lld)", (long long)t->shape[0], (long long)t->shape[1], (long long)t->shape[2]);
}

/* The recorded tracks as a clip of a camera that does not move, which sees all points. */
static void worldtrack_from_npz(void **state)
{
    (void)state;
    ch4_safetensors *f = golden("worldtrack");
    ch4_tensor gt = tensor(f, "object.gt"), pred = tensor(f, "object.pred");
    int64_t T = gt.shape[0], n = gt.shape[1];
    char shape[64], flags[64], cameras[64];
    size_t bytes = (size_t)(T * n) * 3 * sizeof(double);
    double *pose = calloc((size_t)T * 16, sizeof(double)), *moved = malloc(bytes), *later = malloc(bytes);
    uint8_t *seen = malloc((size_t)(T * n));
    memset(seen, 1, (size_t)(T * n));
    /* The camera of frame k is turned about z by k quarters and shifted by k along x: what the file holds is seen from there. */
    for (int64_t k = 0; k < T; k++) {
        static const double COS[4] = {1, 0, -1, 0}, SIN[4] = {0, 1, 0, -1};
        double *E = pose + 16 * k, c = COS[k % 4], s = SIN[k % 4];
        E[0] = c, E[1] = -s, E[4] = s, E[5] = c, E[10] = E[15] = 1, E[3] = (double)k;
        for (int64_t i = 0; i < n; i++) {
            const double *x = (const double *)gt.data + 3 * (k * n + i);
            double *y = moved + 3 * (k * n + i);
            y[0] = c * x[0] - s * x[1] + (double)k, y[1] = s * x[0] + c * x[1], y[2] = x[2];
        }
    }
    shape_text(shape, &gt);
    snprintf(flags, sizeof(flags), "(%lld, %lld)", (long long)T, (long long)n);
    snprintf(cameras, sizeof(cameras), "(%lld, 4, 4)", (long long)T);
    archive *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
    add_array(a, "tracks_XYZ", "<f8", shape, moved, bytes, true);
    add_array(a, "visibility", "|b1", flags, seen, (size_t)(T * n), true);
    add_array(a, "fx_fy_cx_cy", "<f8", "(4,)", (const double[]){1, 1, 1e6, 1e6}, 4 * sizeof(double), false);
    add_array(a, "extrinsics_w2c", "<f8", cameras, pose, (size_t)T * 16 * sizeof(double), true);
    finish(a);
    mkdir(at("world"), 0777);
    mkdir(at("world_pred"), 0777);
    write_file(at("world/object.npz"), a->bytes, a->n);
    memcpy(later, pred.data, bytes);
    add_array(b, "tracks_XYZ", "<f8", shape, later, bytes, true);
    finish(b);
    write_file(at("world_pred/object.npz"), b->bytes, b->n);
    run_family(ch4_eval_world, at("world"), at("world_pred"), 0);
    near(value("report/worldtrack.json", "ours", "apd3d_all"), 65.1171875, 1e-6);
    near(value("report/worldtrack.json", "ours", "epe_all"), 0.27581895902136966, 1e-9);
    near(value("report/worldtrack.json", "ours", "apd3d"), 65.0462962962963, 1e-6);
    near(value("report/worldtrack.json", "ours", "epe"), 0.2736781135107528, 1e-9);
    near(value("report/worldtrack.json", "ours", "coverage"), 1, 0);
    near(value("report/worldtrack.json", "oracle", "apd3d_tight"), 100, 0);
    /* A point without a prediction is a miss, and nothing else. */
    memset(b, 0, sizeof(*b));
    int64_t moving = 0;
    while (!((const uint8_t *)tensor(f, "object.dynamic").data)[moving]) moving++;
    for (int64_t k = 0; k < T; k++) later[3 * (k * n + moving)] = NAN;
    add_array(b, "tracks_XYZ", "<f8", shape, later, bytes, true);
    finish(b);
    write_file(at("world_pred/object.npz"), b->bytes, b->n);
    run_family(ch4_eval_world, at("world"), at("world_pred"), 0);
    assert_true(value("report/worldtrack.json", "ours", "apd3d") < 65.0462962 && value("report/worldtrack.json", "ours", "coverage") < 1);
    /* A damaged truth beside it fails alone. */
    write_file(at("world_pred/object.npz"), b->bytes, b->n / 2);
    run_family(ch4_eval_world, at("world"), at("world_pred"), 1);
    free(a);
    free(b);
    free(pose);
    free(moved);
    free(later);
    free(seen);
    ch4_safetensors_close(&f);
}

static void tapvid3d_from_npz(void **state)
{
    (void)state;
    ch4_safetensors *f = golden("tapvid3d");
    ch4_tensor track[2] = {tensor(f, "gt_tracks"), tensor(f, "pred_tracks")}, flag[2] = {tensor(f, "gt_occluded"), tensor(f, "pred_occluded")};
    int64_t n = track[0].shape[0], T = track[0].shape[1];
    const double *K = tensor(f, "fx_fy_cx_cy").data, *q = tensor(f, "query_points_tyx").data;
    double *xyz = malloc((size_t)(n * T) * 3 * sizeof(double)), *query = malloc((size_t)n * 3 * sizeof(double));
    uint8_t *visible = malloc((size_t)(n * T));
    char shape[64], flags[64], queries[64];
    snprintf(shape, sizeof(shape), "(%lld, %lld, 3)", (long long)T, (long long)n);
    snprintf(flags, sizeof(flags), "(%lld, %lld)", (long long)T, (long long)n);
    snprintf(queries, sizeof(queries), "(%lld, 3)", (long long)n);
    mkdir(at("tap"), 0777);
    mkdir(at("tap_pred"), 0777);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k < T; k++) {
                memcpy(xyz + 3 * (k * n + i), (const double *)track[side].data + 3 * (i * T + k), 3 * sizeof(double));
                visible[k * n + i] = !((const uint8_t *)flag[side].data)[i * T + k];
            }
        for (int64_t i = 0; i < n; i++) query[3 * i] = q[3 * i + 2], query[3 * i + 1] = q[3 * i + 1], query[3 * i + 2] = q[3 * i];
        archive *a = calloc(1, sizeof(*a));
        add_array(a, "tracks_XYZ", "<f8", shape, xyz, (size_t)(n * T) * 3 * sizeof(double), true);
        add_array(a, "visibility", "|b1", flags, visible, (size_t)(n * T), false);
        add_array(a, "fx_fy_cx_cy", "<f8", "(4,)", (const double[]){K[0], K[1], 128, 128}, 4 * sizeof(double), false); /* a picture of 256 pixels */
        add_array(a, "queries_xyt", "<f8", queries, query, (size_t)n * 3 * sizeof(double), false);
        finish(a);
        write_file(at(side ? "tap_pred/x.npz" : "tap/x.npz"), a->bytes, a->n);
        free(a);
    }
    run_family(ch4_eval_tapvid3d, at("tap"), at("tap_pred"), 0);
    near(value("report/tapvid3d.json", "ours", "aj"), 54.75376890430415, 1e-6);
    near(value("report/tapvid3d.json", "ours", "apd"), 66.20915032679738, 1e-6);
    near(value("report/tapvid3d.json", "ours", "oa"), 90.83333333333333, 1e-6);
    near(value("report/tapvid3d.json", "oracle", "aj"), 100, 1e-9);
    free(xyz);
    free(query);
    free(visible);
    ch4_safetensors_close(&f);
}

/* One track that is hit, one that is off by 3 pixels of 256, in a .npz; a broken video beside it does not stop it. */
static void tapvid_from_npz(void **state)
{
    (void)state;
    enum { T = 4, N = 2 };
    float points[N][T][2], moved[N][T][2], query[N][3];
    uint8_t occluded[N][T] = {{0}};
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < T; k++) {
            points[i][k][0] = 0.1f + 0.1f * (float)k, points[i][k][1] = 0.5f;
            moved[i][k][0] = points[i][k][0], moved[i][k][1] = 0.5f + (float)i * 3 / 256;
        }
        query[i][0] = 0, query[i][1] = 0.5f, query[i][2] = 0.1f;
    }
    archive *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
    add_array(a, "points", "<f4", "(2, 4, 2)", points, sizeof(points), true);
    add_array(a, "occluded", "|b1", "(2, 4)", occluded, sizeof(occluded), true);
    finish(a);
    add_array(b, "points", "<f4", "(2, 4, 2)", moved, sizeof(moved), true);
    add_array(b, "occluded", "|b1", "(2, 4)", occluded, sizeof(occluded), true);
    add_array(b, "query_points", "<f4", "(2, 3)", query, sizeof(query), true);
    finish(b);
    mkdir(at("davis"), 0777);
    mkdir(at("davis_pred"), 0777);
    write_file(at("davis/goat.npz"), a->bytes, a->n);
    write_file(at("davis/torn.npz"), a->bytes, a->n / 2);
    write_file(at("davis_pred/goat.npz"), b->bytes, b->n);
    write_file(at("davis_pred/torn.npz"), b->bytes, b->n);
    run_family(ch4_eval_track_files, at("davis"), at("davis_pred"), 1);
    near(value("report/tracks.json", "ours", "delta_avg"), 100 * (0.5 + 0.5 + 1 + 1 + 1) / 5, 1e-9);
    near(value("report/tracks.json", "ours", "aj"), 100 * (1 / 3.0 + 1 / 3.0 + 1 + 1 + 1) / 5, 1e-9);
    near(value("report/tracks.json", "static_2d", "delta_avg"), 0, 1e-9);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_are_read),     cmocka_unit_test(damaged_archives_are_refused), cmocka_unit_test(hostile_archives_are_named), cmocka_unit_test(badja_from_files),
        cmocka_unit_test(worldtrack_from_npz), cmocka_unit_test(tapvid3d_from_npz),             cmocka_unit_test(tapvid_from_npz),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
