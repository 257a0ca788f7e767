#include "model/schedule.h"

#include <math.h>

static double shifted(double sigma, double shift)
{
    return shift * sigma / (1.0 + (shift - 1.0) * sigma);
}

void ch4_schedule_temporal(float *times, float *distances, int n, double shift, int train_steps)
{
    double least = shifted(1.0 / train_steps, shift);
    for (int k = 0; k <= n; k++)
        times[k] = (float)(train_steps * shifted(1.0 - (double)k / n * (1.0 - least), shift));
    for (int k = 0; k < n; k++)
        distances[k] = (times[k] - times[k + 1]) / (float)train_steps;
}

void ch4_schedule_image(float *times, float *sigmas, int n, double shift, int train_steps)
{
    for (int k = 0; k < n; k++) {
        double sigma = shifted(1.0 - (double)k / n, shift);
        sigmas[k] = (float)sigma;
        times[k] = (float)(train_steps * sigma);
    }
    sigmas[n] = 0.0f;
}

void ch4_schedule_image_dynamic(float *times, float *sigmas, int n, double mu, int train_steps)
{
    for (int k = 0; k < n; k++) {
        double sigma = exp(mu) / (exp(mu) + 1.0 / (1.0 - (double)k / n) - 1.0);
        sigmas[k] = (float)sigma;
        times[k] = (float)(train_steps * sigma);
    }
    sigmas[n] = 0.0f;
}
