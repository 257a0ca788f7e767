/* The program of a stage: options, configuration, sockets; then the loop. */
#include "stage/stage.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/nearest.h"
#include "stage/rundir.h"
#include "stage/stage_impl.h"

enum { MAX_SETS = 256, LONGEST_RUN_DIR = 3900 };

typedef struct options {
    const char *run, *config, *run_id, *log_level;
    const char *sets[MAX_SETS];
    int64_t n_sets, epoch;
    int threads, ready_fd;
    bool help, version;
} options;

static void print_help(const ch4_stage_def *def)
{
    printf("usage: chain4d-%s --run DIR [options]\n\n%s\nStarted by `chain4d run`; see `chain4d help`.\n\n"
           "  --run DIR        run directory\n"
           "  --config FILE    pipeline file (default DIR/run.yaml)\n"
           "  --set KEY=VALUE  one more option, may be repeated\n"
           "  --threads N      threads for computing, 0 = one per processor (default: run.threads)\n"
           "  --ready-fd N     write a newline there when ready\n"
           "  --run-id ID --epoch N   given by chain4d (default: as in DIR/epoch)\n"
           "  --log-level L    debug, info, warn or error\n"
           "  --version --help\n", def->name, def->summary);
}

/* A whole decimal number in [lo, hi]. */
static bool read_number(int64_t *out, const char *text, int64_t lo, int64_t hi)
{
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    *out = x;
    return !errno && end != text && !*end && x >= lo && x <= hi;
}

static ch4_status read_options(options *o, int argc, char **argv, ch4_err *err)
{
    enum { RUN = 256, CONFIG, SET, THREADS, READY_FD, RUN_ID, EPOCH, LOG_LEVEL, VERSION, HELP };
    static const struct option table[] = {
        {"run", required_argument, NULL, RUN}, {"config", required_argument, NULL, CONFIG}, {"set", required_argument, NULL, SET},
        {"threads", required_argument, NULL, THREADS}, {"ready-fd", required_argument, NULL, READY_FD}, {"run-id", required_argument, NULL, RUN_ID},
        {"epoch", required_argument, NULL, EPOCH}, {"log-level", required_argument, NULL, LOG_LEVEL}, {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, HELP}, {0},
    };
    *o = (options){.threads = -1, .ready_fd = -1};
    opterr = 0;
    optind = 1;
    int64_t number = 0;
    for (int c; (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) {
        bool ok = true;
        switch (c) {
        case RUN: o->run = optarg; break;
        case CONFIG: o->config = optarg; break;
        case SET: ok = o->n_sets < MAX_SETS; if (ok) o->sets[o->n_sets++] = optarg; break;
        case THREADS: ok = read_number(&number, optarg, 0, 1024); o->threads = (int)number; break;
        case READY_FD: ok = read_number(&number, optarg, 0, INT_MAX); o->ready_fd = (int)number; break;
        case RUN_ID: o->run_id = optarg; ok = strlen(optarg) == 32; break;
        case EPOCH: ok = read_number(&o->epoch, optarg, 1, INT64_MAX); break;
        case LOG_LEVEL: o->log_level = optarg; break;
        case VERSION: o->version = true; break;
        case HELP: o->help = true; break;
        case ':': return ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]);
        default: return ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
        if (!ok) return ch4_err_set(err, CH4_EINVAL, "%s: bad value %s; see --help", argv[optind - 2], optarg);
    }
    if (o->help || o->version) return CH4_OK;
    if (optind < argc) return ch4_err_set(err, CH4_EINVAL, "%s: not an option; see --help", argv[optind]);
    if (!o->run) return ch4_err_set(err, CH4_EINVAL, "--run is missing; see --help");
    return CH4_OK;
}

/* Configuration, log and identity. */
static ch4_status read_run(ch4_frame *f, const options *o, ch4_err *err)
{
    char absolute[PATH_MAX], config[PATH_MAX];
    if (!realpath(o->run, absolute)) return ch4_err_set_errno(err, errno, "%s", o->run);
    if (strlen(absolute) > LONGEST_RUN_DIR) return ch4_err_set(err, CH4_EINVAL, "%.100s...: path too long", absolute);
    strcpy(f->run_dir, absolute);
    snprintf(config, sizeof config, "%.*s/run.yaml", LONGEST_RUN_DIR, absolute);
    ch4_status status = ch4_config_load(&f->config, o->config ? o->config : config, o->sets, o->n_sets, NULL, err);
    if (status) return status;
    ch4_log_level level = (ch4_log_level)f->config.log.level;
    if (o->log_level) status = ch4_log_parse_level(&level, o->log_level, err);
    int log_fd = -1;
    if (!status) status = ch4_rundir_open_log(&log_fd, f->run_dir, err);
    if (status) return status;
    f->log = ch4_log_make(log_fd, level, CH4_LOG_JSON, f->def->name);
    ch4_epoch epoch = {.number = o->epoch};
    if (o->run_id) strcpy(epoch.run_id, o->run_id);
    if (!o->run_id || !o->epoch) status = ch4_epoch_read(&epoch, f->run_dir, err);
    if (status) return status;
    f->me.epoch = epoch.number;
    f->me.incarnation = ch4_bus_incarnation();
    strcpy(f->me.run_id, epoch.run_id);
    snprintf(f->me.name, sizeof f->me.name, "%s", f->def->name);
    return CH4_OK;
}

/* SIGTERM and SIGINT become readable; inherited by every thread that is started later. */
static ch4_status catch_signals(ch4_frame *f, ch4_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL)) return ch4_err_set_errno(err, errno, "signals");
    f->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return f->signal_fd < 0 ? ch4_err_set_errno(err, errno, "signals") : CH4_OK;
}

static ch4_status connect_edges(ch4_frame *f, ch4_err *err)
{
    const double beat = f->config.pipeline.heartbeat_s, hello = beat < 0.25 ? beat : 0.25;
    ch4_status status = ch4_bus_create(&f->bus, f->run_dir, &f->me, err);
    if (!status) status = ch4_sock_connect(&f->control, f->bus, "control", err);
    if (!status) status = ch4_edge_out_open(&f->out, f->bus, f->def->name, 20 * hello + 5, err);
    if (!status) status = ch4_tap_out_open(&f->tap, f->bus, f->def->name, err);
    if (!status) status = ch4_edge_in_open(&f->in, f->bus, f->def->from ? f->def->from : "plan", f->config.pipeline.credit_bytes, hello, err);
    return status;
}

static ch4_status frame_open(ch4_frame *f, const options *o, ch4_err *err)
{
    ch4_status status = catch_signals(f, err);
    if (!status) status = read_run(f, o, err);
    if (!status) status = connect_edges(f, err);
    int threads = o->threads >= 0 ? o->threads : (int)f->config.run.threads;
    ch4_pool *pool = NULL;
    if (!status) status = ch4_pool_create(&pool, threads, err);
    f->stage = (ch4_stage){.config = &f->config, .log = &f->log, .pool = pool, .run_dir = f->run_dir, .run_id = f->me.run_id, .epoch = f->me.epoch};
    if (!status) status = ch4_frame_start_worker(f, err);
    return status;
}

static void frame_close(ch4_frame *f)
{
    ch4_frame_stop_worker(f);
    ch4_pool_destroy(&f->stage.pool);
    ch4_flow_free(&f->flow);
    ch4_edge_in_close(&f->in);
    ch4_edge_out_close(&f->out);
    ch4_tap_out_close(&f->tap);
    ch4_sock_close(&f->control);
    ch4_bus_destroy(&f->bus);
    ch4_config_fini(&f->config);
    if (f->signal_fd >= 0) close(f->signal_fd);
    if (f->log.fd >= 0) close(f->log.fd);
}

int ch4_stage_main(const ch4_stage_def *def, int argc, char **argv)
{
    options o;
    ch4_err err = {0};
    ch4_status status = read_options(&o, argc, argv, &err);
    if (!status && o.help) {
        print_help(def);
        return 0;
    }
    if (!status && o.version) {
        printf("chain4d-%s %s\n", def->name, CH4_VERSION);
        return 0;
    }
    ch4_frame *f = NULL;
    if (!status) status = ch4_calloc(&f, 1, sizeof *f, "the stage", &err);
    int code = 0;
    if (!status) {
        f->def = def;
        f->signal_fd = f->wake_fd = f->log.fd = -1;
        f->ready_fd = o.ready_fd;
        f->stream_end = -1;
        status = frame_open(f, &o, &err);
        if (!status) code = ch4_frame_run(f);
        if (!status && !ch4_frame_worker_idle(f)) _exit(code); /* a failure while the worker computes: nobody can wait for it */
        frame_close(f);
        free(f);
    }
    if (!status) return code;
    fprintf(stderr, "chain4d-%s: %s\n", def->name, err.msg);
    return ch4_status_exit_code(status);
}
