#include "tools/synth/creature_mesh.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/isosurface_grid.h"

static const double SPACING = 0.042; /* of the grid, object units; about a third of the thinnest limb */
static const float SKIN_K = 0.02f, SNAP_LIMIT = 0.05f, LONGEST_EDGE = 0.3f, CUBE = 0.95f;
static const int SNAP_STEPS = 3;

typedef struct rest_surface {
    ch4_mesh s;
    float *weight; /* [n_vert,n_parts] */
} rest_surface;

/* Moves points onto the zero set of the field, at most limit per step. value and grad are scratch of count and 3 * count. */
static void snap(float *xyz, int64_t count, const ch4_synth_capsule *capsule, int n, int steps, float limit, float *value, float *grad)
{
    for (int s = 0; s < steps; s++) {
        ch4_synth_field(value, grad, NULL, 0, capsule, n, xyz, count);
        for (int64_t i = 0; i < count; i++) {
            float d = value[i] < -limit ? -limit : value[i] > limit ? limit : value[i];
            for (int k = 0; k < 3; k++) xyz[3 * i + k] -= d * grad[3 * i + k];
        }
    }
}

static ch4_status sample_rest_field(float **value, int64_t dim[3], double origin[3], const ch4_synth_creature *c, ch4_err *err)
{
    float lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (int p = 0; p < c->n_parts; p++)
        for (int k = 0; k < 3; k++) {
            const ch4_synth_capsule *s = &c->rest[p];
            lo[k] = fminf(lo[k], fminf(s->a[k] - s->r0, s->b[k] - s->r1));
            hi[k] = fmaxf(hi[k], fmaxf(s->a[k] + s->r0, s->b[k] + s->r1));
        }
    /* The union bulges beyond its parts by at most k log n; 0.08 covers that and an outside layer of the grid. */
    for (int k = 0; k < 3; k++) {
        origin[k] = lo[k] - 0.08;
        dim[k] = (int64_t)ceil((hi[k] + 0.08 - origin[k]) / SPACING) + 1;
    }
    float *xyz = NULL;
    int64_t row = dim[0], points = dim[0] * dim[1] * dim[2];
    ch4_status st = ch4_calloc(value, (size_t)points, sizeof(float), "field grid", err);
    if (!st) st = ch4_calloc(&xyz, (size_t)row * 3, sizeof(float), "field row", err);
    for (int64_t r = 0; !st && r < points / row; r++) {
        for (int64_t i = 0; i < row; i++) {
            xyz[3 * i] = (float)(origin[0] + SPACING * (double)i);
            xyz[3 * i + 1] = (float)(origin[1] + SPACING * (double)(r % dim[1]));
            xyz[3 * i + 2] = (float)(origin[2] + SPACING * (double)(r / dim[1]));
        }
        ch4_synth_field(*value + r * row, NULL, NULL, 0, c->rest, c->n_parts, xyz, row);
    }
    free(xyz);
    return st;
}

static ch4_status make_rest_surface(rest_surface *out, const ch4_synth_creature *c, ch4_err *err)
{
    float *grid = NULL, *value = NULL, *grad = NULL;
    int64_t dim[3];
    double origin[3];
    ch4_status st = sample_rest_field(&grid, dim, origin, c, err);
    if (!st) st = ch4_isosurface_grid(&out->s, grid, dim, origin, SPACING, err);
    if (st) goto out;
    size_t n = (size_t)out->s.n_vert;
    if (!st) st = ch4_calloc(&value, n, sizeof(float), "field values", err);
    if (!st) st = ch4_calloc(&grad, n * 3, sizeof(float), "field gradients", err);
    if (!st) st = ch4_calloc(&out->weight, n * (size_t)c->n_parts, sizeof(float), "skin weights", err);
    if (st) goto out;
    snap(out->s.vert, out->s.n_vert, c->rest, c->n_parts, 2, SNAP_LIMIT, value, grad);
    ch4_synth_field(value, NULL, out->weight, SKIN_K, c->rest, c->n_parts, out->s.vert, out->s.n_vert);
out:
    free(grid);
    free(value);
    free(grad);
    return st;
}

/* Linear blend skinning: x_f = sum_p w_p (R_p (x - a_rest,p) + a_f,p). */
static void skin(float *out, const rest_surface *rest, const ch4_synth_creature *c, int64_t f)
{
    for (int64_t v = 0; v < rest->s.n_vert; v++) {
        const float *x = rest->s.vert + 3 * v, *w = rest->weight + v * c->n_parts;
        double sum[3] = {0};
        for (int p = 0; p < c->n_parts; p++) {
            if (w[p] < 1e-4f) continue;
            const float *r = c->rotation[f][p], *a = c->rest[p].a, *b = c->posed[f][p].a;
            for (int k = 0; k < 3; k++)
                sum[k] += (double)w[p] * (r[3 * k] * (x[0] - a[0]) + r[3 * k + 1] * (x[1] - a[1]) + r[3 * k + 2] * (x[2] - a[2]) + b[k]);
        }
        for (int k = 0; k < 3; k++) out[3 * v + k] = (float)sum[k];
    }
}

static void face_vector(float n[3], const float *a, const float *b, const float *c)
{
    float u[3], v[3];
    for (int k = 0; k < 3; k++) u[k] = b[k] - a[k], v[k] = c[k] - a[k];
    for (int k = 0; k < 3; k++) n[k] = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
}

static float normalise(float v[3])
{
    float n = sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]), r = 1.0f / (n > 1e-12f ? n : 1e-12f);
    for (int k = 0; k < 3; k++) v[k] *= r;
    return n;
}

void ch4_synth_vertex_normals(ch4_synth_mesh *m, int64_t f)
{
    const float *vert = m->vert + f * m->n_vert * 3;
    float *normal = m->normal + f * m->n_vert * 3;
    memset(normal, 0, (size_t)m->n_vert * 3 * sizeof(float));
    for (int64_t i = 0; i < m->n_face; i++) {
        const int32_t *t = m->face + 3 * i;
        float n[3];
        face_vector(n, vert + 3 * t[0], vert + 3 * t[1], vert + 3 * t[2]);
        for (int c = 0; c < 3; c++)
            for (int k = 0; k < 3; k++) normal[3 * t[c] + k] += n[k];
    }
    for (int64_t v = 0; v < m->n_vert; v++) normalise(normal + 3 * v);
}

static ch4_status check_frame(const ch4_synth_mesh *m, int64_t f, ch4_err *err)
{
    const float *vert = m->vert + f * m->n_vert * 3;
    for (int64_t i = 0; i < 3 * m->n_vert; i++)
        if (!(fabsf(vert[i]) <= CUBE)) return ch4_err_set(err, CH4_EUNSUP, "frame %lld leaves the cube", (long long)f);
    for (int64_t i = 0; i < m->n_face; i++)
        for (int c = 0; c < 3; c++) {
            const float *a = vert + 3 * m->face[3 * i + c], *b = vert + 3 * m->face[3 * i + (c + 1) % 3];
            float d = hypotf(hypotf(a[0] - b[0], a[1] - b[1]), a[2] - b[2]);
            if (d > LONGEST_EDGE) return ch4_err_set(err, CH4_EUNSUP, "frame %lld: torn surface, an edge of length %.2f", (long long)f, (double)d);
        }
    return CH4_OK;
}

/* One connected surface: a limb apart from the trunk cannot happen, but a closed bubble between limbs can. */
static ch4_status check_single_sheet(const ch4_mesh *s, ch4_err *err)
{
    int32_t *root;
    ch4_status st = ch4_calloc(&root, (size_t)s->n_vert, sizeof(int32_t), "components", err);
    if (st) return st;
    for (int64_t v = 0; v < s->n_vert; v++) root[v] = (int32_t)v;
    int64_t n = s->n_vert;
    for (int64_t i = 0; i < 3 * s->n_face; i++) {
        int32_t a = s->face[i], b = s->face[i % 3 == 2 ? i - 2 : i + 1];
        while (root[a] != a) a = root[a] = root[root[a]];
        while (root[b] != b) b = root[b] = root[root[b]];
        if (a != b) root[a > b ? a : b] = a > b ? b : a, n--;
    }
    free(root);
    return n == 1 ? CH4_OK : ch4_err_set(err, CH4_EUNSUP, "rest surface in %lld pieces", (long long)n);
}

static void colour_vertices(ch4_synth_mesh *m, const rest_surface *rest, const ch4_synth_creature *c, ch4_synth_colour colour, ch4_rng rng)
{
    float base[CH4_SYNTH_PARTS][3], lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (int p = 0; p < c->n_parts; p++) {
        float bright = (float)ch4_rng_range(&rng, 0.85, 1), rgb[3], most = 0;
        for (int k = 0; k < 3; k++) rgb[k] = (float)ch4_rng_range(&rng, 0.1, 1), most = fmaxf(most, rgb[k]);
        for (int k = 0; k < 3; k++) base[p][k] = colour == CH4_SYNTH_COLOUR_PARTS ? rgb[k] / most * bright : bright;
    }
    for (int64_t v = 0; v < 3 * m->n_vert; v++) {
        lo[v % 3] = fminf(lo[v % 3], rest->s.vert[v]);
        hi[v % 3] = fmaxf(hi[v % 3], rest->s.vert[v]);
    }
    for (int64_t v = 0; v < m->n_vert; v++)
        for (int k = 0; k < 3; k++) {
            float tint = 0, place = 1;
            for (int p = 0; p < c->n_parts; p++) tint += rest->weight[v * c->n_parts + p] * base[p][k];
            if (colour == CH4_SYNTH_COLOUR_POSITION) place = 0.08f + 0.9f * (rest->s.vert[3 * v + k] - lo[k]) / (hi[k] - lo[k]);
            m->colour[3 * v + k] = fminf(tint * place, 1);
        }
}

ch4_status ch4_synth_mesh_init(ch4_synth_mesh *out, const ch4_synth_creature *creature, ch4_synth_colour colour, ch4_rng rng,
                               ch4_err *err)
{
    memset(out, 0, sizeof(*out));
    rest_surface rest = {0};
    float *value = NULL, *grad = NULL;
    ch4_status st = make_rest_surface(&rest, creature, err);
    if (!st) st = check_single_sheet(&rest.s, err);
    if (st) goto out;
    size_t n = (size_t)rest.s.n_vert, frames = (size_t)creature->n_frames;
    out->n_vert = rest.s.n_vert;
    out->n_face = rest.s.n_face;
    out->n_frames = creature->n_frames;
    out->face = rest.s.face;
    rest.s.face = NULL;
    st = ch4_calloc(&value, n, sizeof(float), "field values", err);
    if (!st) st = ch4_calloc(&grad, n * 3, sizeof(float), "field gradients", err);
    if (!st) st = ch4_calloc(&out->vert, frames * n * 3, sizeof(float), "vertices", err);
    if (!st) st = ch4_calloc(&out->normal, frames * n * 3, sizeof(float), "normals", err);
    if (!st) st = ch4_calloc(&out->colour, n * 3, sizeof(float), "colours", err);
    for (int64_t f = 0; !st && f < creature->n_frames; f++) {
        float *v = out->vert + f * out->n_vert * 3;
        skin(v, &rest, creature, f);
        snap(v, out->n_vert, creature->posed[f], creature->n_parts, SNAP_STEPS, SNAP_LIMIT, value, grad);
        ch4_synth_vertex_normals(out, f);
        st = check_frame(out, f, err);
    }
    if (!st) colour_vertices(out, &rest, creature, colour, rng);
out:
    ch4_mesh_fini(&rest.s);
    free(rest.weight);
    free(value);
    free(grad);
    return st;
}

void ch4_synth_mesh_fini(ch4_synth_mesh *mesh)
{
    if (!mesh) return;
    free(mesh->vert);
    free(mesh->normal);
    free(mesh->face);
    free(mesh->colour);
    memset(mesh, 0, sizeof(*mesh));
}

ch4_status ch4_synth_sample_faces(int32_t *face, float *bary, const ch4_synth_mesh *mesh, int64_t n, ch4_rng rng, ch4_err *err)
{
    double *sum, total = 0;
    ch4_status st = ch4_calloc(&sum, (size_t)mesh->n_face, sizeof(double), "face areas", err);
    if (st) return st;
    for (int64_t i = 0; i < mesh->n_face; i++) {
        const int32_t *t = mesh->face + 3 * i;
        float v[3];
        face_vector(v, mesh->vert + 3 * t[0], mesh->vert + 3 * t[1], mesh->vert + 3 * t[2]);
        sum[i] = total += sqrt((double)v[0] * v[0] + (double)v[1] * v[1] + (double)v[2] * v[2]);
    }
    for (int64_t i = 0; i < n; i++) {
        double at = ch4_rng_uniform(&rng) * total, r = sqrt(ch4_rng_uniform(&rng)), q = ch4_rng_uniform(&rng);
        int64_t lo = 0, hi = mesh->n_face - 1;
        while (lo < hi) {
            int64_t mid = (lo + hi) / 2;
            if (sum[mid] < at) lo = mid + 1;
            else hi = mid;
        }
        face[i] = (int32_t)lo;
        bary[3 * i] = (float)(1 - r), bary[3 * i + 1] = (float)(r * (1 - q)), bary[3 * i + 2] = (float)(r * q);
    }
    free(sum);
    return CH4_OK;
}

void ch4_synth_points(float *xyz, float *normal, const ch4_synth_mesh *mesh, int64_t f, const int32_t *face, const float *bary, int64_t n)
{
    const float *vert = mesh->vert + f * mesh->n_vert * 3;
    for (int64_t i = 0; i < n; i++) {
        const int32_t *t = mesh->face + 3 * face[i];
        const float *a = vert + 3 * t[0], *b = vert + 3 * t[1], *c = vert + 3 * t[2], *w = bary + 3 * i;
        for (int k = 0; k < 3; k++) xyz[3 * i + k] = w[0] * a[k] + w[1] * b[k] + w[2] * c[k];
        if (!normal) continue;
        face_vector(normal + 3 * i, a, b, c);
        normalise(normal + 3 * i);
    }
}
