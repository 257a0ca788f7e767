/* Flow schedules of the two pipelines. Both networks predict v = data - noise, and a step adds: x += distance * v. */
#ifndef CH4_MODEL_SCHEDULE_H
#define CH4_MODEL_SCHEDULE_H

/* Temporal denoiser (ActionMesh): times[n+1] fall from 1000 and end above 0 (8.93 for shift 3), because the shift is applied twice;
 * distances[n] = (times[k] - times[k+1]) / 1000. The network is fed times[0..n-1]. n >= 1. */
void ch4_schedule_temporal(float *times, float *distances, int n, double shift, int train_steps);

/* Image-to-3D (TripoSG): sigmas[n+1] from 1 to 0, times[n] = train_steps * sigma; the distance of step i is sigmas[i] - sigmas[i+1]. */
void ch4_schedule_image(float *times, float *sigmas, int n, double shift, int train_steps);

/* The same with the dynamic shift by mu: sigma -> e^mu / (e^mu + 1/sigma - 1). */
void ch4_schedule_image_dynamic(float *times, float *sigmas, int n, double mu, int train_steps);

#endif
