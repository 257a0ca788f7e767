#include "tools/tap/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "stage/rundir.h"

static const double LOOK_S = 0.5, WELCOME_S = 10;
static const char *const STAGES[] = {"decode", "denoise", "chain", "animate", "pose"};

static bool is_stage(const char *name)
{
    for (size_t i = 0; i < sizeof STAGES / sizeof STAGES[0]; i++)
        if (!strcmp(STAGES[i], name)) return true;
    return false;
}

/* One attempt to find a run at work. */
static ch4_status find_run(ch4_listener *l, const char *run_dir, ch4_err *err)
{
    ch4_epoch epoch;
    bool held = false;
    char *real = realpath(run_dir, NULL);
    if (!real) return ch4_err_set(err, CH4_ENOENT, "%s: %s: give the folder that chain4d run writes to", run_dir, strerror(errno));
    snprintf(l->run_dir, sizeof l->run_dir, "%s", real);
    free(real);
    ch4_status status = ch4_epoch_read(&epoch, l->run_dir, err);
    if (status == CH4_ENOENT) return ch4_err_set(err, status, "%s: no run here: give the folder that chain4d run writes to", run_dir);
    if (!status) status = ch4_rundir_held(&held, l->run_dir, err);
    if (status) return status;
    if (!held)
        return ch4_err_set(err, CH4_ECANCELED, "%s: nothing runs there any more: see `chain4d status %s`; the files of its windows are in %s/CLIP", run_dir,
                           run_dir, run_dir);
    snprintf(l->me.name, sizeof l->me.name, "tap.%ld", (long)getpid());
    l->me.epoch = epoch.number;
    l->me.incarnation = ch4_bus_incarnation();
    strcpy(l->me.run_id, epoch.run_id);
    return ch4_bus_create(&l->bus, l->run_dir, &l->me, err);
}

ch4_status ch4_listener_open(ch4_listener *l, const char *run_dir, const char *stage, double wait_s, ch4_err *err)
{
    *l = (ch4_listener){0};
    if (!is_stage(stage)) return ch4_err_set(err, CH4_EINVAL, "%s: no such stage: decode, denoise, chain, animate or pose", stage);
    snprintf(l->stage, sizeof l->stage, "%s", stage);
    ch4_status status;
    for (const double end = ch4_clock_seconds() + wait_s; (status = find_run(l, run_dir, err)) && ch4_clock_seconds() < end;) usleep(20000);
    if (!status) status = ch4_tap_in_open(&l->tap, l->bus, stage, err);
    const double end = ch4_clock_seconds() + (wait_s > WELCOME_S ? wait_s : WELCOME_S);
    while (!status && !ch4_tap_in_welcome(l->tap)) {
        bool held;
        ch4_sock *sock = ch4_tap_in_sock(l->tap);
        status = ch4_tap_in_tick(l->tap, ch4_clock_seconds(), err);
        if (!status) status = ch4_bus_poll(&sock, 1, NULL, 0, NULL, 0.02, err);
        if (!status) status = ch4_rundir_held(&held, l->run_dir, err);
        if (status) break;
        if (!held) return ch4_err_set(err, CH4_ECANCELED, "%s: the run has ended", run_dir);
        if (ch4_clock_seconds() > end) return ch4_err_set(err, CH4_ETIMEDOUT, "%s: the stage %s does not answer: is it at work? see `chain4d status %s`", run_dir, stage, run_dir);
        ch4_msg *msg;
        if (!ch4_tap_in_try_recv(l->tap, &msg, NULL)) ch4_msg_destroy(&msg); /* one that was on the heels of the welcome: counted as not yet attached */
    }
    return status;
}

void ch4_listener_close(ch4_listener *l)
{
    ch4_tap_in_close(&l->tap);
    ch4_bus_destroy(&l->bus);
}

ch4_status ch4_listener_next(ch4_listener *l, double seconds, ch4_msg **out, ch4_err *err)
{
    const double end = ch4_clock_seconds() + seconds;
    for (;;) {
        double now = ch4_clock_seconds();
        ch4_status status = ch4_tap_in_tick(l->tap, now, err);
        if (status) return status;
        status = ch4_tap_in_try_recv(l->tap, out, err);
        if (status == CH4_EPROTO) {
            fprintf(stderr, "refused: %s\n", err->msg);
            continue;
        }
        if (status != CH4_EAGAIN) return status;
        if (l->over) return ch4_err_set(err, CH4_ECANCELED, "the run has ended");
        if (now >= l->next_look) {
            bool held;
            l->next_look = now + LOOK_S;
            status = ch4_rundir_held(&held, l->run_dir, err);
            if (status) return status;
            l->over = !held; /* and once more what came meanwhile */
            continue;
        }
        if (now >= end) return ch4_err_set(err, CH4_ETIMEDOUT, "nothing came");
        ch4_sock *sock = ch4_tap_in_sock(l->tap);
        const double wait = end - now < 0.1 ? end - now : 0.1;
        status = ch4_bus_poll(&sock, 1, NULL, 0, NULL, wait, err);
        if (status) return status;
    }
}

const Ch4__Part *ch4_listener_part(const Ch4__Window *window)
{
    return window->n_parts ? window->parts[window->n_parts - 1] : NULL;
}
