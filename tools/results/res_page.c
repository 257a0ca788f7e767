#include "tools/results/res_page.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/model_info.h"

ch4_res_values ch4_res_values_of(ch4_res_page *p, const char *case_name, const char *file, const char *method, const char *column)
{
    char path[4096];
    ch4_res_values v = {0};
    if (p->status) return v;
    snprintf(path, sizeof(path), "%s/%s/done", p->request->scores, case_name);
    if (access(path, R_OK) == 0) p->status = ch4_res_get(&v, &p->book, case_name, file, method, column, p->err);
    else ch4_res_note_missing(p, case_name);
    return v;
}

void ch4_res_note_missing(ch4_res_page *p, const char *case_name)
{
    char quoted[80];
    size_t used = strlen(p->missing);
    snprintf(quoted, sizeof(quoted), "`%s`", case_name);
    if (!strstr(p->missing, quoted)) snprintf(p->missing + used, sizeof(p->missing) - used, "%s%s", used ? ", " : "", quoted);
}

ch4_res_mean ch4_res_mean_of(ch4_res_page *p, const char *case_name, const char *file, const char *method, const char *column)
{
    ch4_res_values v = ch4_res_values_of(p, case_name, file, method, column);
    ch4_res_mean m = ch4_res_average(v.x, v.n);
    ch4_res_values_fini(&v);
    return m;
}

void ch4_res_put(ch4_res_page *p, ch4_res_mean m, int digits)
{
    if (m.n == 0) fputs("–", p->out);
    else if (m.n == 1 || isnan(m.se)) fprintf(p->out, "%.*f", digits, m.mean);
    else fprintf(p->out, "%.*f ± %.*f", digits, m.mean, digits, m.se);
}

void ch4_res_row(ch4_res_page *p, const char *label, const char *case_name, const char *file, const char *method, const char *const *column, int n, int digits)
{
    fprintf(p->out, "| %s |", label);
    for (int k = 0; k < n; k++) {
        fputc(' ', p->out);
        ch4_res_put(p, ch4_res_mean_of(p, case_name, file, method, column[k]), digits);
        fputs(" |", p->out);
    }
    fputc('\n', p->out);
}

double ch4_res_generated_iou(ch4_res_page *p, const char *case_name)
{
    return (16 * ch4_res_mean_of(p, case_name, "shape", "own_surfaces", "iou").mean - 1) / 15;
}

void ch4_res_clips(ch4_res_page *p, const char *case_name)
{
    ch4_res_values v = ch4_res_values_of(p, case_name, "bench", "ours", "cd_4d");
    if (p->status) return;
    int64_t failed = v.n - ch4_res_average(v.x, v.n).n;
    if (v.n) fprintf(p->out, "%s to %s, %lld clips", v.name[0], v.name[v.n - 1], (long long)v.n);
    if (failed) fprintf(p->out, ", **%lld failed and in no mean**", (long long)failed);
    ch4_res_values_fini(&v);
}

static void write_head(ch4_res_page *p)
{
    char path[4096];
    ch4_model_info info;
    const ch4_res_request *r = p->request;
    if (p->status) return;
    snprintf(path, sizeof(path), "%s/model.yaml", r->model);
    p->status = ch4_model_info_load(&info, path, NULL, p->err);
    if (p->status) return;
    snprintf(p->weights, sizeof(p->weights), "%s", info.training.weights_sha256[0] ? info.training.weights_sha256 : "unknown");
    for (int64_t i = 0; i < info.supervised_heads.layers.n && i < info.supervised_heads.heads.n; i++) {
        size_t used = strlen(p->supervised);
        snprintf(p->supervised + used, sizeof(p->supervised) - used, "%slayer %d head %d", i ? ", " : "", (int)info.supervised_heads.layers.v[i],
                 (int)info.supervised_heads.heads.v[i]);
    }
    fprintf(p->out,
            "# Results\n\n"
            "Written by `make bench-truth`, which makes every number and plot of this page again from nothing; nothing here is typed by hand. Commit %s; %s;\n"
            "model `%s`, weights %.12s...\n\n"
            "± is the standard error of the mean over clips. Lengths are in object space, where a clip's longest side is 2. CD is the sum of two mean nearest distances, not squared;\n"
            "nothing is aligned, so CD-3D and CD-4D are one number. Definitions: [evaluation.md](evaluation.md). **Rows in italics are published figures of other methods on another data\n"
            "set** (ActionBench and others: photographs and artists' meshes, models of a billion parameters, aligned by ICP): they say what the paper reports, not how this model\n"
            "compares with it.\n\n",
            r->commit, r->machine, info.name, p->weights);
    ch4_model_info_fini(&info);
}

static void write_tail(ch4_res_page *p)
{
    if (p->missing[0]) fprintf(p->out, "**Not run, and therefore dashes above: %s.**\n\n", p->missing);
    fputs("## How to read these numbers\n\n"
          "* The held-out creatures come from the generator of the training data, with seeds that neither training nor any choice has seen: same body plans, camera and colours. minibench's\n"
          "  objects and motions were in no training at all.\n"
          "* `true mesh`: the mesh of the first frame is given, an easier task than the paper's; `video only` is the paper's.\n"
          "* `nearest chained` slides along a surface from frame to frame. It has a good CD-3D and CD-4D without any correspondence; only CD-M tells. `own` baselines start from our own\n"
          "  frame 0 and use our own decoded surfaces: what is gained over them is gained by the chain.\n"
          "* A point that never moves has an AJ far from 0: the row `static point`.\n"
          "* The ablations use other clips than the tables, so that whoever chooses by them leaves the held-out ones untouched.\n",
          p->out);
}

ch4_status ch4_res_write(const ch4_res_request *request, ch4_err *err)
{
    char name[4096];
    ch4_res_page p = {.book = {.folder = request->scores}, .request = request, .err = err};
    if (mkdir(request->plots, 0777) && errno != EEXIST) return ch4_err_set_errno(err, errno, "%s", request->plots);
    snprintf(name, sizeof(name), "%s.new", request->page);
    p.out = fopen(name, "we");
    if (!p.out) return ch4_err_set_errno(err, errno, "%s", name);
    write_head(&p);
    ch4_res_write_verdicts(&p);
    ch4_res_write_creatures(&p);
    ch4_res_write_minibench(&p);
    fputs("## The paper's ablations, in small\n\n", p.out);
    ch4_res_write_steps(&p);
    ch4_res_write_parts(&p);
    ch4_res_write_heads(&p);
    write_tail(&p);
    ch4_status st = p.status;
    bool bad = ferror(p.out) != 0;
    if ((fclose(p.out) || bad) && !st) st = ch4_err_set_errno(err, errno, "%s", name);
    if (!st && rename(name, request->page)) st = ch4_err_set_errno(err, errno, "%s", request->page);
    if (st) remove(name);
    p.status = st;
    if (request->figures) ch4_res_write_figures(&p);
    ch4_res_book_close(&p.book);
    return p.status;
}
