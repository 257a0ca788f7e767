/* The command line of `chain4d-synth minibench`. */
#ifndef CH4_SYNTH_MINIBENCH_COMMAND_H
#define CH4_SYNTH_MINIBENCH_COMMAND_H

#include "base/err.h"

extern const char CH4_MINIBENCH_HELP[]; /* usage and options, for --help */

/* argv[0] is "minibench". Parses, makes the clips. CH4_EINVAL for what is wrong in the arguments; else as ch4_minibench_save. */
ch4_status ch4_minibench_command(int argc, char **argv, ch4_err *err);

#endif
