#include "stages/pose/silhouette.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/sample.h"

enum { GRID = 32, SAMPLES = 1500, ROTATIONS = 800, KEPT = 12, FIT_STEPS = 4, REFINE_ROUNDS = 24, OUTLINE_STREAM = 0x0c71 };

typedef struct outline {
    const ch4_outline_input *in;
    float *point;                 /* [n,3] on the surface */
    int64_t n;
    uint8_t mask[GRID * GRID];
    double lo[2], hi[2];          /* box of the foreground, pixels */
    double centre[3];             /* of the points */
} outline;

typedef struct candidate {
    ch4_rigid pose;
    double score;
} candidate;

/* --- input ------------------------------------------------------------------------------------------------------------------ */

static bool read_mask(outline *o)
{
    int64_t side = o->in->side, count[GRID * GRID] = {0}, total[GRID * GRID] = {0};
    o->lo[0] = o->lo[1] = DBL_MAX;
    o->hi[0] = o->hi[1] = -DBL_MAX;
    for (int64_t y = 0; y < side; y++)
        for (int64_t x = 0; x < side; x++) {
            int64_t cell = y * GRID / side * GRID + x * GRID / side;
            total[cell]++;
            if (o->in->alpha[y * side + x] < 128)
                continue;
            count[cell]++;
            o->lo[0] = fmin(o->lo[0], (double)x);
            o->lo[1] = fmin(o->lo[1], (double)y);
            o->hi[0] = fmax(o->hi[0], (double)x + 1);
            o->hi[1] = fmax(o->hi[1], (double)y + 1);
        }
    int64_t set = 0;
    for (int i = 0; i < GRID * GRID; i++) {
        o->mask[i] = 3 * count[i] >= total[i] && count[i] > 0;
        set += o->mask[i];
    }
    return set > 0;
}

static ch4_status open_outline(outline *o, bool *found, const ch4_outline_input *in, ch4_err *err)
{
    *o = (outline){.in = in};
    *found = false;
    if (!read_mask(o) || in->V < 3 || in->F < 1)
        return CH4_OK;
    ch4_status st = ch4_calloc(&o->point, SAMPLES * 3, sizeof *o->point, "outline", err);
    ch4_rng rng = ch4_rng_at(in->seed, OUTLINE_STREAM);
    if (st == CH4_OK)
        st = ch4_mesh_sample(o->point, NULL, NULL, NULL, SAMPLES, in->vertices, in->faces, in->F, &rng, NULL);
    if (st == CH4_EFORMAT) /* no area: nothing to see */
        return CH4_OK;
    if (st != CH4_OK)
        return st == CH4_ENOMEM ? ch4_err_set(err, st, "outline") : st;
    o->n = SAMPLES;
    for (int64_t i = 0; i < 3 * o->n; i++)
        o->centre[i % 3] += o->point[i] / (double)o->n;
    *found = true;
    return CH4_OK;
}

/* --- score ------------------------------------------------------------------------------------------------------------------ */

static double overlap(const outline *o, const ch4_rigid *pose)
{
    uint8_t hit[GRID * GRID] = {0};
    int both = 0, either = 0;
    double to_cell = GRID / (double)o->in->side;
    int64_t outside = 0;
    for (int64_t i = 0; i < o->n; i++) {
        double y[3], uv[2];
        ch4_rigid_apply(y, pose, (double[]){o->point[3 * i], o->point[3 * i + 1], o->point[3 * i + 2]});
        if (!ch4_project(uv, o->in->k, y)) {
            outside++;
            continue;
        }
        double cx = floor(uv[0] * to_cell), cy = floor(uv[1] * to_cell);
        if (cx >= 0 && cy >= 0 && cx < GRID && cy < GRID)
            hit[(int)cy * GRID + (int)cx] = 1;
        else
            outside++;
    }
    for (int i = 0; i < GRID * GRID; i++) {
        both += hit[i] & o->mask[i];
        either += hit[i] | o->mask[i];
    }
    return (double)both / either * (1 - (double)outside / (double)o->n);
}

static double match_error(const outline *o, const ch4_rigid *pose)
{
    const ch4_pairs *p = &o->in->pairs;
    double sum = 0;
    for (int64_t i = 0; i < p->n; i++) {
        double y[3], uv[2], d = INFINITY;
        ch4_rigid_apply(y, pose, p->object + 3 * i);
        if (ch4_project(uv, o->in->k, y))
            d = hypot(uv[0] - p->image[2 * i], uv[1] - p->image[2 * i + 1]) / (2 * o->in->patch_px);
        sum += fmin(d, 1);
    }
    return p->n ? sum / (double)p->n : 0;
}

/* Angle between the pose and the likely rotation, 0 to 1. */
static double view_error(const outline *o, const ch4_rigid *pose)
{
    double trace = 0;
    if (!o->in->view)
        return 0;
    for (int i = 0; i < 9; i++)
        trace += pose->R[i] * o->in->view[i];
    return fmin(acos(fmax(-1, fmin(1, (trace - 1) / 2))) / (CH4_OUTLINE_VIEW_ANGLE * M_PI / 180), 1);
}

static double score_of(const outline *o, const ch4_rigid *pose)
{
    return overlap(o, pose) - o->in->match_weight * match_error(o, pose) - o->in->view_weight * view_error(o, pose);
}

/* --- search ----------------------------------------------------------------------------------------------------------------- */

static void rotation_from_quaternion(double R[9], const double q[4])
{
    double w = q[0], x = q[1], y = q[2], z = q[3];
    double r[9] = {1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), 2 * (x * y + w * z), 1 - 2 * (x * x + z * z),
                   2 * (y * z - w * x), 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)};
    memcpy(R, r, sizeof r);
}

/* Evenly spread rotations: super-Fibonacci spirals (Alexa, CVPR 2022). */
static void spread_rotation(double R[9], int i, int n)
{
    const double phi = M_SQRT2, psi = 1.533751168755204288118041;
    double s = i + 0.5, r = sqrt(s / n), a = 2 * M_PI * s / phi, b = 2 * M_PI * s / psi;
    rotation_from_quaternion(R, (double[]){r * sin(a), r * cos(a), sqrt(1 - s / n) * sin(b), sqrt(1 - s / n) * cos(b)});
}

/* Moves t until the box of the projected points has the foreground's centre and size. */
static bool fit_box(ch4_rigid *pose, const outline *o)
{
    double f = o->in->k.fx, want = fmax(o->hi[0] - o->lo[0], o->hi[1] - o->lo[1]), turned[3];
    ch4_rigid only = {.t = {0}};
    memcpy(only.R, pose->R, sizeof only.R);
    ch4_rigid_apply(turned, &only, o->centre);
    for (int k = 0; k < 3; k++)
        pose->t[k] = (k == 2 ? 3 : 0) - turned[k];
    for (int step = 0; step < FIT_STEPS; step++) {
        double lo[2] = {DBL_MAX, DBL_MAX}, hi[2] = {-DBL_MAX, -DBL_MAX};
        for (int64_t i = 0; i < o->n; i += 3) {
            double y[3], uv[2];
            ch4_rigid_apply(y, pose, (double[]){o->point[3 * i], o->point[3 * i + 1], o->point[3 * i + 2]});
            if (!ch4_project(uv, o->in->k, y))
                return false;
            for (int k = 0; k < 2; k++) {
                lo[k] = fmin(lo[k], uv[k]);
                hi[k] = fmax(hi[k], uv[k]);
            }
        }
        double z = turned[2] + pose->t[2], size = fmax(hi[0] - lo[0], hi[1] - lo[1]);
        if (!(size > 0) || !isfinite(size))
            return false;
        for (int k = 0; k < 2; k++)
            pose->t[k] += (0.5 * (o->lo[k] + o->hi[k]) - 0.5 * (lo[k] + hi[k])) * z / f;
        pose->t[2] += z * (size / want - 1);
    }
    return turned[2] + pose->t[2] > 0;
}

static void keep(candidate *list, int *n, const candidate *c)
{
    int at = *n;
    while (at > 0 && list[at - 1].score < c->score)
        at--;
    if (at == KEPT)
        return;
    int last = *n < KEPT ? (*n)++ : KEPT - 1;
    for (int i = last; i > at; i--)
        list[i] = list[i - 1];
    list[at] = *c;
}

/* Turns about the object's centre by `angle` about axis k, or shifts along it by `shift`. */
static void moved(ch4_rigid *out, const ch4_rigid *in, const double centre[3], int k, double angle, double shift)
{
    double c = cos(angle), s = sin(angle), at[3], turned[3];
    int a = (k + 1) % 3, b = (k + 2) % 3;
    *out = *in;
    ch4_rigid_apply(at, in, centre);
    for (int j = 0; j < 3; j++) {
        out->R[3 * a + j] = c * in->R[3 * a + j] - s * in->R[3 * b + j];
        out->R[3 * b + j] = s * in->R[3 * a + j] + c * in->R[3 * b + j];
    }
    memset(out->t, 0, sizeof out->t);
    ch4_rigid_apply(turned, out, centre);
    for (int j = 0; j < 3; j++)
        out->t[j] = at[j] - turned[j];
    out->t[k] += shift;
}

/* Pattern search: tries six turns and six shifts, takes what helps, halves the step when nothing does. */
static void refine(candidate *c, const outline *o)
{
    double angle = 12 * M_PI / 180, shift = 0.08;
    for (int round = 0; round < REFINE_ROUNDS && angle > 0.4 * M_PI / 180; round++) {
        bool better = false;
        for (int move = 0; move < 12; move++) {
            candidate next;
            double sign = move & 1 ? -1 : 1;
            moved(&next.pose, &c->pose, o->centre, move / 4, move & 2 ? 0 : sign * angle, move & 2 ? sign * shift : 0);
            next.score = score_of(o, &next.pose);
            if (next.score > c->score) {
                *c = next;
                better = true;
            }
        }
        if (!better) {
            angle /= 2;
            shift /= 2;
        }
    }
}

ch4_status ch4_pose_from_outline(ch4_rigid *pose, double *score, bool *found, const ch4_outline_input *in, const ch4_rigid *start, ch4_err *err)
{
    outline o;
    candidate list[KEPT], c, best = {.score = -INFINITY};
    int n = 0;
    ch4_status st = open_outline(&o, found, in, err);
    if (st != CH4_OK || !*found) {
        free(o.point);
        return st;
    }
    if (start) {
        c.pose = *start;
        c.score = score_of(&o, &c.pose);
        keep(list, &n, &c);
    }
    for (int i = in->view ? -1 : 0; i < ROTATIONS; i++) {
        if (i < 0)
            memcpy(c.pose.R, in->view, sizeof c.pose.R);
        else
            spread_rotation(c.pose.R, i, ROTATIONS);
        if (!fit_box(&c.pose, &o))
            continue;
        c.score = score_of(&o, &c.pose);
        keep(list, &n, &c);
    }
    for (int i = 0; i < n; i++) {
        refine(&list[i], &o);
        if (list[i].score > best.score)
            best = list[i];
    }
    *found = n > 0 && ch4_rigid_valid(&best.pose);
    *pose = best.pose;
    *score = best.score;
    free(o.point);
    return CH4_OK;
}
