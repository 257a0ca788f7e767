#include "stages/denoise/mesh_yaw.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "mesh/placement.h"
#include "mesh/sample.h"
#include "stages/denoise/denoise_window.h"

enum { YAWS = 24, REFINEMENTS = 2, SAMPLES = 1500, GRID = 32, BOX_STEPS = 5, DRAWS = 2, STREAM_YAW = 0x79617720 };

static const double FOCAL = 2.1875;     /* of half the picture's side */
static const double NOISE_LEVEL = 0.5;  /* where the flow matching error tells most */
static const double OUTLINE_WEIGHT = 3; /* of the overlap against the mean squared error of the velocity */
static const double CLEAR = 0.2;        /* a turn must gain this much: a mesh that stands right stays as it is */

/* --- the outline ----------------------------------------------------------------------------------------------------------------- */

typedef struct foreground {
    uint8_t mask[GRID * GRID];
    double lo[2], hi[2]; /* box, pixels */
} foreground;

/* false: nothing is there. */
static bool read_foreground(foreground *f, const uint8_t *alpha, int64_t side)
{
    int64_t count[GRID * GRID] = {0}, total[GRID * GRID] = {0}, set = 0;
    f->lo[0] = f->lo[1] = DBL_MAX;
    f->hi[0] = f->hi[1] = -DBL_MAX;
    for (int64_t y = 0; y < side; y++)
        for (int64_t x = 0; x < side; x++) {
            int64_t cell = y * GRID / side * GRID + x * GRID / side;
            total[cell]++;
            if (alpha[y * side + x] < 128)
                continue;
            count[cell]++;
            f->lo[0] = fmin(f->lo[0], (double)x);
            f->lo[1] = fmin(f->lo[1], (double)y);
            f->hi[0] = fmax(f->hi[0], (double)x + 1);
            f->hi[1] = fmax(f->hi[1], (double)y + 1);
        }
    for (int i = 0; i < GRID * GRID; i++)
        set += f->mask[i] = count[i] > 0 && 3 * count[i] >= total[i];
    return set > 0;
}

/* Pixel of a point in the camera's directions, the camera at t; false behind it. */
static bool project(double uv[2], const double c[3], const double t[3], double f, double centre)
{
    double depth = c[2] + t[2];
    for (int k = 0; k < 2; k++)
        uv[k] = f * (c[k] + t[k]) / depth + centre;
    return depth > 0;
}

/* Moves t until the box of the n points seen is that of the foreground. */
static bool fit_box(double t[3], const double (*c)[3], int64_t n, const foreground *fg, double f, double centre)
{
    double want = fmax(fg->hi[0] - fg->lo[0], fg->hi[1] - fg->lo[1]);
    for (int step = 0; step < BOX_STEPS; step++) {
        double lo[2] = {DBL_MAX, DBL_MAX}, hi[2] = {-DBL_MAX, -DBL_MAX}, uv[2];
        for (int64_t i = 0; i < n; i++) {
            if (!project(uv, c[i], t, f, centre))
                return false;
            for (int k = 0; k < 2; k++) {
                lo[k] = fmin(lo[k], uv[k]);
                hi[k] = fmax(hi[k], uv[k]);
            }
        }
        for (int k = 0; k < 2; k++)
            t[k] += 0.5 * (fg->lo[k] + fg->hi[k] - lo[k] - hi[k]) * t[2] / f;
        t[2] *= fmax(hi[0] - lo[0], hi[1] - lo[1]) / want;
    }
    return isfinite(t[0] + t[1] + t[2]);
}

/* The points in the directions of a camera that looks from (azimuth, elevation): x right, y down, z forward. */
static void look(double (*c)[3], const float *point, int64_t n, double yaw, double azimuth, double elevation)
{
    double el = elevation * M_PI / 180;
    for (int64_t i = 0; i < n; i++) {
        double p[3] = {point[3 * i], point[3 * i + 1], point[3 * i + 2]};
        ch4_turn_about_y(p, p, yaw - azimuth); /* the camera then looks along -z, from above by the elevation */
        c[i][0] = p[0];
        c[i][1] = -cos(el) * p[1] + sin(el) * p[2];
        c[i][2] = -sin(el) * p[1] - cos(el) * p[2];
    }
}

ch4_status ch4_view_overlap(double *overlap, const float *point, int64_t n, double yaw, double azimuth, double elevation, const uint8_t *alpha, int64_t side, ch4_err *err)
{
    foreground fg;
    double(*c)[3] = NULL, f = FOCAL * (double)side / 2, t[3] = {0, 0, 1 + FOCAL};
    uint8_t hit[GRID * GRID] = {0};
    int both = 0, either = 0;
    *overlap = 0;
    ch4_status st = ch4_calloc(&c, (size_t)n, sizeof *c, "outline", err);
    if (st)
        return st;
    look(c, point, n, yaw, azimuth, elevation);
    bool seen = read_foreground(&fg, alpha, side) && fit_box(t, (const double(*)[3])c, n, &fg, f, 0.5 * (double)side);
    for (int64_t i = 0; seen && i < n; i++) {
        double uv[2];
        if (!project(uv, c[i], t, f, 0.5 * (double)side))
            continue;
        int64_t x = (int64_t)floor(uv[0] * GRID / (double)side), y = (int64_t)floor(uv[1] * GRID / (double)side);
        if (x >= 0 && y >= 0 && x < GRID && y < GRID)
            hit[y * GRID + x] = 1;
    }
    for (int i = 0; seen && i < GRID * GRID; i++) {
        both += hit[i] & fg.mask[i];
        either += hit[i] | fg.mask[i];
    }
    if (seen)
        *overlap = (double)both / either;
    free(c);
    return CH4_OK;
}

/* --- the network's opinion ------------------------------------------------------------------------------------------------------- */

typedef struct search {
    const ch4_yaw_in *in;
    const ch4_denoise_plan *plan;
    ch4_bundle *bundle;
    const ch4_model_info *info;
    ch4_denoiser *den;
    int64_t n;                        /* N d */
    float *turned;                    /* [n_vert,3] */
    float *z, *noise, *x, *velocity;  /* [N,d]; noise [DRAWS,N,d] */
    float *point;                     /* [SAMPLES,3] */
} search;

static ch4_status search_init(search *s, ch4_err *err)
{
    ch4_rng rng = ch4_rng_at(s->in->seed, STREAM_YAW);
    ch4_status st = ch4_bundle_get_denoiser(s->bundle, &s->den, err);
    if (st)
        return st;
    s->n = s->in->N * ch4_denoiser_get_config(s->den)->in_channels;
    if ((st = ch4_calloc(&s->turned, (size_t)s->in->n_vert * 3, sizeof(float), "mesh", err)) || (st = ch4_calloc(&s->z, (size_t)s->n, sizeof(float), "latent", err)) ||
        (st = ch4_calloc(&s->noise, (size_t)(DRAWS * s->n), sizeof(float), "noise", err)) || (st = ch4_calloc(&s->x, (size_t)s->n, sizeof(float), "latent", err)) ||
        (st = ch4_calloc(&s->velocity, (size_t)s->n, sizeof(float), "velocity", err)) || (st = ch4_calloc(&s->point, SAMPLES * 3, sizeof(float), "surface points", err)))
        return st;
    for (int64_t i = 0; i < DRAWS * s->n; i++)
        s->noise[i] = (float)ch4_rng_normal(&rng);
    return ch4_mesh_sample(s->point, NULL, NULL, NULL, SAMPLES, s->in->vert, s->in->face, s->in->n_face, &rng, err);
}

static void search_fini(search *s)
{
    free(s->turned);
    free(s->z);
    free(s->noise);
    free(s->x);
    free(s->velocity);
    free(s->point);
}

/* Mean squared error of the velocity at the turned mesh's own latent under the picture. */
static ch4_status flow_error(double *error, search *s, double yaw, ch4_err *err)
{
    const float framestep = 0, time = (float)(NOISE_LEVEL * s->plan->window.train_steps);
    const ch4_denoiser_in pass = {.x = s->x, .time = &time, .framestep = &framestep, .use_context = true};
    *error = 0;
    for (int64_t v = 0; v < s->in->n_vert; v++) {
        double p[3] = {s->in->vert[3 * v], s->in->vert[3 * v + 1], s->in->vert[3 * v + 2]};
        ch4_turn_about_y(p, p, yaw);
        for (int k = 0; k < 3; k++)
            s->turned[3 * v + k] = (float)p[k];
    }
    ch4_status st = ch4_denoise_anchor_from_mesh(s->z, s->bundle, s->plan, s->in->N, s->turned, s->in->face, s->in->n_face, s->in->seed, err);
    if (!st)
        st = ch4_denoiser_begin(s->den, 1, s->in->N, s->in->context, s->in->S, err);
    for (int k = 0; !st && k < DRAWS; k++) {
        const float *noise = s->noise + k * s->n;
        for (int64_t i = 0; i < s->n; i++)
            s->x[i] = (float)((1 - NOISE_LEVEL) * s->z[i] + NOISE_LEVEL * noise[i]);
        st = ch4_denoiser_forward(s->den, s->velocity, &pass, NULL, err);
        for (int64_t i = 0; !st && i < s->n; i++) {
            double d = (double)s->velocity[i] - ((double)s->z[i] - noise[i]);
            *error += d * d / (double)(DRAWS * s->n);
        }
    }
    return st;
}

/* Smaller is better. */
static ch4_status cost_of(double *cost, search *s, double yaw, ch4_err *err)
{
    double error, overlap = 0;
    ch4_status st = flow_error(&error, s, yaw, err);
    if (!st)
        st = ch4_view_overlap(&overlap, s->point, SAMPLES, yaw, s->info->view.azimuth, s->info->view.elevation, s->in->alpha, s->in->side, err);
    if (!st)
        *cost = error - OUTLINE_WEIGHT * overlap;
    return st;
}

static ch4_status run_search(double *yaw, search *s, ch4_err *err)
{
    double unturned = 0, least = DBL_MAX, at = 0, cost = 0, step = 360.0 / YAWS;
    ch4_status st = CH4_OK;
    for (int i = 0; !st && i < YAWS; i++) {
        st = cost_of(&cost, s, i * step, err);
        if (i == 0)
            unturned = cost;
        if (cost < least) {
            least = cost;
            at = i * step;
        }
    }
    for (int round = 0; !st && round < REFINEMENTS; round++) {
        double from = at;
        step /= 2;
        for (int sign = -1; !st && sign <= 1; sign += 2) {
            st = cost_of(&cost, s, from + sign * step, err);
            if (cost < least) {
                least = cost;
                at = from + sign * step;
            }
        }
    }
    *yaw = unturned - least < CLEAR ? 0 : at < 0 ? at + 360 : at;
    return st;
}

ch4_status ch4_denoise_find_yaw(double *yaw, ch4_bundle *bundle, const ch4_denoise_plan *plan, const ch4_yaw_in *in, ch4_err *err)
{
    search s = {.in = in, .plan = plan, .bundle = bundle, .info = ch4_bundle_get_info(bundle)};
    *yaw = 0;
    if (!s.info->view.known)
        return ch4_err_set(err, CH4_EINVAL, "yaw of the mesh: the model was not trained from one direction");
    ch4_status st = search_init(&s, err);
    if (!st)
        st = run_search(yaw, &s, err);
    search_fini(&s);
    return st;
}
