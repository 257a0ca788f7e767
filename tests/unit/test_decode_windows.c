/* From a video to window files. The frame of a stage process is replaced by the few functions below, which the linker takes first: files go
 * to a folder, windows that are sent on to a list. Videos are made with the ffmpeg program; without it every test is skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "config/config.h"
#include "stages/decode/decode.h"
#include "store/store.h"

static char dir[256];
static bool have_ffmpeg;
static int64_t sent[64], sent_length[64], n_sent, n_committed, stop_after;
static char notes[1024];

ch4_status ch4_stage_path(char out[CH4_STAGE_PATH], const ch4_stage_clip *clip, int64_t index, const char *stage, ch4_err *err)
{
    return ch4_store_window_path(out, CH4_STAGE_PATH, clip->dir, index, stage, err);
}

bool ch4_stage_has(ch4_stage *stage, const ch4_stage_clip *clip, int64_t index, const char *which)
{
    (void)stage;
    char path[CH4_STAGE_PATH], sum[33];
    int64_t bytes;
    return ch4_stage_path(path, clip, index, which, NULL) == CH4_OK && ch4_store_check_file(path, sum, &bytes, NULL) == CH4_OK;
}

ch4_status ch4_stage_commit(ch4_stage *stage, struct ch4_store_writer **writer, ch4_err *err)
{
    (void)stage;
    n_committed++;
    return ch4_store_commit(writer, NULL, err);
}

ch4_status ch4_stage_emit(ch4_stage *stage, int64_t index, int64_t n_windows, int64_t n_frames, ch4_err *err)
{
    (void)stage;
    (void)n_windows;
    if (n_sent == stop_after)
        return ch4_err_set(err, CH4_ECANCELED, "stop");
    sent_length[n_sent] = n_frames;
    sent[n_sent++] = index;
    return CH4_OK;
}

bool ch4_stage_canceled(ch4_stage *stage)
{
    (void)stage;
    return false;
}

void ch4_stage_progress(ch4_stage *stage, int64_t done, int64_t total)
{
    (void)stage;
    assert_true(done >= 0 && (total <= 0 || done <= total));
}

void ch4_stage_note(ch4_stage *stage, const ch4_stage_clip *clip, const char *fmt, ...)
{
    (void)stage;
    (void)clip;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(notes, sizeof notes, fmt, ap);
    va_end(ap);
}

#define NEED_FFMPEG()                                                                                                  \
    do {                                                                                                               \
        (void)state;                                                                                                   \
        if (!have_ffmpeg) {                                                                                            \
            print_message("  reason: no ffmpeg program here\n");                                                       \
            skip();                                                                                                    \
        }                                                                                                              \
    } while (0)

static int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *fmt, ...)
{
    char command[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    return system(command);
}

/* A box whose grey tells the frame: 4 * frame + 20, lossless. */
static void make_video(const char *name, int n)
{
    assert_int_equal(shell("ffmpeg -v error -y -f lavfi -i color=white:s=80x60:r=10 -vf \"format=gray,geq=lum='if(between(X,20,50)*between(Y,15,40),20+4*N,255)'\" "
                           "-frames:v %d -c:v ffv1 %s/%s", n, dir, name), 0);
}

static ch4_status run(const char *video, const char *out, const char *const *sets, int64_t n_sets, ch4_err *err)
{
    char input[512], clip_dir[512];
    snprintf(input, sizeof input, "%s/%s", dir, video);
    snprintf(clip_dir, sizeof clip_dir, "%s/%s", dir, out);
    assert_int_equal(shell("mkdir -p %s", clip_dir), 0);
    ch4_config config;
    if (ch4_config_load(&config, NULL, sets, n_sets, NULL, err) != CH4_OK)
        fail_msg("%s", err->msg);
    ch4_stage stage = {.config = &config, .run_dir = dir};
    ch4_stage_clip clip = {.name = out, .input = input, .dir = clip_dir};
    n_sent = n_committed = 0;
    notes[0] = '\0';
    ch4_status st = ch4_decode_run_clip(&stage, NULL, &clip, err);
    ch4_config_fini(&config);
    return st;
}

static void run_ok(const char *video, const char *out, const char *const *sets, int64_t n_sets)
{
    ch4_err err = {0};
    if (run(video, out, sets, n_sets, &err) != CH4_OK)
        fail_msg("%s", err.msg);
}

/* Frames of a window's file: their indices are want[0..n), their pixels show those frames, and the first window that holds each is as given. */
static void check_window(const char *out, int64_t w, const int64_t *want, const int64_t *first, int64_t n)
{
    char path[600];
    ch4_err err = {0};
    ch4_store_reader *in;
    ch4_buf buf[5] = {{0}};
    ch4_tensor frames, alpha, index, time, holders;
    int64_t windows, side;
    snprintf(path, sizeof path, "%s/%s/w%04d.decode.h5", dir, out, (int)w);
    if (ch4_store_open(&in, path, &err) != CH4_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(ch4_store_read(in, "/frames", CH4_DTYPE_U8, 4, NULL, &buf[0], &frames, &err), CH4_OK);
    assert_int_equal(ch4_store_read(in, "/alpha", CH4_DTYPE_U8, 3, NULL, &buf[1], &alpha, &err), CH4_OK);
    assert_int_equal(ch4_store_read(in, "/frame_index", CH4_DTYPE_I64, 1, NULL, &buf[2], &index, &err), CH4_OK);
    assert_int_equal(ch4_store_read(in, "/time", CH4_DTYPE_F64, 1, NULL, &buf[3], &time, &err), CH4_OK);
    assert_int_equal(ch4_store_read(in, "/first_window", CH4_DTYPE_I64, 1, NULL, &buf[4], &holders, &err), CH4_OK);
    assert_int_equal(ch4_store_get_int(in, "window", &windows, &err), CH4_OK);
    assert_int_equal(windows, w);
    assert_int_equal(ch4_store_get_int(in, "crop_side", &side, &err), CH4_OK);
    assert_int_equal(side, 37); /* 31 + 2 * int(3.1) */
    int64_t S = frames.shape[1];
    assert_int_equal(S, 37);
    assert_int_equal(frames.shape[0], n);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(((int64_t *)index.data)[i], want[i]);
        assert_int_equal(((int64_t *)holders.data)[i], first[i]);
        assert_float_equal(((double *)time.data)[i], (double)want[i] / 10, 2e-3);
        const uint8_t *middle = (uint8_t *)frames.data + 3 * ((i * S + S / 2) * S + S / 2);
        assert_true(llabs((int64_t)middle[0] - (20 + 4 * want[i])) <= 3);
        assert_int_equal(((uint8_t *)frames.data)[3 * i * S * S], 255);
        assert_int_equal(((uint8_t *)alpha.data)[(i * S + S / 2) * S + S / 2], 255);
        assert_int_equal(((uint8_t *)alpha.data)[i * S * S], 0);
    }
    ch4_store_close(&in);
    for (int i = 0; i < 5; i++)
        ch4_buf_free(&buf[i]);
}

/* First windows of a window w that is new from slot `shared` on; the slots before come from window `from`. */
static const int64_t *holders_of(int64_t w, int64_t shared, int64_t from)
{
    static int64_t first[16];
    for (int64_t i = 0; i < 16; i++)
        first[i] = i < shared ? from : w;
    return first;
}

static void range(int64_t *out, int64_t first, int64_t step, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = first + i * step;
}

static void test_windows_overlap_and_the_last_is_full(void **state)
{
    NEED_FFMPEG();
    int64_t want[16];
    make_video("v40.mkv", 40);
    run_ok("v40.mkv", "plain", NULL, 0);
    assert_int_equal(n_sent, 3);
    for (int64_t w = 0; w < 3; w++) {
        assert_int_equal(sent[w], w);
        assert_int_equal(sent_length[w], 16);
    }
    range(want, 0, 1, 16);
    check_window("plain", 0, want, holders_of(0, 0, 0), 16);
    range(want, 15, 1, 16);
    check_window("plain", 1, want, holders_of(1, 1, 0), 16);
    range(want, 24, 1, 16);
    check_window("plain", 2, want, holders_of(2, 7, 1), 16);
}

static void test_anchor_in_the_middle_goes_both_ways(void **state)
{
    NEED_FFMPEG();
    static const char *const sets[] = {"anchor.frame=20", "decode.window=11", "decode.slide=10"};
    int64_t want[16];
    make_video("v41.mkv", 41);
    run_ok("v41.mkv", "both", sets, 3);
    assert_int_equal(n_sent, 4);
    for (int64_t w = 0; w < 4; w++)
        assert_int_equal(sent[w], w); /* in order, though the left ones lie earlier in the video */
    range(want, 20, 1, 11);
    check_window("both", 0, want, holders_of(0, 0, 0), 11);
    range(want, 30, 1, 11);
    check_window("both", 1, want, holders_of(1, 1, 0), 11);
    range(want, 20, -1, 11);
    check_window("both", 2, want, holders_of(2, 1, 0), 11);
    range(want, 10, -1, 11);
    check_window("both", 3, want, holders_of(3, 1, 2), 11);
}

static void test_restart_makes_the_missing_file_again(void **state)
{
    NEED_FFMPEG();
    make_video("v40b.mkv", 40);
    run_ok("v40b.mkv", "again", NULL, 0);
    assert_int_equal(n_committed, 3);
    assert_int_equal(shell("cd %s/again && sha256sum *.h5 >../sums && rm w0001.decode.h5", dir), 0);
    run_ok("v40b.mkv", "again", NULL, 0);
    assert_int_equal(n_committed, 1);
    assert_int_equal(n_sent, 3);
    assert_int_equal(shell("cd %s/again && sha256sum --quiet -c ../sums", dir), 0);
    run_ok("v40b.mkv", "again", NULL, 0);
    assert_int_equal(n_committed, 0);
    assert_int_equal(n_sent, 3);
}

static void test_short_clips(void **state)
{
    NEED_FFMPEG();
    int64_t want[16];
    make_video("v8.mkv", 8);
    run_ok("v8.mkv", "eight", NULL, 0);
    assert_int_equal(n_sent, 1);
    assert_int_equal(sent_length[0], 8);
    range(want, 0, 1, 8);
    check_window("eight", 0, want, holders_of(0, 0, 0), 8);
    make_video("v1.mkv", 1);
    run_ok("v1.mkv", "one", NULL, 0);
    assert_int_equal(sent_length[0], 1);
    check_window("one", 0, want, holders_of(0, 0, 0), 1);
}

static void test_cancel_and_bad_anchor(void **state)
{
    NEED_FFMPEG();
    ch4_err err = {0};
    make_video("v40c.mkv", 40);
    stop_after = 1;
    assert_int_equal(run("v40c.mkv", "stopped", NULL, 0, &err), CH4_ECANCELED);
    stop_after = -1;
    assert_int_equal(n_committed, 2); /* the second file was there before it was refused */
    static const char *const sets[] = {"anchor.frame=40"};
    assert_int_equal(run("v40c.mkv", "far", sets, 1, &err), CH4_ECONFIG);
    assert_non_null(strstr(err.msg, "only 40 frames"));
}

static int setup(void **state)
{
    (void)state;
    stop_after = -1;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/ch4-windows.XXXXXX", tmp ? tmp : "/tmp");
    have_ffmpeg = shell("ffmpeg -version >/dev/null 2>&1") == 0;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return shell("rm -rf '%s'", dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_overlap_and_the_last_is_full),
        cmocka_unit_test(test_anchor_in_the_middle_goes_both_ways),
        cmocka_unit_test(test_restart_makes_the_missing_file_again),
        cmocka_unit_test(test_short_clips),
        cmocka_unit_test(test_cancel_and_bad_anchor),
    };
    return cmocka_run_group_tests_name("decode_windows", tests, setup, teardown);
}
