/* Section minibench: the benchmark's generator. Motion, colours, samples and cameras of every object; pictures and tracks where the record has them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden_eval.h"
#include "tools/synth/minibench.h"
#include "tools/synth/tracks.h"

enum { MAX_QUERIES = 4096 };

typedef struct bench_case {
    const char *name;
    ch4_minibench clip;
    int64_t n_points, size;
    bool orbit;
    int32_t *face; /* [n_points] */
    float *bary;   /* [n_points,3] */
} bench_case;

static int object_of(const char *name)
{
    for (int o = 0; o < CH4_MINIBENCH_COUNT; o++)
        if (strcmp(name, ch4_minibench_name((ch4_minibench_object)o)) == 0)
            return o;
    return -1;
}

static void expect(ch4_golden_case *c, const bench_case *b, double value, double tolerance, const char *key)
{
    char path[96];
    snprintf(path, sizeof path, "%s.%s", b->name, key);
    ch4_golden_expect(c, value, tolerance, path);
}

static void check_draws(ch4_golden_case *c, const bench_case *b)
{
    const ch4_minibench_rest *r = &b->clip.rest;
    char key[32];
    expect(c, b, r->amplitude, 1e-14, "amp");
    expect(c, b, r->phase, 1e-14, "phase");
    expect(c, b, r->azimuth, 1e-12, "azimuth_deg");
    expect(c, b, b->clip.scale, 1e-12, "scale");
    for (int k = 0; k < 3; k++) {
        snprintf(key, sizeof key, "centre.%d", k);
        expect(c, b, b->clip.centre[k], 1e-12, key);
    }
    expect(c, b, (double)r->n_vert, 0, "n_vertices");
    expect(c, b, (double)r->n_face, 0, "n_faces");
}

static ch4_status check_mesh(ch4_golden_case *c, const bench_case *b, ch4_err *err)
{
    static const int64_t frames[3] = {0, 7, 15};
    const ch4_synth_mesh *m = &b->clip.mesh;
    int64_t *face;
    double *vert;
    ch4_status st = ch4_golden_alloc(c, &face, (size_t)m->n_face * 3, sizeof *face, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &vert, (size_t)m->n_vert * 9, sizeof *vert, err);
    if (st != CH4_OK)
        return st;
    for (int64_t i = 0; i < 3 * m->n_face; i++)
        face[i] = m->face[i];
    ch4_golden_check_index(c, face, 3 * m->n_face, NULL, 0, 0, "%s.faces", b->name);
    for (int f = 0; f < 3; f++)
        for (int64_t i = 0; i < 3 * m->n_vert; i++)
            vert[f * 3 * m->n_vert + i] = m->vert[frames[f] * 3 * m->n_vert + i];
    ch4_golden_check_close(c, vert, 9 * m->n_vert, ch4_golden_eval_tol(c, "verts", 1e-5), 0, "%s.verts_0_7_15", b->name);
    return CH4_OK;
}

/* A draw next to the border of two faces may fall on either side: 0.5 % of them. */
static ch4_status check_samples(ch4_golden_case *c, const bench_case *b, ch4_err *err)
{
    ch4_tensor face;
    float *bary;
    int64_t shape[2], other = 0;
    double worst = 0;
    ch4_status st = ch4_golden_tensor(c, &face, CH4_DTYPE_I32, err, "%s.face_index", b->name);
    if (st == CH4_OK)
        st = ch4_golden_eval_f32(c, &bary, shape, 2, 3, err, "%s.bary", b->name);
    if (st != CH4_OK)
        return st;
    if (ch4_tensor_count(&face) != b->n_points || shape[0] != b->n_points)
        return ch4_err_set(err, CH4_EFORMAT, "%s: not as many samples as args.points says", b->name);
    for (int64_t i = 0; i < b->n_points; i++) {
        other += ((const int32_t *)face.data)[i] != b->face[i];
        for (int k = 0; k < 3; k++)
            worst = fmax(worst, fabs((double)bary[3 * i + k] - b->bary[3 * i + k]));
    }
    ch4_golden_check_at_most(c, (double)other / (double)b->n_points, .005, "%s.face_index: share of others", b->name);
    ch4_golden_check_at_most(c, worst, 1e-6, "%s.bary", b->name);
    ch4_golden_mark(c, "%s.face_index", b->name);
    ch4_golden_mark(c, "%s.bary", b->name);
    return CH4_OK;
}

static void check_cameras(ch4_golden_case *c, const bench_case *b)
{
    double R[CH4_MINIBENCH_FRAMES * 9], t[CH4_MINIBENCH_FRAMES * 3], tolerance = ch4_golden_eval_tol(c, "R,t", 1e-9);
    for (int f = 0; f < CH4_MINIBENCH_FRAMES; f++) {
        ch4_synth_camera camera;
        ch4_minibench_camera(&camera, &b->clip, b->orbit, f, (int)b->size);
        memcpy(R + 9 * f, camera.R, sizeof camera.R);
        memcpy(t + 3 * f, camera.t, sizeof camera.t);
    }
    ch4_golden_check_close(c, R, CH4_MINIBENCH_FRAMES * 9, tolerance, 0, "%s.R", b->name);
    ch4_golden_check_close(c, t, CH4_MINIBENCH_FRAMES * 3, tolerance, 0, "%s.t", b->name);
}

/* --- pictures and tracks --------------------------------------------------------------------------------------------------------- */

typedef struct drawn {
    ch4_synth_sample *sample;
    float *scratch, *xyz, *normal;
    uint8_t *rgba;    /* [frames,size,size,4] */
    uint8_t *visible; /* [frames,n_points] */
    double *xy;       /* [n_points,frames,2] pixels */
} drawn;

static ch4_status draw(drawn *d, ch4_golden_case *c, const bench_case *b, ch4_err *err)
{
    enum { F = CH4_MINIBENCH_FRAMES };
    const ch4_synth_mesh *m = &b->clip.mesh;
    size_t pixels = (size_t)(b->size * b->size), n = (size_t)b->n_points;
    ch4_status st;
    if ((st = ch4_golden_alloc(c, &d->sample, pixels, sizeof *d->sample, err)) || (st = ch4_golden_alloc(c, &d->rgba, F * pixels, 4, err)) ||
        (st = ch4_golden_alloc(c, &d->scratch, (size_t)m->n_vert * 3, sizeof(float), err)) || (st = ch4_golden_alloc(c, &d->xyz, n * 3, sizeof(float), err)) ||
        (st = ch4_golden_alloc(c, &d->normal, n * 3, sizeof(float), err)) || (st = ch4_golden_alloc(c, &d->visible, F * n, 1, err)) ||
        (st = ch4_golden_alloc(c, &d->xy, F * n * 2, sizeof(double), err)))
        return st;
    for (int f = 0; f < F; f++) {
        ch4_synth_camera camera;
        ch4_synth_surface surface = ch4_synth_surface_at(m, f);
        surface.light = &CH4_MINIBENCH_LIGHT;
        ch4_minibench_camera(&camera, &b->clip, b->orbit, f, (int)b->size);
        ch4_synth_rasterise(d->sample, d->scratch, &surface, &camera);
        ch4_synth_points(d->xyz, d->normal, m, f, b->face, b->bary, b->n_points);
        ch4_synth_compute_visible(d->visible + (size_t)f * n, d->xyz, d->normal, b->n_points, d->sample, &camera);
        ch4_synth_resolve(d->rgba + (size_t)f * pixels * 4, d->scratch, d->sample, &surface, &camera);
        for (int64_t i = 0; i < b->n_points; i++) {
            double depth;
            ch4_synth_project(d->xy + 2 * (i * F + f), &depth, &camera, d->xyz + 3 * i);
        }
    }
    return CH4_OK;
}

static ch4_status check_pictures(ch4_golden_case *c, const bench_case *b, const drawn *d, ch4_err *err)
{
    ch4_tensor t;
    int64_t pixels = b->size * b->size, off = 0;
    ch4_status st = ch4_golden_raw(c, &t, err, "%s.rgba_0_15", b->name);
    if (st != CH4_OK)
        return st;
    if (t.dtype != CH4_DTYPE_U8 || ch4_tensor_count(&t) != 2 * pixels * 4)
        return ch4_err_set(err, CH4_EFORMAT, "%s.rgba_0_15 is not two pictures of args.res", b->name);
    for (int64_t i = 0; i < 2 * pixels; i++) {
        const uint8_t *want = (const uint8_t *)t.data + 4 * i, *got = d->rgba + (i < pixels ? 4 * i : 4 * (i - pixels + (CH4_MINIBENCH_FRAMES - 1) * pixels));
        int most = 0;
        for (int k = 0; k < 4; k++)
            most = abs(want[k] - got[k]) > most ? abs(want[k] - got[k]) : most;
        off += most > 2;
    }
    ch4_golden_check_at_most(c, (double)off / (double)(2 * pixels), .01, "%s.rgba_0_15: share beyond 2/255", b->name);
    ch4_golden_mark(c, "%s.rgba_0_15", b->name);
    for (int f = 0; f < CH4_MINIBENCH_FRAMES; f++) {
        char path[96];
        int64_t covered = 0;
        for (int64_t i = 0; i < pixels; i++)
            covered += d->rgba[4 * (f * pixels + i) + 3] == 255;
        snprintf(path, sizeof path, "expected.%s.alpha_pixels.%d", b->name, f);
        double want = ch4_golden_real_or(c, path, NAN);
        ch4_golden_check_at_most(c, fabs((double)covered / want - 1), .01, "%s.alpha_pixels.%d", b->name, f);
    }
    return CH4_OK;
}

static ch4_status check_tracks(ch4_golden_case *c, const bench_case *b, const drawn *d, ch4_err *err)
{
    enum { F = CH4_MINIBENCH_FRAMES };
    ch4_tensor seen, query;
    int64_t n = b->n_points, same = 0, chosen[MAX_QUERIES];
    ch4_golden_check_close(c, d->xy, n * F * 2, ch4_golden_eval_tol(c, "xy", 1e-3), 0, "%s.xy", b->name);
    ch4_status st = ch4_golden_tensor(c, &seen, CH4_DTYPE_I32, err, "%s.visible", b->name);
    if (st == CH4_OK)
        st = ch4_golden_tensor(c, &query, CH4_DTYPE_I64, err, "%s.query_index", b->name);
    if (st != CH4_OK)
        return st;
    int64_t bound = ch4_tensor_count(&query);
    if (ch4_tensor_count(&seen) != n * F || bound > MAX_QUERIES)
        return ch4_err_set(err, CH4_EFORMAT, "%s.visible or query_index has an unexpected size", b->name);
    for (int64_t i = 0; i < n * F; i++)
        same += (((const int32_t *)seen.data)[i] != 0) == d->visible[i % F * n + i / F];
    ch4_golden_check_at_most(c, 1 - (double)same / (double)(n * F), .01, "%s.visible: share that differs", b->name);
    ch4_golden_mark(c, "%s.visible", b->name);
    /* The rule is compared on the recorded visibility: one point at the edge of sight moves all later indices. */
    uint8_t *visible;
    st = ch4_golden_alloc(c, &visible, (size_t)(n * F), 1, err);
    for (int64_t i = 0; st == CH4_OK && i < n * F; i++)
        visible[i % F * n + i / F] = ((const int32_t *)seen.data)[i] != 0;
    if (st == CH4_OK)
        ch4_golden_check_index(c, chosen, ch4_synth_choose_queries(chosen, bound, visible, n, F), NULL, 0, 0, "%s.query_index", b->name);
    return st;
}

/* --- an object ---------------------------------------------------------------------------------------------------------------------- */

static ch4_status check_object(ch4_golden_case *c, bench_case *b, ch4_err *err)
{
    drawn d;
    char path[96];
    ch4_status st = ch4_golden_alloc(c, &b->face, (size_t)b->n_points, sizeof *b->face, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &b->bary, (size_t)b->n_points * 3, sizeof *b->bary, err);
    if (st == CH4_OK)
        st = ch4_minibench_sample(b->face, b->bary, &b->clip, b->n_points, err);
    if (st != CH4_OK)
        return st;
    check_draws(c, b);
    check_cameras(c, b);
    st = check_mesh(c, b, err);
    if (st == CH4_OK)
        st = check_samples(c, b, err);
    snprintf(path, sizeof path, "expected.%s.alpha_pixels", b->name);
    if (st != CH4_OK || (!ch4_golden_has(c, "%s.rgba_0_15", b->name) && !ch4_golden_json(c, path)))
        return st;
    st = draw(&d, c, b, err);
    if (st == CH4_OK)
        st = check_pictures(c, b, &d, err);
    return st == CH4_OK ? check_tracks(c, b, &d, err) : st;
}

ch4_status ch4_golden_eval_minibench(ch4_golden_case *c, ch4_err *err)
{
    const char *name, *camera = json_string_value(ch4_golden_json(c, "args.camera"));
    json_t *want;
    int64_t seed, n_points, size;
    ch4_status st = ch4_golden_int(c, &seed, "args.seed", err);
    if (st == CH4_OK)
        st = ch4_golden_int(c, &n_points, "args.points", err);
    if (st == CH4_OK)
        st = ch4_golden_int(c, &size, "args.res", err);
    if (st == CH4_OK && (seed < 0 || n_points < 1 || n_points > 1000000 || size < 2 || size > 2048 || !camera))
        st = ch4_err_set(err, CH4_EFORMAT, "args of minibench");
    json_object_foreach(ch4_golden_json(c, "expected"), name, want) {
        bench_case b = {.name = name, .n_points = n_points, .size = size, .orbit = camera && strcmp(camera, "orbit") == 0};
        int object = object_of(name);
        if (st == CH4_OK && object < 0)
            st = ch4_err_set(err, CH4_EFORMAT, "minibench has no object %s", name);
        if (st != CH4_OK)
            return st;
        st = ch4_minibench_init(&b.clip, (ch4_minibench_object)object, (uint64_t)seed, CH4_MINIBENCH_FRAMES, err);
        if (st == CH4_OK)
            st = check_object(c, &b, err);
        ch4_minibench_fini(&b.clip);
    }
    return st;
}
