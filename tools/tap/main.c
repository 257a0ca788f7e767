/* chain4d-tap: what passes by a stage of a run at work, as lines, rates, arrays and pictures. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/nearest.h"
#include "tools/tap/listener.h"
#include "tools/tap/tap_dump.h"

static const char HELP[] =
    "usage: chain4d tap STAGE --run OUT [options]\n"
    "\n"
    "Listens to a stage (decode, denoise, chain, animate, pose) of a run at work and prints a line for every window that it receives or sends. The\n"
    "stage does not wait for it: what this program is too slow for is missing here, is counted, and is told at the end.\n"
    "\n"
    "  --run OUT     the folder that chain4d run writes to\n"
    "  --clip NAME   only this clip            --window N   only this window\n"
    "  --received    only what it receives     --sent       only what it sends\n"
    "  --once        end after the first line\n"
    "  --hz          once a second: windows in each second, over the last ten\n"
    "  --bw          once a second: bytes of their files in each second, over the last ten\n"
    "  --dump DIR    arrays of each window as DIR/CLIP/wNNNN.STAGE/NAME.npy, pictures of frames, attention and points as .png\n"
    "  --wait S      wait up to S seconds for the run to start (0)\n"
    "  --strict      exit 1 if anything was missed\n"
    "  --help        this text\n"
    "\n"
    "Exit: 0 the run ended, --once was served or Ctrl-C; 1 nothing to hear, failed or missed (--strict); 2 usage; 3 no run in that folder.\n";

typedef struct options {
    const char *stage, *run, *clip, *dump;
    int64_t window; /* -1: all */
    double wait;
    bool received, sent, once, hz, bw, strict;
} options;

enum { SPAN = 10, HISTORY = 4096 };

/* What passed in the last seconds, for --hz and --bw. */
typedef struct rates {
    double time[HISTORY];
    int64_t bytes[HISTORY];
    int64_t n; /* so far; the last HISTORY of them are kept */
    double next;
} rates;

static volatile sig_atomic_t stopped;

static void on_signal(int signum)
{
    stopped = signum;
}

static ch4_status parse_number(double *out, const char *name, const char *text, double hi, ch4_err *err)
{
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end || !(*out >= 0 && *out <= hi)) return ch4_err_set(err, CH4_EINVAL, "--%s %s: not a number from 0 to %g", name, text, hi);
    return CH4_OK;
}

static ch4_status parse(options *o, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {{"run", 1, NULL, 'r'}, {"clip", 1, NULL, 'c'}, {"window", 1, NULL, 'w'}, {"received", 0, NULL, 'i'},
                                          {"sent", 0, NULL, 's'}, {"once", 0, NULL, '1'}, {"hz", 0, NULL, 'h'}, {"bw", 0, NULL, 'b'},
                                          {"dump", 1, NULL, 'd'}, {"wait", 1, NULL, 't'}, {"strict", 0, NULL, 'x'}, {0}};
    ch4_status status = CH4_OK;
    double number;
    opterr = 0;
    for (int c; !status && (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) switch (c) {
        case 'r': o->run = optarg; break;
        case 'c': o->clip = optarg; break;
        case 'w': status = parse_number(&number, "window", optarg, 999999, err); o->window = (int64_t)number; break;
        case 'i': o->received = true; break;
        case 's': o->sent = true; break;
        case '1': o->once = true; break;
        case 'h': o->hz = true; break;
        case 'b': o->bw = true; break;
        case 'd': o->dump = optarg; break;
        case 't': status = parse_number(&o->wait, "wait", optarg, 1e6, err); break;
        case 'x': o->strict = true; break;
        case ':': status = ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]); break;
        default: status = ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    if (status) return status;
    if (optind + 1 != argc) return ch4_err_set(err, CH4_EINVAL, "one stage: chain4d tap STAGE --run OUT; see --help");
    if (!o->run) return ch4_err_set(err, CH4_EINVAL, "--run OUT is missing; see --help");
    o->stage = argv[optind];
    if (!o->received && !o->sent) o->received = o->sent = true;
    return CH4_OK;
}

static void print_size(int64_t n)
{
    if (n < 10000) printf("%" PRId64 " B", n);
    else if (n < 10000000) printf("%.1f kB", (double)n / 1e3);
    else printf("%.1f MB", (double)n / 1e6);
}

static void print_time(int64_t us)
{
    time_t t = us / 1000000;
    struct tm tm;
    localtime_r(&t, &tm);
    printf("%02d:%02d:%02d.%03d ", tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(us / 1000 % 1000));
}

/* "17:02:03.123 sent     walker w0003 of 16  16 frames  chain 1.2 MB  worked 0.84 s, waited 0.12 s" */
static void print_line(const Ch4__Tap *t)
{
    print_time(t->time_us);
    printf("%-8s ", t->sent ? "sent" : "received");
    if (t->job) printf("%s  %s", t->job->clip, t->job->input);
    if (t->clip_end) printf("%s  end, %" PRId64 " windows", t->clip_end->clip, t->clip_end->n_windows);
    if (t->window) {
        const Ch4__Window *w = t->window;
        const Ch4__Part *p = ch4_listener_part(w);
        printf("%s w%04" PRId64 " of %" PRId64 "  %" PRId64 " frames", w->clip, w->index, w->n_windows, w->n_frames);
        if (p) printf("  %s ", p->stage), print_size(p->bytes);
        if (p && p->times && p->times->found) printf("  found done");
        else if (p && p->times)
            printf("  worked %.2f s, waited %.2f s", (double)(p->times->done - p->times->started) / 1e6, (double)(p->times->started - p->times->arrived) / 1e6);
    }
    printf("\n");
}

static void count(rates *r, int64_t bytes)
{
    r->time[r->n % HISTORY] = ch4_clock_seconds();
    r->bytes[r->n++ % HISTORY] = bytes;
}

static void print_rates(rates *r, const options *o, double start)
{
    const double now = ch4_clock_seconds(), span = now - start < SPAN ? now - start : SPAN;
    if (now < r->next) return;
    r->next = now + 1;
    int64_t windows = 0, bytes = 0;
    for (int64_t i = r->n - 1; i >= 0 && i >= r->n - HISTORY && r->time[i % HISTORY] > now - span; i--) windows++, bytes += r->bytes[i % HISTORY];
    if (span < 0.5) return;
    printf("%s", o->stage);
    if (o->hz) printf("  %.3f windows/s", (double)windows / span);
    if (o->bw) printf("  "), print_size((int64_t)((double)bytes / span)), printf("/s");
    printf("  (%" PRId64 " windows in %.0f s)\n", windows, span);
}

static bool wanted(const options *o, const Ch4__Tap *t)
{
    const char *clip = t->window ? t->window->clip : t->clip_end ? t->clip_end->clip : t->job ? t->job->clip : "";
    if (t->sent ? !o->sent : !o->received) return false;
    if (o->clip && strcmp(o->clip, clip)) return false;
    return (o->window < 0 && !o->hz && !o->bw) || (t->window && (o->window < 0 || t->window->index == o->window));
}

static ch4_status dump(const options *o, const ch4_listener *l, const Ch4__Window *w, ch4_err *err)
{
    const Ch4__Part *p = ch4_listener_part(w);
    char path[CH4_STORE_PATH + 1200], folder[CH4_STORE_PATH];
    int n;
    if (!p) return CH4_OK;
    snprintf(path, sizeof path, "%s/%s", l->run_dir, p->file);
    if (snprintf(folder, sizeof folder, "%s/%s/w%04" PRId64 ".%s", o->dump, w->clip, w->index, p->stage) >= (int)sizeof folder)
        return ch4_err_set(err, CH4_EINVAL, "%.200s...: path too long", o->dump);
    ch4_status status = ch4_tap_dump(&n, path, folder, err);
    if (!status) printf("  %d files in %s\n", n, folder);
    if (status != CH4_ENOENT) return status;
    printf("  %s is gone: the clip is done; with --set sink.keep=true the run keeps it\n", p->file);
    return CH4_OK;
}

/* Until the run ends or the user has enough; *shown: lines of windows that were wanted. */
static ch4_status listen_to(ch4_listener *l, const options *o, int64_t *shown, ch4_err *err)
{
    static rates r;
    const double start = ch4_clock_seconds();
    r.next = start + 1;
    while (!stopped) {
        ch4_msg *msg;
        ch4_status status = ch4_listener_next(l, 0.2, &msg, err);
        if (o->hz || o->bw) print_rates(&r, o, start);
        fflush(stdout);
        if (status == CH4_ETIMEDOUT) continue;
        if (status == CH4_ECANCELED) return CH4_OK;
        if (status) return status;
        const Ch4__Tap *t = ch4_msg_get_envelope(msg)->tap;
        if (wanted(o, t)) {
            const Ch4__Part *p = t->window ? ch4_listener_part(t->window) : NULL;
            if (o->hz || o->bw) count(&r, p ? p->bytes : 0);
            else print_line(t);
            if (o->dump && t->window) status = dump(o, l, t->window, err);
            ++*shown;
        }
        ch4_msg_destroy(&msg);
        if (status || (o->once && *shown)) return status;
    }
    return CH4_OK;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(HELP, stdout);
            return 0;
        }
    options o = {.window = -1};
    ch4_err err = {0};
    ch4_listener l = {0};
    int64_t shown = 0, missed = 0;
    const struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    ch4_status status = parse(&o, argc, argv, &err);
    if (!status) status = ch4_listener_open(&l, o.run, o.stage, o.wait, &err);
    if (!status) status = listen_to(&l, &o, &shown, &err);
    if (l.tap) missed = ch4_tap_in_missed(l.tap);
    ch4_listener_close(&l);
    if (missed) fprintf(stderr, "chain4d-tap: %" PRId64 " messages were missed: this listener was too slow\n", missed);
    if (status) fprintf(stderr, "chain4d-tap: %s\n", err.msg);
    else if (o.once && !shown && !stopped) fprintf(stderr, "chain4d-tap: the run ended, and nothing of that kind had passed by\n");
    if (status) return ch4_status_exit_code(status);
    return (o.strict && missed) || (o.once && !shown && !stopped);
}
