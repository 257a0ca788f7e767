/* Figures that a test compares with: a few clips of the tables, as "case clip file method column value" lines. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "tools/results/res_page.h"

/* The clips whose names begin so; of creatures the first two. */
static const struct {
    const char *set, *begin[2];
} CLIP[] = {{"creatures", {"creature_s", "creature_s"}}, {"minibench", {"twister_", "walker_"}}};

/* Where clip i of a set is in the values. */
static int64_t find_clip(const ch4_res_values *v, size_t set, int i)
{
    int64_t at = 0;
    while (at < v->n && strncmp(v->name[at], CLIP[set].begin[i], strlen(CLIP[set].begin[i]))) at++;
    return set == 0 ? at + i : at;
}

static const struct {
    const char *file, *method, *column;
} FIGURE[] = {{"bench", "ours", "cd_4d"}, {"bench", "ours", "cd_motion"}, {"bench", "static", "cd_motion"}, {"bench", "own_nearest_chained", "cd_motion"}, {"shape", "own_surfaces", "iou"}, {"eval", NULL, "ours_moving"}, {"views", "ours", "aj"}};

static void put_figure(ch4_res_page *p, FILE *out, const char *case_name, size_t set, int which, size_t k)
{
    ch4_res_values v = ch4_res_values_of(p, case_name, FIGURE[k].file, FIGURE[k].method, FIGURE[k].column);
    int64_t clip = p->status ? 0 : find_clip(&v, set, which);
    if (!p->status && clip < v.n && !isnan(v.x[clip]))
        fprintf(out, "%s %s %s %s %s %.6g\n", case_name, v.name[clip], FIGURE[k].file, FIGURE[k].method ? FIGURE[k].method : "-", FIGURE[k].column, v.x[clip]);
    ch4_res_values_fini(&v);
}

void ch4_res_write_figures(ch4_res_page *p)
{
    char path[4096], name[64];
    if (p->status) return;
    snprintf(path, sizeof(path), "%s.new", p->request->figures);
    FILE *out = fopen(path, "we");
    if (!out) {
        p->status = ch4_err_set_errno(p->err, errno, "%s", path);
        return;
    }
    fprintf(out, "# Some of the figures behind docs/results.md, renewed by `make bench-truth`; tests/e2e/test_bench_truth.sh makes them again.\n"
                 "# weights %s\n# case clip table method column value\n", p->weights);
    for (size_t s = 0; s < sizeof(CLIP) / sizeof(*CLIP); s++)
        for (int way = 0; way < 2; way++)
            for (int i = 0; i < 2; i++)
                for (size_t k = 0; k < sizeof(FIGURE) / sizeof(*FIGURE); k++) {
                    snprintf(name, sizeof(name), "%s.%s", CLIP[s].set, way ? "video" : "mesh");
                    put_figure(p, out, name, s, i, k);
                }
    bool bad = ferror(out) != 0;
    if ((fclose(out) || bad || rename(path, p->request->figures)) && !p->status) p->status = ch4_err_set_errno(p->err, errno, "%s", p->request->figures);
}
