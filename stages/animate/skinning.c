#include "stages/animate/skinning.h"

#include <stdlib.h>
#include <string.h>

#include "base/lanes.h"
#include "base/size.h"
#include "mesh/mesh.h"
#include "stages/animate/rigid_fit.h"

/* Vertices of one item; frames are taken in groups of CH4_LANES, a lane per frame. */
enum { ITEM = 64, MOMENTS = 12 };

/* A landmark's contribution to the sums of a group of frames: q, then p q^T by rows. */
typedef struct moments {
    ch4_lanes m[MOMENTS];
} moments;

typedef struct job {
    const ch4_skinning *in;
    float *out, *before_final;
    int64_t n_group;
    const moments *table; /* [n_group,K] relative to the origin */
    const double *source; /* [K,3] relative to the origin */
    double origin[3];
    const double *gain;   /* [F,F] of the final smoothing */
    double *scratch;      /* [threads] x { [F,ITEM,3] displacements, [ITEM,3] smoothed in one frame } */
    int64_t scratch_size, (*rank)[4]; /* rank: one row per thread */
} job;

/* One group's table. A lane past the last frame repeats that frame. */
static void fill_table(moments *table, const job *j, int64_t group)
{
    const ch4_skinning *in = j->in;
    int64_t K = in->knn->n_landmark;
    for (int64_t l = 0; l < K; l++)
        for (int lane = 0; lane < CH4_LANES; lane++) {
            int64_t f = ch4_min_i64(group * CH4_LANES + lane, in->F - 1);
            const double *p = j->source + 3 * l;
            for (int c = 0; c < 3; c++) {
                double q = in->target[3 * (f * K + l) + c] - j->origin[c];
                table[l].m[c][lane] = q;
                for (int r = 0; r < 3; r++)
                    table[l].m[3 + 3 * r + c][lane] = p[r] * q;
            }
        }
}

#define EACH_MOMENT(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

static void sum_moments(moments *sum, const moments *table, const int32_t *index, const double *weight, int32_t n)
{
#define ZERO(i) ch4_lanes s##i = {0};
#define ADD(i) s##i += w * t->m[i];
#define STORE(i) sum->m[i] = s##i;
    EACH_MOMENT(ZERO)
    for (int32_t k = 0; k < n; k++) {
        const moments *t = &table[index[k]];
        ch4_lanes w = ch4_lanes_set(weight[k]);
        EACH_MOMENT(ADD)
    }
    EACH_MOMENT(STORE)
#undef ZERO
#undef ADD
#undef STORE
}

/* True where cancellation in sum p q^T - mu mu^T may have changed the rank class. */
static bool doubtful(const double s[3], double scale2)
{
    return s[0] < 1e-8 * scale2 || s[1] < 1e-4 * s[0];
}

static void move(double d[3], const double R[9], const double mu_p[3], const double mu_q[3], const double x[3])
{
    for (int r = 0; r < 3; r++) {
        double y = mu_q[r];
        for (int c = 0; c < 3; c++)
            y += R[3 * r + c] * (x[c] - mu_p[c]);
        d[r] = y - x[r];
    }
}

/* Displacements of one vertex in the frames of one group, d f64[CH4_LANES][3]. */
static void fit_group(double d[CH4_LANES][3], const job *j, int64_t v, int64_t group, const double mu_p[3], const double x[3], int64_t rank[4])
{
    const ch4_skinning *in = j->in;
    int64_t K = in->knn->n_landmark;
    const int32_t *index = in->knn->index + v * in->knn->k;
    const double *weight = in->weight + v * in->knn->k;
    double scale2 = in->D * in->D;
    moments sum;
    ch4_lanes H[3][3];
    ch4_rigid_lanes fit;
    sum_moments(&sum, j->table + group * K, index, weight, in->knn->count[v]);
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++)
            H[r][c] = sum.m[3 + 3 * r + c] - mu_p[r] * sum.m[c];
    ch4_rigid_rotations(&fit, (const ch4_lanes(*)[3])H, scale2);
    for (int lane = 0; lane < CH4_LANES; lane++) {
        int64_t f = group * CH4_LANES + lane;
        if (f >= in->F)
            continue;
        if (doubtful(fit.singular[lane], scale2)) {
            ch4_rigid again;
            double there[3];
            for (int c = 0; c < 3; c++)
                there[c] = x[c] + j->origin[c];
            ch4_rigid_fit(&again, in->source, in->target + 3 * f * K, index, weight, in->knn->count[v], scale2);
            move(d[lane], again.R, again.mu_p, again.mu_q, there);
            rank[again.rank]++;
        } else {
            double mu_q[3] = {sum.m[0][lane], sum.m[1][lane], sum.m[2][lane]};
            move(d[lane], fit.R[lane], mu_p, mu_q, x);
            rank[fit.rank[lane]]++;
        }
    }
}

/* Displacements of one vertex in all frames, d f64[F,3] at stride 3 ITEM; those of frame a stay zero. */
static void fit_vertex(double *d, const job *j, int64_t v, int64_t rank[4])
{
    const ch4_skinning *in = j->in;
    const int32_t *index = in->knn->index + v * in->knn->k;
    const double *weight = in->weight + v * in->knn->k;
    double x[3], mu_p[3] = {0}, group_d[CH4_LANES][3];
    for (int c = 0; c < 3; c++)
        x[c] = (double)in->vert[3 * v + c] - j->origin[c];
    for (int32_t k = 0; k < in->knn->count[v]; k++)
        for (int c = 0; c < 3; c++)
            mu_p[c] += weight[k] * j->source[3 * (int64_t)index[k] + c];
    for (int64_t f = 0; f < in->F; f++)
        memset(d + 3 * ITEM * f, 0, 3 * sizeof *d);
    for (int64_t g = 0; in->knn->count[v] > 0 && g < j->n_group; g++) {
        fit_group(group_d, j, v, g, mu_p, x, rank);
        for (int lane = 0; lane < CH4_LANES; lane++) {
            int64_t f = g * CH4_LANES + lane;
            if (f < in->F && f != in->a)
                memcpy(d + 3 * ITEM * f, group_d[lane], sizeof group_d[lane]);
        }
    }
}

static void write_item(float *out, const ch4_skinning *in, int64_t begin, int64_t n, int64_t f, const double *d)
{
    for (int64_t i = 0; i < 3 * n; i++) {
        float x = in->vert[3 * begin + i];
        out[3 * (f * in->V + begin) + i] = f == in->a ? x : (float)((double)x + d[i]);
    }
}

static void skin_item(void *ctx, int64_t item, int worker)
{
    job *j = ctx;
    const ch4_skinning *in = j->in;
    int64_t begin = item * ITEM, n = ch4_min_i64(ITEM, in->V - begin);
    double *d = j->scratch + worker * j->scratch_size, *smooth = d + 3 * ITEM * in->F;
    for (int64_t i = 0; i < n; i++)
        fit_vertex(d + 3 * i, j, begin + i, j->rank[worker]);
    for (int64_t f = 0; f < in->F; f++) {
        if (j->before_final)
            write_item(j->before_final, in, begin, n, f, d + 3 * ITEM * f);
        memset(smooth, 0, 3 * ITEM * sizeof *smooth);
        for (int64_t g = 0; g < in->F; g++) {
            double w = j->gain[f * in->F + g];
            const double *from = d + 3 * ITEM * g;
            if (w != 0)
                for (int i = 0; i < 3 * ITEM; i++)
                    smooth[i] += w * from[i];
        }
        write_item(j->out, in, begin, n, f, smooth);
    }
}

ch4_status ch4_skinning_animate(float *out, float *before_final, int64_t rank[4], const ch4_skinning *in, ch4_pool *pool, ch4_err *err)
{
    int64_t K = in->knn->n_landmark, n_group = (in->F + CH4_LANES - 1) / CH4_LANES, threads = ch4_pool_threads(pool);
    job j = {.in = in, .out = out, .before_final = before_final, .n_group = n_group, .scratch_size = 3 * ITEM * (in->F + 1)};
    moments *table = NULL;
    double *source = NULL, *gain = NULL, lo[3], hi[3];
    ch4_status st = ch4_calloc(&table, (size_t)(n_group * K), sizeof *table, "skinning", err);
    if (st == CH4_OK)
        st = ch4_calloc(&source, (size_t)K, 3 * sizeof *source, "skinning", err);
    if (st == CH4_OK)
        st = ch4_calloc(&gain, (size_t)(in->F * in->F), sizeof *gain, "skinning", err);
    if (st == CH4_OK)
        st = ch4_calloc(&j.scratch, (size_t)(threads * j.scratch_size), sizeof *j.scratch, "skinning", err);
    if (st == CH4_OK)
        st = ch4_calloc(&j.rank, (size_t)threads, sizeof *j.rank, "skinning", err);
    if (st != CH4_OK)
        goto out;
    ch4_mesh_box(lo, hi, in->vert, in->V);
    for (int c = 0; c < 3; c++)
        j.origin[c] = (lo[c] + hi[c]) / 2;
    for (int64_t i = 0; i < 3 * K; i++)
        source[i] = in->source[i] - j.origin[i % 3];
    j.source = source;
    for (int64_t g = 0; g < n_group; g++)
        fill_table(table + g * K, &j, g);
    j.table = table;
    ch4_smooth_gain(gain, in->F, in->a, &in->final);
    j.gain = gain;
    ch4_pool_run(pool, (in->V + ITEM - 1) / ITEM, skin_item, &j);
    for (int c = 0; rank && c < 4; c++) {
        rank[c] = 0;
        for (int64_t t = 0; t < threads; t++)
            rank[c] += j.rank[t][c];
    }
out:
    free(table);
    free(source);
    free(gain);
    free(j.scratch);
    free(j.rank);
    return st;
}
