/* The command line of `chain4d run`. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/nearest.h"
#include "orchestrator/place.h"
#include "orchestrator/plan.h"

enum { MAX_SETS = 256 };

typedef struct words {
    const char *out, *mesh, *mask, *model, *config;
    const char *sets[MAX_SETS + 1];
    int64_t n_sets;
} words;

static bool read_count(int *out, const char *text, long lo, long hi)
{
    char *end;
    errno = 0;
    long x = strtol(text, &end, 10);
    *out = (int)x;
    return !errno && end != text && !*end && x >= lo && x <= hi;
}

static ch4_status read_words(ch4_plan *p, words *w, char frames_set[64], int argc, char **argv, ch4_err *err)
{
    enum { MESH = 256, MASK, MODEL, CONFIG, SET, THREADS, FRAMES, QUIET, HELP, TRACE, STRICT };
    static const struct option table[] = {
        {"output", required_argument, NULL, 'o'}, {"mesh", required_argument, NULL, MESH}, {"mask", required_argument, NULL, MASK},
        {"model", required_argument, NULL, MODEL}, {"config", required_argument, NULL, CONFIG}, {"set", required_argument, NULL, SET},
        {"threads", required_argument, NULL, THREADS}, {"frames", required_argument, NULL, FRAMES}, {"quiet", no_argument, NULL, QUIET},
        {"trace", required_argument, NULL, TRACE}, {"strict", no_argument, NULL, STRICT},
        {"help", no_argument, NULL, HELP}, {0},
    };
    opterr = 0;
    optind = 1;
    int frames = 0;
    for (int c; (c = getopt_long(argc, argv, ":o:qh", table, NULL)) != -1;) {
        bool ok = true;
        switch (c) {
        case 'o': w->out = optarg; break;
        case MESH: w->mesh = optarg; break;
        case MASK: w->mask = optarg; break;
        case MODEL: w->model = optarg; break;
        case CONFIG: w->config = optarg; break;
        case SET: ok = w->n_sets < MAX_SETS; if (ok) w->sets[w->n_sets++] = optarg; break;
        case THREADS: ok = read_count(&p->threads, optarg, 0, 1024); break;
        case FRAMES: ok = read_count(&frames, optarg, 1, 1000000000); break;
        case 'q': case QUIET: p->quiet = true; break;
        case TRACE: p->trace = optarg; break;
        case STRICT: p->strict = true; break;
        case 'h': case HELP: p->help = true; return CH4_OK;
        case ':': return ch4_err_set(err, CH4_EINVAL, "%s needs a value; see `chain4d help`", argv[optind - 1]);
        default: return ch4_nearest_option(argv[optind - 1], table, "`chain4d help`", err);
        }
        if (!ok) return ch4_err_set(err, CH4_EINVAL, "%s: bad value %s; see `chain4d help`", argv[optind - 2], optarg);
    }
    if (optind == argc) return ch4_err_set(err, CH4_EINVAL, "no input: chain4d run VIDEO... -o FOLDER");
    if (!w->out) return ch4_err_set(err, CH4_EINVAL, "no output folder: give one with -o FOLDER");
    if (frames) {
        snprintf(frames_set, 64, "decode.max_frames=%d", frames);
        w->sets[w->n_sets++] = frames_set;
    }
    return CH4_OK;
}

/* Replaces a path of the configuration by `given` (if not NULL), made absolute. */
static ch4_status resolve(char **field, const char *given, const char *what, ch4_err *err)
{
    if (!given && !**field) return CH4_OK;
    char *real = realpath(given ? given : *field, NULL);
    if (!real) {
        char advice[64];
        snprintf(advice, sizeof advice, "check the path of the %s", what);
        return ch4_err_advise(err, ch4_err_set_errno(err, errno, "%s", given ? given : *field), advice);
    }
    free(*field);
    *field = real;
    return CH4_OK;
}

/* The file's name without folders and ending, as a folder name. */
static void name_of(char out[CH4_MSG_NAME], const char *input)
{
    enum { ROOM = CH4_MSG_NAME - 16 }; /* leaves room to make it unique */
    size_t end = strlen(input);
    while (end > 1 && input[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && input[start - 1] != '/') start--;
    size_t stop = end;
    for (size_t i = end; i > start + 1; i--)
        if (input[i - 1] == '.') {
            stop = i - 1;
            break;
        }
    size_t n = 0;
    for (size_t i = start; i < stop && n < ROOM; i++) {
        char c = input[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || (c == '.' && n);
        out[n++] = plain ? c : '_';
    }
    out[n] = 0;
    if (!n) strcpy(out, "clip");
}

static bool name_taken(const ch4_plan *p, int64_t n, const char *name)
{
    static const char *const reserved[] = {"bus", "run.yaml", "run.log", "epoch", "lock", "clips.json", "status.json"};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (!strcmp(reserved[i], name)) return true;
    for (int64_t i = 0; i < n; i++)
        if (!strcmp(p->clips[i].name, name)) return true;
    return false;
}

static ch4_status add_clips(ch4_plan *p, char **inputs, int64_t n, ch4_err *err)
{
    ch4_status status = ch4_calloc(&p->clips, (size_t)n, sizeof p->clips[0], "the clips", err);
    if (status) return status;
    for (int64_t i = 0; i < n; i++) {
        ch4_plan_clip *c = &p->clips[i];
        char base[CH4_MSG_NAME];
        name_of(base, inputs[i]);
        strcpy(c->name, base);
        for (int k = 2; name_taken(p, i, c->name); k++) snprintf(c->name, sizeof c->name, "%.110s-%d", base, k);
        c->given = strdup(inputs[i]);
        p->n_clips = i + 1;
        if (!c->given) return ch4_err_set(err, CH4_ENOMEM, "out of memory");
        c->input = realpath(inputs[i], NULL);
        ch4_err why;
        if (!c->input) c->status = ch4_err_set_errno(&why, errno, "%s", inputs[i]);
        else if (access(c->input, R_OK)) c->status = ch4_err_set_errno(&why, errno, "%s", inputs[i]);
        if (c->status) {
            c->status = CH4_ENOENT;
            snprintf(c->reason, sizeof c->reason, "%.450s: check the path and its permissions", why.msg);
        }
    }
    return CH4_OK;
}

ch4_status ch4_plan_read(ch4_plan *p, int argc, char **argv, ch4_problems *problems, ch4_err *err)
{
    *p = (ch4_plan){.threads = -1, .lock_fd = -1, .log_fd = -1};
    words w = {0};
    char frames_set[64];
    ch4_status status = read_words(p, &w, frames_set, argc, argv, err);
    if (status || p->help) return status;
    status = ch4_config_load(&p->config, w.config, w.sets, w.n_sets, problems, err);
    if (!status) status = resolve(&p->config.mesh.path, w.mesh, "mesh", err);
    struct stat st;
    if (!status && *p->config.mesh.path && !stat(p->config.mesh.path, &st) && !S_ISREG(st.st_mode))
        status = ch4_err_set(err, CH4_EFORMAT, "%s: not a file: give a .glb or .obj with --mesh", p->config.mesh.path);
    int64_t anchor;
    if (!status) status = ch4_config_anchor_frame(&anchor, &p->config, err);
    if (!status && anchor == CH4_ANCHOR_AUTO && *p->config.mesh.path)
        status = ch4_err_set(err, CH4_EINVAL, "anchor.frame: auto does not go with a given mesh: say which frame the mesh belongs to");
    if (!status) status = resolve(&p->config.decode.mask, w.mask, "mask", err);
    if (status) return status;
    char model[CH4_PLACE_PATH];
    const char *given = w.model;
    if (!given && !*p->config.run.model) {
        status = ch4_place_model(model, err);
        given = model;
    }
    if (!status) status = resolve(&p->config.run.model, given, "model", err);
    if (!status) status = add_clips(p, argv + optind, argc - optind, err);
    if (status) return status;
    p->out = strdup(w.out);
    return p->out ? CH4_OK : ch4_err_set(err, CH4_ENOMEM, "out of memory");
}

void ch4_plan_fini(ch4_plan *p)
{
    for (int64_t i = 0; i < p->n_clips; i++) {
        free(p->clips[i].given);
        free(p->clips[i].input);
    }
    free(p->clips);
    free(p->out);
    ch4_config_fini(&p->config);
    if (p->lock_fd >= 0) close(p->lock_fd);
    if (p->log_fd >= 0) close(p->log_fd);
    *p = (ch4_plan){.lock_fd = -1, .log_fd = -1};
}
