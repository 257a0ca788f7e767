/* Monotonic time for deadlines and rates, wall time for logs. */
#ifndef CH4_BASE_CLOCK_H
#define CH4_BASE_CLOCK_H

#include <stddef.h>

double ch4_clock_seconds(void); /* monotonic, arbitrary origin */

enum { CH4_CLOCK_ISO = 32 };
void ch4_clock_iso(char out[CH4_CLOCK_ISO]); /* "2026-05-01T12:00:00.123Z" */

#endif
