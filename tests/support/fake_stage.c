#include "tests/support/fake_stage.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage/stage.h"
#include "store/store.h"

static const char *me;

/* Whether $CH4_FAKE has me:what[:window]. */
static bool told(const char *what, int64_t window)
{
    const char *fake = getenv("CH4_FAKE");
    char list[512], with[64], without[64];
    snprintf(list, sizeof list, ",%s,", fake ? fake : "");
    snprintf(with, sizeof with, ",%s:%s:%" PRId64 ",", me, what, window);
    snprintf(without, sizeof without, ",%s:%s,", me, what);
    return strstr(list, with) || strstr(list, without);
}

static bool told_once(const ch4_stage *stage, const char *what, int64_t window)
{
    if (!told(what, window)) return false;
    char marker[CH4_STAGE_PATH];
    snprintf(marker, sizeof marker, "%.3000s/once-%s-%s-%" PRId64, stage->run_dir, me, what, window);
    int fd = open(marker, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static ch4_status misbehave(ch4_stage *stage, const char *input, int64_t window, ch4_err *err)
{
    if (told_once(stage, "crash", window) || told("poison", window)) abort();
    if (told_once(stage, "hang", window)) pause();
    if (told("slow", window)) usleep(50000);
    if (told_once(stage, "fail", window)) return ch4_err_set(err, CH4_EIO, "a passing trouble");
    if (told("bad", window)) return ch4_err_set(err, CH4_EFORMAT, "%s: window %" PRId64 " is bad: try another", input, window);
    return CH4_OK;
}

static ch4_status write_file(ch4_stage *stage, const char *path, int64_t window, ch4_err *err)
{
    ch4_store_writer *w;
    int64_t value[1] = {window};
    ch4_tensor t = CH4_VIEW(value, CH4_DTYPE_I64, 1);
    ch4_status status = ch4_store_create(&w, path, err);
    if (status) return status;
    status = ch4_store_write(w, "/value", &t, CH4_STORE_PLAIN, err);
    if (!status) return ch4_stage_commit(stage, &w, err);
    ch4_store_discard(&w);
    return status;
}

static ch4_status fake_open(ch4_stage *stage, void **state, ch4_err *err)
{
    (void)stage, (void)state;
    if (told("config", 0)) return ch4_err_set(err, CH4_ECONFIG, "the fake stage %s does not like its options", me);
    if (told("late", 0)) pause();
    return CH4_OK;
}

static ch4_status fake_process(ch4_stage *stage, void *state, const ch4_stage_window *w, ch4_err *err)
{
    (void)state;
    if (!strcmp(me, "chain") && w->index > 0 && !ch4_stage_has(stage, &w->clip, w->index - 1, "animate")) return CH4_EAGAIN;
    ch4_status status = misbehave(stage, w->clip.input, w->index, err);
    if (told("note", w->index)) ch4_stage_note(stage, &w->clip, "%s says %" PRId64, me, w->index);
    return status ? status : write_file(stage, w->output, w->index, err);
}

static ch4_status fake_run_clip(ch4_stage *stage, void *state, const ch4_stage_clip *clip, ch4_err *err)
{
    (void)state;
    char text[32] = "", path[CH4_STAGE_PATH];
    FILE *f = fopen(clip->input, "re");
    if (!f) return ch4_err_set(err, CH4_ENOENT, "%s: cannot be read", clip->input);
    if (!fgets(text, sizeof text, f)) text[0] = 0;
    fclose(f);
    int64_t n = atoll(text);
    if (n < 1) return ch4_err_set(err, CH4_EFORMAT, "%s: not a video: give another", clip->input);
    ch4_stage_note(stage, clip, "%s: taken", clip->input);
    for (int64_t i = 0; i < n; i++) {
        ch4_status status = misbehave(stage, clip->input, i, err);
        if (!status && !ch4_stage_has(stage, clip, i, "decode")) {
            status = ch4_stage_path(path, clip, i, "decode", err);
            if (!status) status = write_file(stage, path, i, err);
        }
        if (!status) status = ch4_stage_emit(stage, i, n, 16, err);
        if (status) return status;
    }
    return CH4_OK;
}

/* Behaves well only as far as the ready line. */
static int lie(int argc, char **argv)
{
    if (told("deaf", 0)) signal(SIGTERM, SIG_IGN);
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], "--ready-fd") && write(atoi(argv[i + 1]), "\n", 1) != 1) return 1;
    for (;;) pause();
}

int fake_stage_main(const char *name, int argc, char **argv)
{
    static const char *const order[] = {"decode", "denoise", "chain", "animate", "pose"};
    me = name;
    ch4_stage_def def = {.name = name, .summary = "Fake.", .open = fake_open};
    for (int i = 1; i < 5; i++)
        if (!strcmp(order[i], name)) def.from = order[i - 1];
    if (def.from) def.process = fake_process;
    else def.run_clip = fake_run_clip;
    if (told("early", 0)) return 0;
    if (told("liar", 0) || told("deaf", 0)) return lie(argc, argv);
    return ch4_stage_main(&def, argc, argv);
}
