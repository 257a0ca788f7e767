/* A stage without any maths, for tests of the frame and the orchestrator. It does as $CH4_FAKE says: a list "stage:what[:window]", separated by
 * commas. What a stage does once only, it remembers in a marker file of the run directory.
 *   crash   abort() at that window, once          poison  abort() at that window, always
 *   hang    no progress at that window, once      fail    CH4_EIO at that window, once
 *   bad     CH4_EFORMAT at that window            slow    50 ms for every window
 *   note    says so at that window
 *   config  open() fails with CH4_ECONFIG         late    open() never returns
 *   liar    says ready, then only sleeps          deaf    the same, and ignores SIGTERM
 *   early   exit 0 before ready
 * The source reads the number of windows from its input (a text file); "bad" there makes a bad input. The stage `chain` waits for the file that
 * `animate` made of the window before, as the real one does. */
#ifndef CH4_FAKE_STAGE_H
#define CH4_FAKE_STAGE_H

int fake_stage_main(const char *name, int argc, char **argv);

#endif
