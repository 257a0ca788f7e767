#include "mesh/placement.h"

#include <math.h>

void ch4_turn_about_y(double out[3], const double in[3], double yaw)
{
    double c = cos(yaw * M_PI / 180), s = sin(yaw * M_PI / 180), x = in[0], z = in[2];
    out[0] = c * x + s * z;
    out[1] = in[1];
    out[2] = c * z - s * x;
}

void ch4_place_point(double canonical[3], const ch4_placement *p, const double x[3])
{
    for (int k = 0; k < 3; k++)
        canonical[k] = (x[k] - p->center[k]) * p->scale;
    ch4_turn_about_y(canonical, canonical, p->yaw);
}

void ch4_unplace_offset(double dx[3], const ch4_placement *p, const double canonical[3])
{
    ch4_turn_about_y(dx, canonical, -p->yaw);
    for (int k = 0; k < 3; k++)
        dx[k] /= p->scale;
}

void ch4_unplace_point(double x[3], const ch4_placement *p, const double canonical[3])
{
    ch4_unplace_offset(x, p, canonical);
    for (int k = 0; k < 3; k++)
        x[k] += p->center[k];
}
