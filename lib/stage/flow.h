/* ch4_flow: what one stage process knows of the clips and windows that have come to it. A table without sockets, files or threads. */
#ifndef CH4_STAGE_FLOW_H
#define CH4_STAGE_FLOW_H

#include <stdbool.h>

#include "bus/msg.h"

typedef enum ch4_window_state { CH4_WINDOW_QUEUED, CH4_WINDOW_RUNNING, CH4_WINDOW_DONE } ch4_window_state;

typedef struct ch4_flow_window {
    struct ch4_flow_window *next; /* of the clip, by index */
    int64_t index;
    ch4_window_state state;
    ch4_msg *msg;                 /* as it came; NULL once done */
    int attempts;                 /* that failed */
    int64_t arrived_us, offered_us, started_us; /* see Times in proto/window.proto; 0: not yet */
    double not_before, wait;      /* clock time before which it is not offered again, and how long the last wait was */
} ch4_flow_window;

typedef enum ch4_clip_state {
    CH4_CLIP_OPEN,   /* windows come, or a job is to be done */
    CH4_CLIP_FAILED, /* here: told to the orchestrator until it says forget */
    CH4_CLIP_ENDED,  /* forgotten: late messages about it are dropped */
} ch4_clip_state;

typedef struct ch4_flow_clip {
    struct ch4_flow_clip *next;   /* in order of arrival */
    char name[CH4_MSG_NAME];
    char *input;
    ch4_clip_state state;
    ch4_flow_window *windows;
    uint8_t *done;                /* n_windows flags: committed in this life of the process */
    int64_t n_windows;            /* 0 before the first window */
    bool has_end;                 /* the message that ends the clip is here and not yet passed on */
    bool end_sent;
    bool is_job, job_running;     /* of a source: the clip itself is the work */
    bool told_stage;              /* end_clip has been called or is under way */
    int attempts;                 /* of a job */
    double not_before;
    int64_t failed_index;         /* the next three: while FAILED */
    ch4_status failed_status;
    char failed_text[CH4_ERR_MSG];
} ch4_flow_clip;

typedef struct ch4_flow {
    ch4_flow_clip *clips;
    int64_t waiting;              /* windows queued */
} ch4_flow;

typedef enum ch4_flow_answer {
    CH4_FLOW_TAKEN, /* queued (or known and not done yet): acknowledge when it is done */
    CH4_FLOW_ACK,   /* done or not wanted: acknowledge now */
} ch4_flow_answer;

/* Takes a window, clip end or job, and *msg. CH4_EPROTO: it contradicts what is known (n_windows); CH4_ENOMEM. */
ch4_status ch4_flow_add(ch4_flow *flow, ch4_msg **msg, ch4_flow_answer *answer, ch4_err *err);
void       ch4_flow_free(ch4_flow *flow);

ch4_flow_clip   *ch4_flow_find(ch4_flow *flow, const char *clip);
ch4_flow_window *ch4_flow_find_window(ch4_flow_clip *clip, int64_t index);

/* The window that is to be worked on next: of the oldest clip that has one, the lowest index whose time has come. */
ch4_flow_window *ch4_flow_next(ch4_flow *flow, double now, ch4_flow_clip **clip);
ch4_flow_clip   *ch4_flow_next_job(ch4_flow *flow, double now);

/* Seconds until a waiting window or job is to be offered again; -1 if none waits. */
double ch4_flow_wait(const ch4_flow *flow, double now);

void ch4_flow_start(ch4_flow *flow, ch4_flow_window *window); /* QUEUED -> RUNNING */
void ch4_flow_offer_later(ch4_flow *flow, ch4_flow_window *window, double now, bool failed); /* RUNNING -> QUEUED */
void ch4_flow_set_done(ch4_flow_clip *clip, ch4_flow_window *window);
void ch4_flow_retire(ch4_flow *flow, const char *clip, int64_t index);
void ch4_flow_fail(ch4_flow *flow, ch4_flow_clip *clip, int64_t index, ch4_status status, const char *text); /* drops its windows */
void ch4_flow_end(ch4_flow *flow, const char *clip); /* forget; remembers a name it has never seen */

bool ch4_flow_clip_busy(const ch4_flow_clip *clip); /* a window is queued or running */
bool ch4_flow_empty(const ch4_flow *flow);          /* every clip has ended */

#endif
