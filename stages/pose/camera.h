/* Pinhole cameras of the pose stage.
 *
 * Camera space is OpenCV's: x right, y down, z forward, Xc = R X + t with R row-major. The origin of an image is the outer
 * corner of its top-left pixel, so pixel (row i, column j) has its centre at (j + 1/2, i + 1/2). No skew, no distortion.
 * Plain functions on values; safe from any thread. */
#ifndef CH4_POSE_CAMERA_H
#define CH4_POSE_CAMERA_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ch4_intrinsics {
    double fx, fy, cx, cy; /* pixels */
} ch4_intrinsics;

typedef struct ch4_rigid {
    double R[9]; /* row-major rotation, det +1 */
    double t[3]; /* object units */
} ch4_rigid;

/* The paper's focal length in normalised device coordinates, where the image height spans [-1,1]: 35 mm / 16 mm. */
#define CH4_NDC_FOCAL 2.1875

/* K of a whole image of width x height pixels: f = ndc_focal * height / 2 in both directions (so the vertical field of view is
 * 2 atan(1 / ndc_focal), 49.13 degrees for CH4_NDC_FOCAL, also for portrait images), centre in the middle. */
ch4_intrinsics ch4_intrinsics_make(double ndc_focal, double width, double height);

/* K after cropping at (x0, y0) and scaling: u' = scale * (u - (x0, y0)). And the reverse: K of the uncropped image, given K
 * of the crop. */
ch4_intrinsics ch4_intrinsics_crop(ch4_intrinsics k, double x0, double y0, double scale);
ch4_intrinsics ch4_intrinsics_uncrop(ch4_intrinsics k, double x0, double y0, double scale);

void ch4_intrinsics_matrix(double out[9], ch4_intrinsics k); /* row-major 3x3 */

/* y = R x + t */
void ch4_rigid_apply(double y[3], const ch4_rigid *p, const double x[3]);

/* Pixel of a point in camera space; false (and uv untouched) where the depth is not positive. */
bool ch4_project(double uv[2], ch4_intrinsics k, const double camera_point[3]);

/* Rotation of a camera that looks at the origin of the canonical cube, upright, from a direction in degrees: azimuth 0 is in front (+z), 90 at
 * the side (+x); elevation -90 to 90. */
void ch4_view_rotation(double out[9], double azimuth, double elevation);

/* Angle between two rotations in degrees: 2 asin(|A - B|_F / (2 sqrt 2)). */
double ch4_rotation_angle_deg(const double a[9], const double b[9]);

/* All 12 numbers finite, |R^T R - I| and |det R - 1| at most 1e-6. */
bool ch4_rigid_valid(const ch4_rigid *p);

#endif
