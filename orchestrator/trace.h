/* The trace of a run: Chrome's JSON array of events, which Perfetto and chrome://tracing open. It is written window by window and can be read also when its end
 * is missing. Times are microseconds since the start of the run. */
#ifndef CH4_TRACE_H
#define CH4_TRACE_H

#include "orchestrator/latency.h"

ch4_status ch4_trace_begin(ch4_latency *l, const char *path, ch4_err *err);
void       ch4_trace_end(ch4_latency *l);
void       ch4_trace_window(ch4_latency *l, const Ch4__Window *w, int64_t clip, int64_t here_us);

#endif
