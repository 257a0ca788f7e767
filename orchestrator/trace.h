/* The trace of a run: Chrome's JSON array of events, which Perfetto and chrome://tracing open. It is written window by window and can be read also when its end
 * is missing. Times are microseconds since the start of the run. */
#ifndef CH4_TRACE_H
#define CH4_TRACE_H

#include "orchestrator/latency.h"

/* Makes the file, which l then owns; errors of opening it name it. An event that cannot be made or written is missing in the trace, which stops no run. */
ch4_status ch4_trace_begin(ch4_latency *l, const char *path, ch4_err *err);
void       ch4_trace_end(ch4_latency *l);

/* A window, number `clip` of the clips, has reached the sink at here_us (ch4_clock_us). */
void ch4_trace_window(ch4_latency *l, const Ch4__Window *w, int64_t clip, int64_t here_us);

#endif
