/* ch4_child: one stage process under supervision. A table of states and events decides; the poll loop in run.c feeds it.
 *
 * A child runs in a process group of its own, dies with the orchestrator, has a pipe for its ready line and one for what it prints. */
#ifndef CH4_CHILD_H
#define CH4_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"

#define CH4_CHILD_STATES(X)                                                                                            \
    X(DOWN)     /* not running; started when its turn or its time comes */                                             \
    X(STARTING) /* running, not ready */                                                                               \
    X(UP)                                                                                                              \
    X(ENDING)   /* told that the stream has ended: should end by itself */                                             \
    X(TERM)     /* told to stop by SIGTERM */                                                                          \
    X(KILLED)   /* SIGKILL is on its way; restarted after it */                                                        \
    X(GONE)     /* not running and not coming back */

#define CH4_CHILD_EVENTS(X)                                                                                            \
    X(START)      /* its turn */                                                                                       \
    X(READY)      /* the newline on the ready pipe */                                                                  \
    X(EXIT_DONE)  /* exit 0 */                                                                                         \
    X(EXIT_FINAL) /* exit 2 or 3: another try would end the same */                                                    \
    X(CRASH)      /* exit 1, any other code, or a signal */                                                            \
    X(DEADLINE)   /* what it was given time for has not come */                                                        \
    X(STALL)      /* alive, but without a sign of life or progress */                                                  \
    X(END)        /* the stream has ended */                                                                           \
    X(STOP)       /* the run is to stop */

typedef enum ch4_child_state {
#define X(name) CH4_CHILD_##name,
    CH4_CHILD_STATES(X)
#undef X
    CH4_CHILD_N_STATES
} ch4_child_state;

typedef enum ch4_child_event {
#define X(name) CH4_CHILD_ON_##name,
    CH4_CHILD_EVENTS(X)
#undef X
    CH4_CHILD_N_EVENTS
} ch4_child_event;

/* Times and limits, from the pipeline section. */
typedef struct ch4_child_limits {
    double ready_s, drain_s, grace_s; /* grace: between SIGTERM and SIGKILL while stopping, at least */
    int deaths;                       /* in a row, without progress, before the run fails */
} ch4_child_limits;

typedef struct ch4_child {
    const char *name;         /* stage */
    ch4_child_state state;
    pid_t pid;                /* 0: not running */
    int ready_fd, print_fd;   /* read ends; -1: closed */
    double deadline;          /* clock time; 0: none */
    int deaths;               /* in a row without progress */
    int wait_status;          /* of the last death */
    char last_words[256];     /* last line that it printed */
    bool failed;              /* ended for good before it should have: the run fails */
    int exit_code;            /* of the run, when failed */
    char reason[CH4_ERR_MSG]; /* when failed */
} ch4_child;

/* How a process is started: a table, so that another launcher can take its place. */
typedef struct ch4_launcher {
    /* Starts `program` with argv; fds of the parent's ends come back in the child. CH4_EIO, CH4_ENOENT. */
    ch4_status (*start)(ch4_child *child, const char *program, char *const argv[], ch4_err *err);
    void (*signal)(const ch4_child *child, int signum);
} ch4_launcher;

extern const ch4_launcher ch4_launcher_local;

enum { CH4_CHILD_ARGS = 24 };

typedef struct ch4_child_command {
    const char *program;
    char *argv[CH4_CHILD_ARGS]; /* the place after "--ready-fd" is filled in by the launcher */
} ch4_child_command;

const char *ch4_child_state_name(ch4_child_state state);
const char *ch4_child_event_name(ch4_child_event event);

/* Feeds one event: acts, changes the state, logs the change. */
void ch4_child_feed(ch4_child *child, ch4_child_event event, const ch4_launcher *launcher, const ch4_child_command *command,
                    const ch4_child_limits *limits, const ch4_log *log);

/* The event for what waitpid said; also closes the pipes and forgets the process id. */
ch4_child_event ch4_child_take_exit(ch4_child *child, int wait_status);

/* "exit 1" or "signal 11 (Segmentation fault)". */
void ch4_child_describe_exit(char *out, size_t size, int wait_status);

#endif
