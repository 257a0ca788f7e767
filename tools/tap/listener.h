/* A run heard from outside: finds its folder, attaches to the tap of a stage, tells when the run is over. */
#ifndef CH4_LISTENER_H
#define CH4_LISTENER_H

#include "bus/tap.h"

typedef struct ch4_listener {
    char run_dir[4096];  /* absolute */
    char stage[32];
    ch4_identity me;
    ch4_bus *bus;
    ch4_tap_in *tap;
    double next_look;
    bool over;           /* nobody runs the folder any more */
} ch4_listener;

/* Attaches; waits up to wait_s for the run to start, and then a few seconds for the stage's welcome. CH4_EINVAL: no such stage. CH4_ENOENT: no run in
 * that folder. CH4_ECANCELED: its run is over, or has died. CH4_ETIMEDOUT: the stage does not answer. Close also after an error. */
ch4_status ch4_listener_open(ch4_listener *out, const char *run_dir, const char *stage, double wait_s, ch4_err *err);
void       ch4_listener_close(ch4_listener *l);

/* Next message, a Tap (bus/tap.h). CH4_ETIMEDOUT: none came within `seconds`, or a signal did. CH4_ECANCELED: the run is over and all is heard. What is
 * refused (another run's, damaged) is told on stderr and skipped. */
ch4_status ch4_listener_next(ch4_listener *l, double seconds, ch4_msg **out, ch4_err *err);

/* The file of the stage that spoke last in a window: of what was received the one before, of what was sent its own. NULL: a window without parts. */
const Ch4__Part *ch4_listener_part(const Ch4__Window *window);

#endif
