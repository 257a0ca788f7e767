/* Monotonic time for deadlines and rates, wall time for logs. */
#ifndef CH4_BASE_CLOCK_H
#define CH4_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

double  ch4_clock_seconds(void); /* monotonic, arbitrary origin */
int64_t ch4_clock_us(void);      /* the same clock in microseconds: one origin for all processes of the machine; above 0 */

enum { CH4_CLOCK_ISO = 32 };
void ch4_clock_iso(char out[CH4_CLOCK_ISO]); /* "2026-05-01T12:00:00.123Z" */

#endif
