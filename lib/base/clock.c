#include "base/clock.h"

#include <stdio.h>
#include <time.h>

double ch4_clock_seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

int64_t ch4_clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 + 1;
}

void ch4_clock_iso(char out[CH4_CLOCK_ISO])
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(out, CH4_CLOCK_ISO, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, CH4_CLOCK_ISO - n, ".%03ldZ", ts.tv_nsec / 1000000);
}
