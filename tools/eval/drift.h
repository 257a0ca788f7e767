/* Long clips: which source frame a ping-pong clip shows (Fast4D appendix C), its windows, and curves over windows. */
#ifndef CH4_EVAL_DRIFT_H
#define CH4_EVAL_DRIFT_H

#include "base/base.h"

/* Source frame of frame k of a clip that plays n_source frames (>= 2) forward and backward without repeating the ends. */
int64_t ch4_pingpong_frame(int64_t k, int64_t n_source);

/* Windows of `length` frames (>= 2), each starting with the last frame of the one before; the last may be shorter. */
int64_t ch4_drift_windows(int64_t n_frames, int64_t length);
void    ch4_drift_window(int64_t *begin, int64_t *end, int64_t window, int64_t n_frames, int64_t length);

/* curve f64[windows]: mean over the window's frames of frame f64[n_frames], its shared first frame left out except in window 0. */
void ch4_drift_curve(double *curve, const double *frame, int64_t n_frames, int64_t length);

typedef struct ch4_drift_summary {
    double first, last, ratio, slope; /* slope: least squares, per window */
    int64_t doubled;                  /* first window above twice the first value, -1: none */
} ch4_drift_summary;

ch4_drift_summary ch4_drift_summarise(const double *curve, int64_t n_windows);

/* Closure: mean over vertices of |V_{k period} - V_0| / diagonal for each k >= 1, period = 2 (n_source - 1): the same source frame, so the same place.
 * vert f32[n_frames,n_vert,3]; closure f64[(n_frames - 1) / period]. */
void ch4_drift_closure(double *closure, const float *vert, int64_t n_frames, int64_t n_vert, int64_t n_source, double diagonal);

/* Mean over edges of ||e_k| / |e_0| - 1|, over the three edges of each face; edges without length in frame 0 are left out. NAN without edges. */
double ch4_edge_stretch(const float *vert, const float *vert0, const int32_t *face, int64_t n_face);

#endif
