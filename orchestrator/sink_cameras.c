/* cameras.json: the cameras of all frames, for the pixels of the source video and the coordinates of vertices.npy. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/sink_impl.h"

typedef struct camera {
    double K[9], R[9], t[3];
    uint8_t status;
    int32_t inliers;
} camera;

enum { NAMES = 16, NAMES_TEXT = 256 };

typedef struct cameras {
    camera *frame;          /* [n_frames] */
    camera anchor;          /* of the clip: K as in its frames */
    char text[NAMES_TEXT];  /* status names, separated by NUL */
    const char *name[NAMES];
    int n_names;
} cameras;

/* From the square frame to the source's pixels, from canonical to the result's coordinates. X' = Y (x - c) s, Y the turn, seen by R X' + t is seen
 * alike by R Y x + (t / s - R Y c): a camera does not see the unit of length. */
static void convert(camera *c, const sink_joint *j)
{
    for (int k = 0; k < 3 && j->given; k++) {
        double *row = c->R + 3 * k;
        ch4_turn_about_y(row, row, -j->placed.yaw); /* rows of R Y are the rows of R, turned back */
        c->t[k] = c->t[k] / j->placed.scale - (row[0] * j->placed.center[0] + row[1] * j->placed.center[1] + row[2] * j->placed.center[2]);
    }
    for (int k = 0; k < 6; k++) c->K[k] /= j->scale;
    c->K[2] += j->crop_x;
    c->K[5] += j->crop_y;
}

static ch4_status read_names(cameras *c, const ch4_store_reader *r, ch4_err *err)
{
    ch4_status st = ch4_store_get_text(r, "camera_status_names", c->text, sizeof c->text, err);
    char *save = NULL;
    for (char *p = st ? NULL : strtok_r(c->text, ",", &save); p && c->n_names < NAMES; p = strtok_r(NULL, ",", &save)) c->name[c->n_names++] = p;
    return st;
}

static ch4_status read_anchor(cameras *c, const ch4_store_reader *r, ch4_err *err)
{
    int64_t status;
    ch4_status st = ch4_store_read_part(r, "/anchor_camera/R", CH4_DTYPE_F64, 0, 3, c->anchor.R, sizeof c->anchor.R, err);
    if (!st) st = ch4_store_read_part(r, "/anchor_camera/t", CH4_DTYPE_F64, 0, 3, c->anchor.t, sizeof c->anchor.t, err);
    if (!st) st = ch4_store_read_part(r, "/camera/K", CH4_DTYPE_F64, 0, 1, c->anchor.K, sizeof c->anchor.K, err);
    if (!st) st = ch4_store_get_int(r, "anchor_camera_status", &status, err);
    if (!st) c->anchor.status = (uint8_t)status;
    return st;
}

static ch4_status read_window(cameras *c, const sink_joint *j, int64_t w, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_status st = sink_open_window(&r, j, w, "pose", err);
    if (!st && w == 0) st = read_names(c, r, err);
    if (!st && w == 0) st = read_anchor(c, r, err);
    for (int64_t f = 0; f < j->n_frames && !st; f++) {
        if (j->place[f].window != w) continue;
        camera *k = &c->frame[f];
        int64_t slot = j->place[f].slot;
        if (!st) st = ch4_store_read_part(r, "/camera/K", CH4_DTYPE_F64, slot, 1, k->K, sizeof k->K, err);
        if (!st) st = ch4_store_read_part(r, "/camera/R", CH4_DTYPE_F64, slot, 1, k->R, sizeof k->R, err);
        if (!st) st = ch4_store_read_part(r, "/camera/t", CH4_DTYPE_F64, slot, 1, k->t, sizeof k->t, err);
        if (!st) st = ch4_store_read_part(r, "/camera/status", CH4_DTYPE_U8, slot, 1, &k->status, 1, err);
        if (!st) st = ch4_store_read_part(r, "/camera/inliers", CH4_DTYPE_I32, slot, 1, &k->inliers, sizeof k->inliers, err);
        for (int i = 0; i < 9 && !st; i++)
            if (!isfinite(k->K[i] + k->R[i] + k->t[i % 3]))
                st = ch4_err_set(err, CH4_EFORMAT, "%s: camera of frame %" PRId64 " is not finite", ch4_store_path(r), f);
        if (!st && k->status >= c->n_names) st = ch4_err_set(err, CH4_EFORMAT, "%s: camera of frame %" PRId64 " has no known status", ch4_store_path(r), f);
    }
    ch4_store_close(&r);
    return st;
}

/* --- text ------------------------------------------------------------------------------------------------------------------- */

static void print_rows(FILE *f, const double *m, int rows, int cols)
{
    for (int r = 0; r < rows; r++) {
        fputs(rows > 1 && r == 0 ? "[[" : "[", f);
        for (int c = 0; c < cols; c++) fprintf(f, "%s%.17g", c ? "," : "", m[r * cols + c]);
        fputs(r + 1 == rows ? (rows > 1 ? "]]" : "]") : "],", f);
    }
}

static void print_json(FILE *f, const cameras *c, const sink_joint *j)
{
    fputs("{\n \"convention\": \"OpenCV: camera x right, y down, z forward; x_camera = R x + t; pixel = K x_camera / z, origin at the outer corner of "
          "the top-left pixel; x in the coordinates of vertices.npy\",\n", f);
    fprintf(f, " \"width\": %.0f, \"height\": %.0f,\n", j->source_width, j->source_height);
    fprintf(f, " \"square_frame\": {\"x\": %.17g, \"y\": %.17g, \"scale\": %.17g, \"side\": %.0f},\n", j->crop_x, j->crop_y, j->scale, j->side);
    fputs(" \"anchor_camera\": {\"K\": ", f);
    print_rows(f, c->anchor.K, 3, 3);
    fputs(", \"R\": ", f);
    print_rows(f, c->anchor.R, 3, 3);
    fputs(", \"t\": ", f);
    print_rows(f, c->anchor.t, 1, 3);
    fprintf(f, ", \"status\": \"%s\"}", c->name[c->anchor.status]);
    static const char *const key[] = {"time", "status", "inliers", "K", "R", "t"};
    for (int k = 0; k < 6; k++) {
        fprintf(f, ",\n \"%s\": [", key[k]);
        for (int64_t i = 0; i < j->n_frames; i++) {
            const camera *x = &c->frame[i];
            fputs(i ? ",\n  " : "\n  ", f);
            switch (k) {
            case 0: fprintf(f, "%.17g", j->place[i].time); break;
            case 1: fprintf(f, "\"%s\"", c->name[x->status]); break;
            case 2: fprintf(f, "%" PRId32, x->inliers); break;
            case 3: print_rows(f, x->K, 3, 3); break;
            case 4: print_rows(f, x->R, 3, 3); break;
            default: print_rows(f, x->t, 1, 3); break;
            }
        }
        fputs("]", f);
    }
    fputs("\n}\n", f);
}

static ch4_status save(const cameras *c, const sink_joint *j, ch4_err *err)
{
    char path[CH4_STORE_PATH], temporary[CH4_STORE_PATH + 8];
    ch4_status st = sink_path(path, j, "cameras.json", err);
    if (st) return st;
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *f = fopen(temporary, "we");
    if (!f) return ch4_err_set_errno(err, errno, "%s", temporary);
    errno = 0;
    print_json(f, c, j);
    bool bad = fflush(f) || ferror(f) || fsync(fileno(f));
    int code = errno;
    if (fclose(f) && !bad) bad = true, code = errno;
    if (!bad && rename(temporary, path)) bad = true, code = errno;
    if (!bad) return CH4_OK;
    unlink(temporary);
    return ch4_err_set_errno(err, code, "%s", path);
}

/* One line if the user cannot rely on all cameras. */
static void tell(const cameras *c, sink_joint *j)
{
    int64_t kept = 0, none = 0;
    for (int64_t f = 0; f < j->n_frames; f++) {
        const char *name = c->name[c->frame[f].status];
        kept += strcmp(name, "kept") == 0;
        none += strcmp(name, "none") == 0;
    }
    if (none > 0) sink_note(j, "no camera was found for %" PRId64 " of %" PRId64 " frames: a frontal one stands in (status none)", none, j->n_frames);
    if (kept > 0) sink_note(j, "cameras of %" PRId64 " of %" PRId64 " frames could not be solved: their neighbour's is kept", kept, j->n_frames);
}

ch4_status sink_write_cameras(sink_joint *j, ch4_err *err)
{
    cameras c = {0};
    ch4_status st = ch4_calloc(&c.frame, (size_t)j->n_frames, sizeof *c.frame, "cameras", err);
    for (int64_t w = 0; w < j->clip->n_windows && !st; w++) st = read_window(&c, j, w, err);
    if (!st && c.anchor.status >= c.n_names) st = ch4_err_set(err, CH4_EFORMAT, "%s: anchor camera has no known status", j->clip->dir);
    if (!st) {
        for (int64_t f = 0; f < j->n_frames; f++) convert(&c.frame[f], j);
        convert(&c.anchor, j);
        tell(&c, j);
        st = save(&c, j, err);
    }
    if (!st) st = sink_add_file(j, "cameras.json", err);
    free(c.frame);
    return st;
}
