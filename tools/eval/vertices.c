/* The family of tracked vertices: eval_score.h over all clips. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tools/eval/eval_score.h"
#include "tools/eval/families.h"
#include "tools/eval/clip_progress.h"

typedef struct job {
    const ch4_eval_pairs *pairs;
    ch4_eval_score *score;
    ch4_progress progress;
    ch4_pool *pool; /* of one clip */
} job;

static void score_clip(void *ctx, int64_t i, int worker)
{
    (void)worker;
    job *j = ctx;
    const ch4_eval_pair *p = &j->pairs->pair[i];
    ch4_eval_score *s = &j->score[i];
    if (p->result) {
        ch4_eval_score_clip(s, p->name, p->truth, p->result, j->pool);
    } else {
        s->status = CH4_ENOENT;
        snprintf(s->name, sizeof(s->name), "%s", p->name);
        snprintf(s->reason, sizeof(s->reason), "no result in the given runs");
    }
    ch4_progress_step(&j->progress, p->name, s->reason);
}

static ch4_status save(const char *folder, const ch4_eval_score *score, int64_t n, ch4_err *err)
{
    char path[4096];
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) return ch4_err_set_errno(err, errno, "%s", folder);
    snprintf(path, sizeof(path), "%s/eval.csv", folder);
    ch4_status st = ch4_eval_save_csv(path, score, n, err);
    snprintf(path, sizeof(path), "%s/eval.json", folder);
    return st ? st : ch4_eval_save_json(path, score, n, err);
}

ch4_status ch4_eval_vertices(ch4_eval_outcome *out, const ch4_eval_request *r, ch4_err *err)
{
    static const char *const VERTICES[] = {"vertices.npy", NULL};
    ch4_eval_pairs pairs;
    bool applied;
    ch4_status st = ch4_eval_pairs_for(&pairs, &applied, r, "gt.safetensors", VERTICES, err);
    if (!st && applied) {
        bool wide = pairs.n >= ch4_pool_threads(r->pool);
        job j = {.pairs = &pairs, .pool = wide ? NULL : r->pool};
        st = ch4_calloc(&j.score, (size_t)pairs.n, sizeof(*j.score), "scores", err);
        if (!st) {
            ch4_progress_begin(&j.progress, "vertices", pairs.n, r->quiet);
            ch4_pool_run(wide ? r->pool : NULL, pairs.n, score_clip, &j);
            ch4_progress_end(&j.progress);
            ch4_eval_print(stdout, j.score, pairs.n);
            *out = (ch4_eval_outcome){true, pairs.n, 0};
        }
        for (int64_t i = 0; !st && i < pairs.n; i++) out->n_failed += j.score[i].status != CH4_OK;
        if (!st && r->out) st = save(r->out, j.score, pairs.n, err);
        free(j.score);
    }
    ch4_eval_pairs_fini(&pairs);
    return st;
}
