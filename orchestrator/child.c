#include "orchestrator/child.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const double BACKOFF_FIRST = 0.05, BACKOFF_LAST = 3.0;

const char *ch4_child_state_name(ch4_child_state state)
{
    static const char *const names[] = {
#define X(name) #name,
        CH4_CHILD_STATES(X)
#undef X
    };
    return names[state];
}

const char *ch4_child_event_name(ch4_child_event event)
{
    static const char *const names[] = {
#define X(name) #name,
        CH4_CHILD_EVENTS(X)
#undef X
    };
    return names[event];
}

void ch4_child_describe_exit(char *out, size_t size, int wait_status)
{
    if (WIFSIGNALED(wait_status)) snprintf(out, size, "signal %d (%s)", WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
    else snprintf(out, size, "exit %d", WEXITSTATUS(wait_status));
}

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

ch4_child_event ch4_child_take_exit(ch4_child *c, int wait_status)
{
    c->pid = 0;
    c->wait_status = wait_status;
    close_fd(&c->ready_fd);
    close_fd(&c->print_fd);
    if (!WIFEXITED(wait_status)) return CH4_CHILD_ON_CRASH;
    switch (WEXITSTATUS(wait_status)) {
    case 0: return CH4_CHILD_ON_EXIT_DONE;
    case 2: case 3: return CH4_CHILD_ON_EXIT_FINAL;
    default: return CH4_CHILD_ON_CRASH;
    }
}

/* --- actions ----------------------------------------------------------------------------------------------------------- */

typedef struct scene {
    ch4_child *child;
    const ch4_launcher *launcher;
    const ch4_child_command *command;
    const ch4_child_limits *limits;
    const ch4_log *log;
} scene;

static void set_deadline(ch4_child *c, double seconds)
{
    c->deadline = ch4_clock_seconds() + seconds;
}

static ch4_child_state fail(ch4_child *c, int exit_code)
{
    c->failed = true;
    c->exit_code = exit_code;
    c->deadline = 0;
    return CH4_CHILD_GONE;
}

static ch4_child_state act_start(const scene *s)
{
    ch4_child *c = s->child;
    ch4_err err;
    c->last_words[0] = 0;
    ch4_status status = s->launcher->start(c, s->command->program, s->command->argv, &err);
    if (status) {
        snprintf(c->reason, sizeof c->reason, "%s", err.msg);
        return fail(c, ch4_status_exit_code(status) == 3 ? 1 : ch4_status_exit_code(status));
    }
    set_deadline(c, s->limits->ready_s);
    return CH4_CHILD_STARTING;
}

static ch4_child_state act_up(const scene *s)
{
    s->child->deadline = 0;
    return CH4_CHILD_UP;
}

static ch4_child_state act_gone(const scene *s)
{
    s->child->deadline = 0;
    return CH4_CHILD_GONE;
}

/* Died though there is work: comes back after a while, unless it keeps dying. */
static ch4_child_state act_restart(const scene *s)
{
    ch4_child *c = s->child;
    char how[80];
    ch4_child_describe_exit(how, sizeof how, c->wait_status);
    if (++c->deaths >= s->limits->deaths) {
        snprintf(c->reason, sizeof c->reason, "stage %s died %d times in a row, last with %s%s%s", c->name, c->deaths, how,
                 *c->last_words ? ": " : "", c->last_words);
        return fail(c, 1);
    }
    double wait = BACKOFF_FIRST * (1 << (c->deaths < 10 ? c->deaths - 1 : 9));
    set_deadline(c, wait < BACKOFF_LAST ? wait : BACKOFF_LAST);
    const ch4_kv kv[] = {CH4_STR("stage", c->name), CH4_STR("how", how), CH4_INT("deaths", c->deaths), {.type = CH4_KV_END}};
    ch4_log_write(s->log, CH4_LOG_WARN, "stage died, will be started again", kv);
    return CH4_CHILD_DOWN;
}

static ch4_child_state act_final(const scene *s)
{
    ch4_child *c = s->child;
    char how[80];
    ch4_child_describe_exit(how, sizeof how, c->wait_status);
    char who[48];
    snprintf(who, sizeof who, "chain4d-%s: ", c->name); /* what every stage puts in front of its last line */
    const char *words = c->last_words + (strncmp(c->last_words, who, strlen(who)) ? 0 : strlen(who));
    if (*words) snprintf(c->reason, sizeof c->reason, "%s%s", words, WEXITSTATUS(c->wait_status) == 3 ? ": repair it or give another" : "");
    else snprintf(c->reason, sizeof c->reason, "stage %s cannot run: %s", c->name, how);
    return fail(c, WEXITSTATUS(c->wait_status));
}

static ch4_child_state act_end(const scene *s)
{
    set_deadline(s->child, s->limits->drain_s);
    return CH4_CHILD_ENDING;
}

static ch4_child_state act_term(const scene *s)
{
    s->launcher->signal(s->child, SIGTERM);
    set_deadline(s->child, s->limits->grace_s);
    return CH4_CHILD_TERM;
}

static ch4_child_state act_kill(const scene *s)
{
    s->launcher->signal(s->child, SIGKILL);
    s->child->deadline = 0;
    return CH4_CHILD_KILLED;
}

/* While stopping: it will not come back after this. */
static ch4_child_state act_kill_stopping(const scene *s)
{
    s->launcher->signal(s->child, SIGKILL);
    s->child->deadline = 0;
    return CH4_CHILD_TERM;
}

typedef ch4_child_state (*action_fn)(const scene *);

static const action_fn actions[CH4_CHILD_N_STATES][CH4_CHILD_N_EVENTS] = {
    [CH4_CHILD_DOWN] = {
        [CH4_CHILD_ON_START] = act_start, [CH4_CHILD_ON_DEADLINE] = act_start,
        [CH4_CHILD_ON_END] = act_gone, [CH4_CHILD_ON_STOP] = act_gone,
    },
    [CH4_CHILD_STARTING] = {
        [CH4_CHILD_ON_READY] = act_up,
        [CH4_CHILD_ON_EXIT_DONE] = act_restart, [CH4_CHILD_ON_EXIT_FINAL] = act_final, [CH4_CHILD_ON_CRASH] = act_restart,
        [CH4_CHILD_ON_DEADLINE] = act_kill, [CH4_CHILD_ON_END] = act_term, [CH4_CHILD_ON_STOP] = act_term,
    },
    [CH4_CHILD_UP] = {
        [CH4_CHILD_ON_EXIT_DONE] = act_restart, [CH4_CHILD_ON_EXIT_FINAL] = act_final, [CH4_CHILD_ON_CRASH] = act_restart,
        [CH4_CHILD_ON_STALL] = act_kill, [CH4_CHILD_ON_END] = act_end, [CH4_CHILD_ON_STOP] = act_term,
    },
    [CH4_CHILD_ENDING] = {
        [CH4_CHILD_ON_EXIT_DONE] = act_gone, [CH4_CHILD_ON_EXIT_FINAL] = act_gone, [CH4_CHILD_ON_CRASH] = act_gone,
        [CH4_CHILD_ON_DEADLINE] = act_term, [CH4_CHILD_ON_STOP] = act_term,
    },
    [CH4_CHILD_TERM] = {
        [CH4_CHILD_ON_EXIT_DONE] = act_gone, [CH4_CHILD_ON_EXIT_FINAL] = act_gone, [CH4_CHILD_ON_CRASH] = act_gone,
        [CH4_CHILD_ON_DEADLINE] = act_kill_stopping,
    },
    [CH4_CHILD_KILLED] = {
        [CH4_CHILD_ON_EXIT_DONE] = act_restart, [CH4_CHILD_ON_EXIT_FINAL] = act_restart, [CH4_CHILD_ON_CRASH] = act_restart,
        [CH4_CHILD_ON_END] = act_kill_stopping, [CH4_CHILD_ON_STOP] = act_kill_stopping,
    },
};

void ch4_child_feed(ch4_child *child, ch4_child_event event, const ch4_launcher *launcher, const ch4_child_command *command,
                    const ch4_child_limits *limits, const ch4_log *log)
{
    action_fn action = actions[child->state][event];
    if (!action) return; /* an empty place of the table: nothing to do */
    const scene s = {.child = child, .launcher = launcher, .command = command, .limits = limits, .log = log};
    ch4_child_state before = child->state;
    child->state = action(&s);
    const ch4_kv kv[] = {CH4_STR("stage", child->name), CH4_STR("on", ch4_child_event_name(event)), CH4_STR("from", ch4_child_state_name(before)),
                         CH4_STR("to", ch4_child_state_name(child->state)), CH4_INT("pid", child->pid), {.type = CH4_KV_END}};
    ch4_log_write(log, CH4_LOG_DEBUG, "stage process", kv);
}
