/* What a calibration found, as text, CSV and JSON, and as values of model.yaml. */
#ifndef CH4_CAL_REPORT_H
#define CH4_CAL_REPORT_H

#include "tools/calibrate/cal_search.h"

/* For people: baselines, the first `rows` readings (the best come first), what model.yaml says now and the best that was found. */
void ch4_cal_print(FILE *out, const ch4_cal_result *r, int64_t rows);

/* A row per head (or layer), step and direction, with the error of each clip. */
ch4_status ch4_cal_save_csv(const char *path, const ch4_cal_result *r, ch4_err *err);

/* The same, baselines, what model.yaml says now and what was chosen. */
ch4_status ch4_cal_save_json(const char *path, const ch4_cal_result *r, ch4_err *err);

/* model.yaml with the chosen heads and reading in the place of what it says: text is replaced. The result is read back and must say what was meant. Errors of
 * ch4_yaml_set. */
ch4_status ch4_cal_edit_model(char **text, const ch4_cal_choice *choice, int steps, ch4_err *err);

#endif
