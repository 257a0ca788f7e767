#include <math.h>
#include <string.h>

#include "tools/synth/form.h"

/* Table of the bent centre line over lengths -REACH..REACH. */
enum { TABLE = 96 };
static const double REACH = 2.4;

double ch4_form_value(const ch4_form_course *c, double t)
{
    if (c->ramp) return c->amplitude * t * t * (3 - 2 * t);
    return c->amplitude * sin(2 * M_PI * (c->cycles * t + c->phase));
}

static void turn_about(double *xyz, int64_t n, const double axis[3], const double pivot[3], double angle)
{
    double c = cos(angle), s = sin(angle);
    for (double *x = xyz; x < xyz + 3 * n; x += 3) {
        double d[3], dot = 0;
        for (int k = 0; k < 3; k++) d[k] = x[k] - pivot[k], dot += d[k] * axis[k];
        for (int k = 0; k < 3; k++) {
            double cross = axis[(k + 1) % 3] * d[(k + 2) % 3] - axis[(k + 2) % 3] * d[(k + 1) % 3];
            x[k] = pivot[k] + c * d[k] + s * cross + (1 - c) * dot * axis[k];
        }
    }
}

/* The centre line turns by `angle` in all, over bend_width about bend_centre: angle and position at every table entry, with the
 * length 0 staying at the origin. Lengths along the line are kept, as when a sheet or a hose is bent. */
typedef struct bent_line {
    double angle[TABLE + 1], along[TABLE + 1], aside[TABLE + 1];
} bent_line;

static void bend_line(bent_line *out, const ch4_form *f, double angle)
{
    double step = 2 * REACH / TABLE;
    for (int i = 0; i <= TABLE; i++) {
        double u = (-REACH + step * i - f->bend_centre) / f->bend_width + 0.5;
        u = u < 0 ? 0 : u > 1 ? 1 : u;
        out->angle[i] = angle * (u * u * (3 - 2 * u) - 0.5);
        double mean = i ? 0.5 * (out->angle[i] + out->angle[i - 1]) : 0;
        out->along[i] = i ? out->along[i - 1] + step * cos(mean) : 0;
        out->aside[i] = i ? out->aside[i - 1] + step * sin(mean) : 0;
    }
    double along = out->along[TABLE / 2], aside = out->aside[TABLE / 2];
    for (int i = 0; i <= TABLE; i++) out->along[i] -= along, out->aside[i] -= aside;
}

static void bend(double p[3], const bent_line *line)
{
    double at = (p[0] + REACH) / (2 * REACH) * TABLE;
    at = at < 0 ? 0 : at > TABLE - 1e-6 ? TABLE - 1e-6 : at;
    int i = (int)at;
    double w = at - i, angle = line->angle[i] + w * (line->angle[i + 1] - line->angle[i]), across = p[1];
    p[0] = line->along[i] + w * (line->along[i + 1] - line->along[i]) - across * sin(angle);
    p[1] = line->aside[i] + w * (line->aside[i + 1] - line->aside[i]) + across * cos(angle);
}

void ch4_form_move(double *xyz, int64_t n, const ch4_form *f, int part, double t)
{
    static const double origin[3] = {0, 0, 0};
    const ch4_form_part *own = &f->part[part];
    double stretch = exp(ch4_form_value(&f->squash, t)), thin = 1 / sqrt(stretch), twist = ch4_form_value(&f->twist, t);
    double slip = ch4_form_value(&own->slip, t), shift = ch4_form_value(&f->shifting, t);
    bent_line line;
    bend_line(&line, f, ch4_form_value(&f->bend, t));
    turn_about(xyz, n, own->axis, own->pivot, ch4_form_value(&own->swing, t));
    for (double *x = xyz; x < xyz + 3 * n; x += 3) {
        double p[3] = {0, 0, 0};
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++) p[i] += f->frame[3 * i + k] * (x[k] + slip * own->slide[k]);
        double c = cos(twist * p[0]), s = sin(twist * p[0]), v = p[1] * thin, w = p[2] * thin;
        p[0] *= stretch;
        p[1] = c * v - s * w;
        p[2] = s * v + c * w;
        double length = p[0];
        bend(p, &line);
        for (int i = 0; i < 2; i++)
            p[1 + i] += f->wave[i].amplitude * sin(2 * M_PI * (f->wave[i].number * length - f->wave[i].speed * t + f->wave[i].phase));
        for (int k = 0; k < 3; k++) x[k] = f->frame[k] * p[0] + f->frame[3 + k] * p[1] + f->frame[6 + k] * p[2];
    }
    turn_about(xyz, n, f->turn_axis, origin, ch4_form_value(&f->turning, t));
    for (int64_t i = 0; i < 3 * n; i++) xyz[i] += shift * f->shift[i % 3];
}
