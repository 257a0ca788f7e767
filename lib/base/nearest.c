#include "base/nearest.h"

#include <string.h>

int ch4_nearest_distance(const char *a, size_t la, const char *b, size_t lb)
{
    int row[CH4_NEAREST_LENGTH + 1];
    for (size_t j = 0; j <= lb; j++) row[j] = (int)j;
    for (size_t i = 1; i <= la; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= lb; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[lb];
}

ch4_status ch4_nearest_option(const char *given, const struct option *table, const char *help, ch4_err *err)
{
    const char *word = given, *found = NULL;
    while (*word == '-') word++;
    size_t n = strcspn(word, "=");
    int best = (int)n / 3 + 2;
    for (; n > 1 && n <= CH4_NEAREST_LENGTH && table->name; table++) {
        size_t len = strlen(table->name);
        int d = len <= CH4_NEAREST_LENGTH ? ch4_nearest_distance(word, n, table->name, len) : best;
        if (d < best) best = d, found = table->name;
    }
    return found ? ch4_err_set(err, CH4_EINVAL, "unknown option %s, nearest is --%s; see %s", given, found, help)
                 : ch4_err_set(err, CH4_EINVAL, "unknown option %s; see %s", given, help);
}
