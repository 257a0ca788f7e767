/* Embeddings of points, times and frame numbers, on the host. Small, evaluated in double and stored as float. */
#ifndef CH4_MODEL_EMBED_H
#define CH4_MODEL_EMBED_H

#include <stdbool.h>
#include <stdint.h>

/* Frequency embedding of 3-D points (TripoSG VAE, docs/model.md): out [n, stride >= 3 + 6 octaves] gets
 * x,y,z, sin(x f_0..), sin(y ..), sin(z ..), cos(x ..), cos(y ..), cos(z ..), with f_j = 2^j (times pi if include_pi).
 * points [n, point_stride], the first three of each row are read. */
void ch4_embed_points(float *out, int64_t stride, const float *points, int64_t point_stride, int64_t n, int octaves, bool include_pi);

/* Sinusoid of times t[n]: frequencies 10000^(-i/half), half = width/2; out [n,width] = [sin, cos], or [cos, sin] if cos_first.
 * The denoisers take t in 0..1000, sine first; the stage-II decoder takes alpha in 0..1, cosine first. */
void ch4_embed_times(float *out, const float *t, int64_t n, int64_t width, bool cos_first);

/* Rotation tables of frames: position = framestep - min; angle = position * 10000^(-2j/head_dim); cos, sin [frames, head_dim/2]. */
void ch4_embed_rope(float *cos, float *sin, const float *framestep, int64_t frames, int64_t head_dim);

/* alpha[i] = (t[i] - min) / (max - min); 0 where all are equal. */
void ch4_embed_alpha(float *alpha, const float *t, int64_t n);

/* Evenly spaced output times over [first,last] of the window: level 1 keeps whole steps, each further level halves them. The first is
 * dropped unless keep_first. Writes at most `capacity` values, returns how many there are. */
int64_t ch4_embed_output_times(float *out, int64_t capacity, const float *framestep, int64_t n, int level, bool keep_first);

#endif
