#include "orchestrator/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/version.h"
#include "orchestrator/sink_impl.h"

static const char *sign_name(int64_t sign) { return sign > 0 ? "positive" : "negative"; }

/* Written last: its being there means that the clip is finished. */
static ch4_status write_summary(sink_joint *j, ch4_err *err)
{
    char path[CH4_STORE_PATH], temporary[CH4_STORE_PATH + 8];
    const ch4_sink_report *r = j->report;
    ch4_status st = sink_path(path, j, "summary.json", err);
    if (st) return st;
    snprintf(temporary, sizeof temporary, "%s.new", path);
    json_t *files = json_object(), *notes = json_array();
    for (int i = 0; i < r->n_files; i++) json_object_set_new(files, r->files[i].name, json_integer(r->files[i].bytes));
    for (int i = 0; i < j->clip->n_notes; i++) json_array_append_new(notes, json_string(j->clip->notes[i]));
    for (int i = 0; i < r->n_notes; i++) json_array_append_new(notes, json_string(r->notes[i]));
    json_t *o = json_pack("{s:s, s:s, s:I, s:f, s:I, s:I, s:I, s:b, s:f, s:o, s:o}", "chain4d", CH4_VERSION, "clip", j->clip->name, "frames",
                          (json_int_t)j->n_frames, "seconds", j->place[j->n_frames - 1].time - j->place[0].time, "windows",
                          (json_int_t)j->clip->n_windows, "vertices", (json_int_t)r->n_vertices, "faces", (json_int_t)sink_mesh(j)->n_face,
                          "mesh_given", j->given, "movement", r->movement, "files", files, "notes", notes);
    if (o && j->given) json_object_set_new(o, "mesh_yaw", json_real(j->placed.yaw));
    if (o && j->field_inside)
        json_object_set_new(o, "field", json_pack("{s:s, s:s, s:f}", "inside", sign_name(j->field_inside), "probed", sign_name(j->field_probed), "probe_share",
                                                  j->field_probe_share));
    char *text = o ? json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(o);
    if (!text) return ch4_err_set(err, CH4_ENOMEM, "summary.json");
    FILE *f = fopen(temporary, "we");
    bool bad = !f || fprintf(f, "%s\n", text) < 0 || fflush(f) || fsync(fileno(f));
    int code = errno;
    if (f && fclose(f)) bad = true, code = errno;
    if (!bad && rename(temporary, path)) bad = true, code = errno;
    free(text);
    if (!bad) return sink_add_file(j, "summary.json", err);
    unlink(temporary);
    return ch4_err_set_errno(err, code, "%s", path);
}

ch4_status ch4_sink_finish_clip(const ch4_sink_clip *clip, const ch4_config *config, ch4_sink_report *report, ch4_err *err)
{
    sink_joint j;
    *report = (ch4_sink_report){0};
    ch4_status st = sink_joint_open(&j, clip, config, report, err);
    if (!st) st = sink_write_motion(&j, err);
    if (!st) st = sink_write_cameras(&j, err);
    if (!st) st = sink_write_tracks(&j, err);
    if (!st && config->chain.surfaces) st = sink_write_surfaces(&j, err);
    if (!st) st = write_summary(&j, err);
    sink_joint_close(&j);
    return st;
}
