#include "tiny_matting.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/weights.h"
#include "tests/support/tiny_model.h"

enum { MAX_TENSORS = 800, NAME_LEN = 64 };

typedef struct list {
    ch4_named_tensor t[MAX_TENSORS];
    char name[MAX_TENSORS][NAME_LEN];
    int64_t n;
    const char *skip;
} list;

/* Values scale * r + offset of a tensor's name (tiny_value). */
static void add(list *l, int rank, const int64_t *shape, double scale, double offset, const char *prefix, const char *suffix)
{
    char *name = l->name[l->n];
    snprintf(name, NAME_LEN, "%s%s", prefix, suffix);
    if (l->skip && strcmp(name, l->skip) == 0)
        return;
    ch4_tensor t = ch4_tensor_view(NULL, CH4_DTYPE_F32, rank, shape);
    int64_t n = ch4_tensor_count(&t);
    float *v = malloc((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = (float)(offset + scale * tiny_value(name, i));
    t.data = v;
    l->t[l->n++] = (ch4_named_tensor){name, t};
}

static void add_conv(list *l, int64_t out, int64_t in, const char *prefix)
{
    add(l, CH4_SHAPE(out, in, 3, 3), sqrt(3.0 / (double)(9 * in)), 0, prefix, ".weight");
    add(l, CH4_SHAPE(out), 0.1, 0, prefix, ".bias");
}

static void add_unit(list *l, int64_t out, int64_t in, const char *stage, const char *unit)
{
    char name[NAME_LEN - 24];
    snprintf(name, sizeof name, "%s.rebnconv%s.conv_s1", stage, unit);
    add_conv(l, out, in, name);
    snprintf(name, sizeof name, "%s.rebnconv%s.bn_s1", stage, unit);
    add(l, CH4_SHAPE(out), 0.1, 1, name, ".weight");
    add(l, CH4_SHAPE(out), 0.1, 0, name, ".bias");
    add(l, CH4_SHAPE(out), 0.1, 0, name, ".running_mean");
    add(l, CH4_SHAPE(out), 0.1, 1, name, ".running_var");
    snprintf(l->name[l->n], NAME_LEN, "%s.num_batches_tracked", name);
    l->t[l->n] = (ch4_named_tensor){l->name[l->n], ch4_tensor_view(calloc(1, sizeof(int64_t)), CH4_DTYPE_I64, 0, NULL)};
    l->n++;
}

static void add_stage(list *l, const char *name, int levels, int64_t in, int64_t mid, int64_t out)
{
    char unit[16];
    add_unit(l, out, in, name, "in");
    for (int k = 1; k <= levels; k++) {
        snprintf(unit, sizeof unit, "%d", k);
        add_unit(l, mid, k == 1 ? out : mid, name, unit);
    }
    for (int k = 1; k < levels; k++) {
        snprintf(unit, sizeof unit, "%dd", k);
        add_unit(l, k == 1 ? out : mid, 2 * mid, name, unit);
    }
}

ch4_status tiny_matting_save(const char *path, const char *skip, const char *more, ch4_err *err)
{
    static const int64_t side[6] = {64, 64, 128, 256, 512, 512};
    list *l = calloc(1, sizeof *l);
    l->skip = skip;
    add_conv(l, 64, 3, "conv_in");
    add_stage(l, "stage1", 7, 64, 32, 64);
    add_stage(l, "stage2", 6, 64, 32, 128);
    add_stage(l, "stage3", 5, 128, 64, 256);
    add_stage(l, "stage4", 4, 256, 128, 512);
    add_stage(l, "stage5", 4, 512, 256, 512);
    add_stage(l, "stage6", 4, 512, 256, 512);
    add_stage(l, "stage5d", 4, 1024, 256, 512);
    add_stage(l, "stage4d", 4, 1024, 128, 256);
    add_stage(l, "stage3d", 5, 512, 64, 128);
    add_stage(l, "stage2d", 6, 256, 32, 64);
    add_stage(l, "stage1d", 7, 128, 16, 64);
    for (int k = 0; k < 6; k++) {
        char name[NAME_LEN];
        snprintf(name, sizeof name, "side%d", k + 1);
        add_conv(l, 1, side[k], name);
    }
    l->skip = NULL;
    if (more)
        add(l, CH4_SHAPE(2, 2), 1, 0, more, "");
    ch4_status st = ch4_safetensors_save(path, l->t, l->n, err);
    for (int64_t i = 0; i < l->n; i++)
        free(l->t[i].tensor.data);
    free(l);
    return st;
}

ch4_status tiny_matting_make(const char *dir, ch4_err *err)
{
    char path[4096];
    if (mkdir(dir, 0755))
        return ch4_err_set_errno(err, errno, "%s", dir);
    snprintf(path, sizeof path, "%s/config.json", dir);
    FILE *f = fopen(path, "we");
    if (!f)
        return ch4_err_set_errno(err, errno, "%s", path);
    fputs("{}\n", f);
    fclose(f);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    return tiny_matting_save(path, NULL, NULL, err);
}
