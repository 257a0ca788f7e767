#include "store/attention.h"

#include <math.h>
#include <string.h>

#include "base/base.h"

enum { ROW_BLOCK = 64, MAX_TOKENS = 65536 };

/* k-th largest of v[0..n), k from 1; reorders v. */
static float kth_largest(float *v, int64_t n, int64_t k)
{
    int64_t lo = 0, hi = n - 1, target = k - 1;
    while (lo < hi) {
        float pivot = v[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (v[i] > pivot)
                i++;
            while (v[j] < pivot)
                j--;
            if (i <= j) {
                float t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        if (target <= j)
            hi = j;
        else if (target >= i)
            lo = i;
        else
            break;
    }
    return v[target];
}

typedef struct reduce_job {
    uint16_t *index, *value;
    float *mass, *scratch; /* scratch [workers, N] */
    const float *rows;
    int64_t n_rows, n, k;
} reduce_job;

/* Scale that turns a row into shares, and its sum. */
static double row_scale(const float *row, int64_t n, float *mass)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        sum += row[j];
    *mass = (float)sum;
    return sum > 0 ? 1 / sum : 0;
}

static void reduce_row(const reduce_job *job, int64_t r, float *scratch)
{
    const float *row = job->rows + r * job->n;
    uint16_t *index = job->index + r * job->k, *value = job->value + r * job->k;
    double scale = row_scale(row, job->n, &job->mass[r]);
    memcpy(scratch, row, (size_t)job->n * sizeof *row);
    float threshold = kth_largest(scratch, job->n, job->k);
    int64_t above = 0, kept = 0;
    for (int64_t j = 0; j < job->n; j++)
        above += row[j] > threshold;
    int64_t ties = job->k - above; /* that fit, lower indices first */
    for (int64_t j = 0; j < job->n && kept < job->k; j++) {
        bool tie = row[j] == threshold && ties > 0;
        if (row[j] > threshold || tie) {
            ties -= tie;
            index[kept] = (uint16_t)j;
            value[kept++] = ch4_f32_to_f16((float)(row[j] * scale));
        }
    }
}

static void reduce_block(void *ctx, int64_t block, int worker)
{
    const reduce_job *job = ctx;
    int64_t end = ch4_min_i64((block + 1) * ROW_BLOCK, job->n_rows);
    for (int64_t r = block * ROW_BLOCK; r < end; r++)
        reduce_row(job, r, job->scratch + (int64_t)worker * job->n);
}

static ch4_status check_rows(const float *rows, int64_t n_rows, int64_t n, ch4_err *err)
{
    if (n_rows < 0 || n < 1 || n > MAX_TOKENS)
        return ch4_err_set(err, CH4_EINVAL, "attention of %lld rows of %lld tokens", (long long)n_rows, (long long)n);
    for (int64_t i = 0; i < n_rows * n; i++)
        if (!(rows[i] >= 0 && rows[i] < INFINITY))
            return ch4_err_set(err, CH4_EINVAL, "attention row %lld has the entry %g", (long long)(i / n), (double)rows[i]);
    return CH4_OK;
}

ch4_status ch4_attention_reduce(uint16_t *index, uint16_t *value, float *mass, const float *rows, int64_t n_rows, int64_t n,
                                int64_t k, ch4_pool *pool, ch4_err *err)
{
    ch4_buf scratch = {0};
    ch4_status status = check_rows(rows, n_rows, n, err);
    if (status)
        return status;
    if (k < 1 || k > n)
        return ch4_err_set(err, CH4_EINVAL, "attention: %lld of %lld entries kept", (long long)k, (long long)n);
    status = ch4_buf_alloc(&scratch, (size_t)ch4_pool_threads(pool) * (size_t)n * sizeof(float), err);
    if (status)
        return status;
    reduce_job job = {index, value, mass, scratch.data, rows, n_rows, n, k};
    ch4_pool_run(pool, (n_rows + ROW_BLOCK - 1) / ROW_BLOCK, reduce_block, &job);
    ch4_buf_free(&scratch);
    return CH4_OK;
}

ch4_status ch4_attention_halve(uint16_t *dense, float *mass, const float *rows, int64_t n_rows, int64_t n, ch4_err *err)
{
    ch4_status status = check_rows(rows, n_rows, n, err);
    for (int64_t r = 0; status == CH4_OK && r < n_rows; r++) {
        double scale = row_scale(rows + r * n, n, &mass[r]);
        for (int64_t j = 0; j < n; j++)
            dense[r * n + j] = ch4_f32_to_f16((float)(rows[r * n + j] * scale));
    }
    return status;
}

/* --- the window file ------------------------------------------------------------------------------------------------------- */

ch4_status ch4_attention_write(ch4_store_writer *writer, const ch4_attention *a, ch4_err *err)
{
    int64_t t = a->n_frames, n = a->n_tokens, k = a->k;
    ch4_status status;
    if (t < 1 || n < 1 || n > MAX_TOKENS || k < 0 || k > n || a->anchor_slot < 0 || a->anchor_slot >= t || !a->value || !a->mass ||
        (k > 0 && !a->index))
        return ch4_err_set(err, CH4_EINVAL, "attention: inconsistent sizes");
    ch4_tensor mass = CH4_VIEW((void *)a->mass, CH4_DTYPE_F32, t, n);
    if (k > 0) {
        ch4_tensor index = CH4_VIEW((void *)a->index, CH4_DTYPE_U16, t, n, k), value = CH4_VIEW((void *)a->value, CH4_DTYPE_F16, t, n, k);
        status = ch4_store_write(writer, "/attention/index", &index, CH4_STORE_PACK, err);
        if (status == CH4_OK)
            status = ch4_store_write(writer, "/attention/value", &value, CH4_STORE_PACK, err);
    } else {
        ch4_tensor dense = CH4_VIEW((void *)a->value, CH4_DTYPE_F16, t, n, n);
        status = ch4_store_write(writer, "/attention/dense", &dense, CH4_STORE_PACK, err);
    }
    if (status == CH4_OK)
        status = ch4_store_write(writer, "/attention/mass", &mass, CH4_STORE_PLAIN, err);
    if (status == CH4_OK)
        status = ch4_store_set_text(writer, "direction", a->frame_to_anchor ? "frame_to_anchor" : "anchor_to_frame", err);
    if (status == CH4_OK)
        status = ch4_store_set_int(writer, "anchor_slot", a->anchor_slot, err);
    return status;
}

void ch4_attention_fini(ch4_attention *a)
{
    for (int i = 0; i < 3; i++)
        ch4_buf_free(&a->owned[i]);
    *a = (ch4_attention){0};
}

static ch4_status read_header(ch4_attention *a, const ch4_store_reader *r, ch4_err *err)
{
    char direction[32] = "";
    ch4_status status = ch4_store_get_text(r, "direction", direction, sizeof direction, err);
    if (status == CH4_OK)
        status = ch4_store_get_int(r, "anchor_slot", &a->anchor_slot, err);
    if (status)
        return status;
    a->frame_to_anchor = strcmp(direction, "frame_to_anchor") == 0;
    if (!a->frame_to_anchor && strcmp(direction, "anchor_to_frame") != 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: attention direction '%s' is unknown", ch4_store_path(r), direction);
    return CH4_OK;
}

static ch4_status check_content(const ch4_attention *a, const ch4_store_reader *r, ch4_err *err)
{
    int64_t t = a->n_frames, n = a->n_tokens, width = a->k ? a->k : n;
    const char *wrong = NULL;
    if (t < 1 || n < 1 || n > MAX_TOKENS || a->k > n || a->anchor_slot < 0 || a->anchor_slot >= t)
        wrong = "sizes or anchor slot";
    for (int64_t i = 0; !wrong && i < t * n; i++)
        if (!(a->mass[i] >= 0 && a->mass[i] < INFINITY))
            wrong = "a mass";
    for (int64_t i = 0; !wrong && i < t * n * width; i++)
        if (a->value[i] > 0x3c00) /* float16 bits of 1; also refuses negative values, infinities and NaN */
            wrong = "a value";
    for (int64_t i = 0; !wrong && a->k && i < t * n * width; i++)
        if (a->index[i] >= n || (i % width && a->index[i] <= a->index[i - 1]))
            wrong = "an index";
    if (wrong)
        return ch4_err_set(err, CH4_EFORMAT, "%s: attention: %s is out of range", ch4_store_path(r), wrong);
    return CH4_OK;
}

ch4_status ch4_attention_read(ch4_attention *out, const ch4_store_reader *reader, ch4_err *err)
{
    ch4_tensor mass, value = {0}, index;
    bool dense = ch4_store_has(reader, "/attention/dense");
    *out = (ch4_attention){0};
    ch4_status status = read_header(out, reader, err);
    if (status == CH4_OK)
        status = ch4_store_read(reader, "/attention/mass", CH4_DTYPE_F32, 2, NULL, &out->owned[2], &mass, err);
    if (status)
        goto out;
    const int64_t shape[] = {mass.shape[0], mass.shape[1], dense ? mass.shape[1] : -1};
    status = ch4_store_read(reader, dense ? "/attention/dense" : "/attention/value", CH4_DTYPE_F16, 3, shape, &out->owned[1], &value, err);
    if (status)
        goto out;
    out->n_frames = mass.shape[0];
    out->n_tokens = mass.shape[1];
    out->mass = mass.data;
    out->value = value.data;
    if (!dense) {
        out->k = value.shape[2];
        status = ch4_store_read(reader, "/attention/index", CH4_DTYPE_U16, 3, value.shape, &out->owned[0], &index, err);
        out->index = status ? NULL : index.data;
        if (status == CH4_OK && out->k < 1)
            status = ch4_err_set(err, CH4_EFORMAT, "%s: attention: rows without entries", ch4_store_path(reader));
    }
    if (status == CH4_OK)
        status = check_content(out, reader, err);
out:
    if (status)
        ch4_attention_fini(out);
    return status;
}

void ch4_attention_expand(const ch4_attention *a, int64_t frame, float *out)
{
    int64_t n = a->n_tokens, width = a->k ? a->k : n;
    memset(out, 0, (size_t)(n * n) * sizeof *out);
    for (int64_t r = 0; r < n; r++) {
        int64_t base = (frame * n + r) * width;
        float mass = a->mass[frame * n + r], *row = out + r * n;
        for (int64_t j = 0; j < width; j++)
            row[a->k ? a->index[base + j] : j] = ch4_f16_to_f32(a->value[base + j]) * mass;
    }
}
