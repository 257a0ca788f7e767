#include "tools/eval/eval_request.h"

#include "tools/eval/clip_progress.h"

typedef struct job {
    ch4_progress progress;
    const ch4_score_table *table;
    void (*score)(void *ctx, int64_t i, ch4_pool *pool);
    void *ctx;
    ch4_pool *pool; /* of one clip */
} job;

static void job_clip(void *ctx, int64_t i, int worker)
{
    (void)worker;
    job *j = ctx;
    j->score(j->ctx, i, j->pool);
    ch4_progress_step(&j->progress, j->table->clip[i].name, j->table->clip[i].reason);
}

void ch4_eval_each_clip(const ch4_eval_request *r, const char *what, const ch4_score_table *table, void (*score)(void *ctx, int64_t i, ch4_pool *pool), void *ctx)
{
    bool wide = table->n_clip >= ch4_pool_threads(r->pool);
    job j = {.table = table, .score = score, .ctx = ctx, .pool = wide ? NULL : r->pool};
    ch4_progress_begin(&j.progress, what, table->n_clip, r->quiet);
    ch4_pool_run(wide ? r->pool : NULL, table->n_clip, job_clip, &j);
    ch4_progress_end(&j.progress);
}

ch4_status ch4_eval_report(ch4_eval_outcome *out, const ch4_eval_request *r, const ch4_score_table *table, ch4_err *err)
{
    *out = (ch4_eval_outcome){true, table->n_clip, ch4_score_failed(table)};
    ch4_score_print(stdout, table);
    return r->out ? ch4_score_save(r->out, table, err) : CH4_OK;
}

ch4_status ch4_eval_pairs_for(ch4_eval_pairs *out, bool *applied, const ch4_eval_request *r, const char *truth_file, const char *const *result_files, ch4_err *err)
{
    ch4_err none = {0};
    *applied = false;
    ch4_status st = ch4_eval_find_files(out, r->gt, r->pred, r->n_pred, truth_file, result_files, &none);
    if (st == CH4_ENOENT) return CH4_OK;
    if (st) return ch4_err_set(err, st, "%s", none.msg);
    for (int64_t i = 0; i < out->n; i++) *applied = *applied || out->pair[i].result;
    return CH4_OK;
}

ch4_status ch4_eval_table_for(ch4_score_table *out, const ch4_score_family *family, const ch4_eval_pairs *pairs, ch4_err *err)
{
    ch4_err none = {0};
    ch4_status st = ch4_score_table_init(out, family, pairs->n, err);
    (void)ch4_err_set(&none, CH4_ENOENT, "no result in the given folders");
    for (int64_t i = 0; !st && i < pairs->n; i++) {
        st = ch4_score_clip_name(out, i, pairs->pair[i].name, err);
        if (pairs->pair[i].result) continue;
        out->clip[i].missing = true;
        ch4_score_clip_fail(out, i, CH4_ENOENT, &none);
    }
    return st;
}
