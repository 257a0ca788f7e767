/* The contact sheet: frames of a clip from left to right, the pictures that went in above the animated mesh that came out. */
#ifndef CH4_SHEET_H
#define CH4_SHEET_H

#include "tools/sheet/sheet_clip.h"

typedef struct ch4_sheet_options {
    int columns, rows;         /* at most columns * rows frames are shown, spread evenly over the clip */
    int size;                  /* side of one picture, pixels */
    bool camera;               /* see the mesh with the cameras of cameras.json; else from: */
    double azimuth, elevation; /* degrees; the picture shows the object in all shown frames, as large as possible */
} ch4_sheet_options;

typedef struct ch4_sheet {
    int width, height;
    uint8_t *pixel; /* [height,width,3] */
    bool pictures;  /* false: the run kept no decode files, so only the mesh is shown */
} ch4_sheet;

/* Number of frames that are shown, and which: out has columns * rows places. First and last frame are among them. */
int64_t ch4_sheet_pick_frames(int64_t *out, int64_t n_frames, const ch4_sheet_options *options);

/* colour [n_vert,3]: where a vertex lies in the box of `vert` [n_vert,3], each axis mapped to 0.08..0.98. */
void ch4_sheet_colours(float *colour, const float *vert, int64_t n_vert);

/* A camera that looks at the object from azimuth and elevation and has it, in all n given frames, inside the picture with a margin of 5 %. An
 * object in the canonical cube is looked at as the synthetic data is; another one from where it looks equally large.
 * CH4_EFORMAT if all vertices are in one place. */
ch4_status ch4_sheet_fit_camera(ch4_synth_camera *out, const ch4_sheet_clip *clip, const int64_t *frame, int64_t n, const ch4_sheet_options *options,
                                ch4_err *err);

/* Draws the sheet of a clip folder. The mesh is coloured by ch4_sheet_colours of frame 0 in all frames: a point keeps its colour. Errors as in
 * sheet_clip.h; CH4_EINVAL if the pictures would have more than 2^26 pixels. The caller frees *out with fini, also after an error. */
ch4_status ch4_sheet_draw(ch4_sheet *out, const char *folder, const ch4_sheet_options *options, ch4_err *err);
void       ch4_sheet_fini(ch4_sheet *sheet);

#endif
