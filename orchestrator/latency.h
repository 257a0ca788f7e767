/* Where the windows of a run were when: their times (Times in proto/window.proto) as a summary and as a trace. One clock for all processes of the
 * machine; what was found done on the disk counts as nothing. */
#ifndef CH4_LATENCY_H
#define CH4_LATENCY_H

#include <stdio.h>

#include "bus/msg.h"

enum { CH4_LATENCY_STAGES = 5 };

/* What a window does in a stage, in this order. */
typedef enum ch4_span {
    CH4_SPAN_EDGE,  /* on its way there: for credit, for the message */
    CH4_SPAN_TURN,  /* for its turn */
    CH4_SPAN_FILES, /* for files of other stages (the feedback), or failed tries */
    CH4_SPAN_WORK,
    CH4_SPAN_ROOM,  /* source: until the graph has room for one more window */
    CH4_N_SPANS,
} ch4_span;

typedef struct ch4_series {
    double *x; /* seconds */
    int64_t n, room;
} ch4_series;

typedef struct ch4_latency {
    ch4_series span[CH4_LATENCY_STAGES][CH4_N_SPANS];
    ch4_series way;     /* from the start of a window's first work to the sink, of windows that were found nowhere */
    ch4_series sink;    /* on the way to the sink */
    ch4_series cycle;   /* chain, animate, chain of the window behind it: between the starts of the chain's work, of windows behind each other */
    char clip[CH4_MSG_NAME]; /* of the window that came last, */
    int64_t index;           /* its number, */
    int64_t chain_started;   /* and when the chain began with it; 0: found */
    FILE *trace;        /* NULL: none */
    bool trace_begun;
    int64_t zero_us;    /* of the trace */
} ch4_latency;

/* trace: NULL, or the file of a Chrome trace (docs/listening.md). CH4_EIO and kin name it. */
ch4_status ch4_latency_open(ch4_latency *out, const char *trace, ch4_err *err);
void       ch4_latency_close(ch4_latency *l);

/* A window has reached the sink at here_us (ch4_clock_us). clip: number of its clip. Times that contradict each other count as zero. What cannot be kept for
 * want of memory is missing in the summary. */
void ch4_latency_add(ch4_latency *l, const Ch4__Window *w, int64_t clip, int64_t here_us);

/* A clip failed: a mark in the trace. */
void ch4_latency_fail(ch4_latency *l, const char *clip, const char *stage, int64_t window, const char *text);

/* The smallest, the middle (lower of two) and the largest; false: none. Sorts. */
bool ch4_series_sum(ch4_series *s, double *min, double *median, double *max);

/* The table at the end of a run; nothing if no window was computed. */
void ch4_latency_report(ch4_latency *l, FILE *out);

#endif
