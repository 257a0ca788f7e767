/* The families of metrics that chain4d-eval knows. Each looks for what it scores, prints a table and saves files; a family that finds nothing does nothing. */
#ifndef CH4_EVAL_FAMILIES_H
#define CH4_EVAL_FAMILIES_H

#include "tools/eval/eval_request.h"

typedef ch4_status (*ch4_eval_family_fn)(ch4_eval_outcome *out, const ch4_eval_request *request, ch4_err *err);

ch4_status ch4_eval_vertices(ch4_eval_outcome *out, const ch4_eval_request *request, ch4_err *err);    /* tracked vertices */
ch4_status ch4_eval_views(ch4_eval_outcome *out, const ch4_eval_request *request, ch4_err *err);       /* 2D and 3D tracks of a run */
ch4_status ch4_eval_cameras(ch4_eval_outcome *out, const ch4_eval_request *request, ch4_err *err);     /* cameras of a run */
ch4_status ch4_eval_bench(ch4_eval_outcome *out, const ch4_eval_request *request, ch4_err *err);       /* surfaces */
ch4_status ch4_eval_shapes(ch4_eval_outcome *out, const ch4_eval_request *request, ch4_err *err);      /* IoU, F-score; only with request->shape */
ch4_status ch4_eval_track_files(ch4_eval_outcome *out, const ch4_eval_request *request, ch4_err *err); /* TAP-Vid */
ch4_status ch4_eval_joints(ch4_eval_outcome *out, const ch4_eval_request *request, ch4_err *err);      /* BADJA */
ch4_status ch4_eval_world(ch4_eval_outcome *out, const ch4_eval_request *request, ch4_err *err);       /* WorldTrack */
ch4_status ch4_eval_tapvid3d(ch4_eval_outcome *out, const ch4_eval_request *request, ch4_err *err);    /* TAPVid-3D */

#endif
