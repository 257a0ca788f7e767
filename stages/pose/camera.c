#include "stages/pose/camera.h"

#include <math.h>

ch4_intrinsics ch4_intrinsics_make(double ndc_focal, double width, double height)
{
    double f = ndc_focal * height / 2;
    return (ch4_intrinsics){.fx = f, .fy = f, .cx = width / 2, .cy = height / 2};
}

ch4_intrinsics ch4_intrinsics_crop(ch4_intrinsics k, double x0, double y0, double scale)
{
    return (ch4_intrinsics){.fx = scale * k.fx, .fy = scale * k.fy, .cx = scale * (k.cx - x0), .cy = scale * (k.cy - y0)};
}

ch4_intrinsics ch4_intrinsics_uncrop(ch4_intrinsics k, double x0, double y0, double scale)
{
    return (ch4_intrinsics){.fx = k.fx / scale, .fy = k.fy / scale, .cx = k.cx / scale + x0, .cy = k.cy / scale + y0};
}

void ch4_intrinsics_matrix(double out[9], ch4_intrinsics k)
{
    double m[9] = {k.fx, 0, k.cx, 0, k.fy, k.cy, 0, 0, 1};
    for (int i = 0; i < 9; i++)
        out[i] = m[i];
}

void ch4_rigid_apply(double y[3], const ch4_rigid *p, const double x[3])
{
    for (int i = 0; i < 3; i++)
        y[i] = p->R[3 * i] * x[0] + p->R[3 * i + 1] * x[1] + p->R[3 * i + 2] * x[2] + p->t[i];
}

bool ch4_project(double uv[2], ch4_intrinsics k, const double camera_point[3])
{
    if (!(camera_point[2] > 0))
        return false;
    uv[0] = k.fx * camera_point[0] / camera_point[2] + k.cx;
    uv[1] = k.fy * camera_point[1] / camera_point[2] + k.cy;
    return true;
}

void ch4_view_rotation(double out[9], double azimuth, double elevation)
{
    double az = azimuth * M_PI / 180, el = elevation * M_PI / 180;
    const double x[3] = {cos(az), 0, -sin(az)}, z[3] = {-sin(az) * cos(el), -sin(el), -cos(az) * cos(el)};
    for (int k = 0; k < 3; k++) {
        out[k] = x[k];
        out[3 + k] = z[(k + 1) % 3] * x[(k + 2) % 3] - z[(k + 2) % 3] * x[(k + 1) % 3];
        out[6 + k] = z[k];
    }
}

double ch4_rotation_angle_deg(const double a[9], const double b[9])
{
    double s = 0;
    for (int i = 0; i < 9; i++)
        s += (a[i] - b[i]) * (a[i] - b[i]);
    return 2 * asin(fmin(1, sqrt(s) / (2 * M_SQRT2))) * 180 / M_PI;
}

bool ch4_rigid_valid(const ch4_rigid *p)
{
    const double *r = p->R;
    for (int i = 0; i < 3; i++) {
        if (!isfinite(p->t[i]))
            return false;
        for (int j = 0; j < 3; j++) {
            double dot = r[i] * r[j] + r[3 + i] * r[3 + j] + r[6 + i] * r[6 + j];
            if (!(fabs(dot - (i == j)) <= 1e-6)) /* false for NaN too */
                return false;
        }
    }
    double det = r[0] * (r[4] * r[8] - r[5] * r[7]) - r[1] * (r[3] * r[8] - r[5] * r[6]) + r[2] * (r[3] * r[7] - r[4] * r[6]);
    return fabs(det - 1) <= 1e-6;
}
