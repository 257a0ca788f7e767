/* Reading real files: each is made here with the ffmpeg program. Without it every test is skipped, and says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "stages/decode/clip.h"

static char dir[256];
static bool have_ffmpeg;

static int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *fmt, ...)
{
    char command[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    return system(command);
}

#define NEED_FFMPEG()                                                                                                  \
    do {                                                                                                               \
        (void)state;                                                                                                   \
        if (!have_ffmpeg) {                                                                                            \
            print_message("  reason: no ffmpeg program here\n");                                                       \
            skip();                                                                                                    \
        }                                                                                                              \
    } while (0)

/* A red box of 30 x 20 that moves 2 pixels a frame to the right from (10,12), on a background, 97 x 75, 16 frames a second. */
enum { W = 97, H = 75, BOX_W = 30, BOX_H = 20, BOX_X = 10, BOX_Y = 12, N = 12 };

static void make_moving(const char *name, const char *background, const char *codec)
{
    assert_int_equal(shell("ffmpeg -v error -y -f lavfi -i color=%s:s=200x200:r=16 -f lavfi -i color=0xd02010:s=%dx%d:r=16 "
                           "-filter_complex '[0]format=yuv444p,crop=%d:%d:0:0[b];[1]format=yuv444p[f];[b][f]overlay=x=%d+32*t:y=%d:format=yuv444' -frames:v %d %s %s/%s",
                           background, BOX_W, BOX_H, W, H, BOX_X, BOX_Y, N, codec, dir, name), 0);
}

static char notes[1024];

static void keep_note(void *ctx, const char *text)
{
    (void)ctx;
    size_t n = strlen(notes);
    snprintf(notes + n, sizeof notes - n, "%s\n", text);
}

static const ch4_clip_hooks hooks = {.note = keep_note};

static ch4_clip_options defaults(void)
{
    return (ch4_clip_options){.frames = {.stride = 1, .image_fps = 24},
                              .matte = {.mode = CH4_MATTE_AUTO, .key_tolerance = 24, .key_border = 0.9, .min_foreground = 0.01},
                              .padding = 0.1, .max_side = 512};
}

static ch4_status scan_with(ch4_clip_plan *plan, const char *name, const ch4_clip_options *o, ch4_err *err)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    notes[0] = '\0';
    return ch4_clip_scan(plan, path, o, &hooks, err);
}

static void scan_ok(ch4_clip_plan *plan, const char *name, const ch4_clip_options *o)
{
    ch4_err err = {0};
    if (scan_with(plan, name, o, &err) != CH4_OK)
        fail_msg("%s: %s", name, err.msg);
}

/* The text of the error, which must be of this status and hold this part. */
static void scan_fails(const char *name, const ch4_clip_options *o, ch4_status status, const char *part)
{
    ch4_clip_plan plan;
    ch4_err err = {0};
    assert_int_equal(scan_with(&plan, name, o, &err), status);
    if (!strstr(err.msg, part) || !strstr(err.msg, name))
        fail_msg("'%s' and '%s' expected in: %s", name, part, err.msg);
}

static void near(int64_t a, int64_t b, int64_t slack)
{
    if (llabs(a - b) > slack)
        fail_msg("%lld is not within %lld of %lld", (long long)a, (long long)slack, (long long)b);
}

/* The moving box's union, and red in the middle of where it is in each frame. */
static void check_moving(const char *name, const ch4_clip_options *o, ch4_matte_mode mode, int64_t slack)
{
    ch4_clip_plan p;
    ch4_clip *clip;
    ch4_err err = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    scan_ok(&p, name, o);
    assert_int_equal(p.n_frames, N);
    assert_int_equal(p.mode, mode);
    assert_int_equal(p.width, W);
    assert_int_equal(p.height, H);
    near(p.object.x, BOX_X, slack);
    near(p.object.y, BOX_Y, slack);
    near(p.object.x + p.object.w, BOX_X + 2 * (N - 1) + BOX_W, slack);
    near(p.object.y + p.object.h, BOX_Y + BOX_H, slack);
    assert_int_equal(p.crop.w, p.crop.h);
    assert_int_equal(p.side, p.crop.w);
    assert_int_equal(ch4_clip_open(&clip, path, o, &p, &hooks, &err), CH4_OK);
    uint8_t *rgb = malloc((size_t)(p.side * p.side * 3)), *alpha = malloc((size_t)(p.side * p.side));
    for (int64_t t = 0; t < N; t++) {
        assert_int_equal(ch4_clip_next(clip, rgb, alpha, &err), CH4_OK);
        int64_t x = BOX_X + 2 * t + BOX_W / 2 - p.crop.x, y = BOX_Y + BOX_H / 2 - p.crop.y;
        const uint8_t *c = rgb + 3 * (y * p.side + x);
        near(c[0], 0xd0, 12);
        near(c[1], 0x20, 12);
        near(c[2], 0x10, 12);
        assert_int_equal(alpha[y * p.side + x], 255);
        assert_int_equal(alpha[0], 0);
        assert_int_equal(rgb[0] & rgb[1] & rgb[2], 255);
        int64_t left = BOX_X + 2 * t - 4 - p.crop.x; /* just outside the box: background, gone */
        near(rgb[3 * (y * p.side + left) + 1], 255, 3);
    }
    assert_int_equal(ch4_clip_next(clip, rgb, alpha, &err), CH4_EIO); /* not one more than in the first pass */
    ch4_clip_close(&clip);
    ch4_clip_plan_fini(&p);
    free(rgb);
    free(alpha);
}

static void test_codecs_odd_sizes_and_depths(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    static const struct {
        const char *name, *codec;
    } cases[] = {
        {"h264.mp4", "-c:v libx264 -pix_fmt yuv444p -crf 20"},
        {"hevc10.mp4", "-c:v libx265 -x265-params log-level=none:pools=1:frame-threads=1 -preset ultrafast -pix_fmt yuv444p10le -crf 20"},
        {"vp9_10.webm", "-c:v libvpx-vp9 -profile:v 3 -cpu-used 8 -deadline realtime -pix_fmt yuv444p10le -crf 20 -b:v 0"},
        {"av1.mkv", "-c:v libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p10le -crf 20 -b:v 0"},
        {"ffv1.mkv", "-c:v ffv1 -pix_fmt yuv422p10le"},
        {"mpeg4.avi", "-c:v mpeg4 -pix_fmt yuv420p -q:v 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make_moving(cases[i].name, i % 2 ? "white" : "0x30a040", cases[i].codec);
        check_moving(cases[i].name, &o, CH4_MATTE_KEY, 2);
        assert_string_equal(notes, "");
    }
}

/* Alpha as a moving box of 30 x 20 with its own colour behind it, so that keying would fail. */
static void make_alpha(const char *name, const char *codec)
{
    assert_int_equal(shell("ffmpeg -v error -y -f lavfi -i testsrc2=s=200x200:r=16 -f lavfi -i color=0xd02010:s=%dx%d:r=16 "
                           "-f lavfi -i color=black:s=200x200:r=16 -f lavfi -i color=white:s=%dx%d:r=16 -filter_complex "
                           "'[0]format=gbrp,crop=%d:%d:0:0[b];[1]format=gbrp[f];[b][f]overlay=x=%d+32*t:y=%d:format=gbrp[c];[2]format=gbrp,crop=%d:%d:0:0,format=gray[k];[3]format=gray[w];"
                           "[k][w]overlay=x=%d+32*t:y=%d,format=gray[m];[c][m]alphamerge' -frames:v %d %s %s/%s",
                           BOX_W, BOX_H, BOX_W, BOX_H, W, H, BOX_X, BOX_Y, W, H, BOX_X, BOX_Y, N, codec, dir, name), 0);
}

static void test_alpha_that_codecs_carry(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    make_alpha("vp9a.webm", "-c:v libvpx-vp9 -cpu-used 8 -deadline realtime -pix_fmt yuva420p -crf 15 -b:v 0");
    check_moving("vp9a.webm", &o, CH4_MATTE_ALPHA, 1);
    make_alpha("qtrle.mov", "-c:v qtrle -pix_fmt argb");
    check_moving("qtrle.mov", &o, CH4_MATTE_ALPHA, 0);
    make_alpha("prores4444.mov", "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le");
    check_moving("prores4444.mov", &o, CH4_MATTE_ALPHA, 0);
}

static void test_folder_of_pictures(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    assert_int_equal(shell("mkdir -p %s/pngs", dir), 0);
    make_alpha("pngs/%d.png", "-pix_fmt rgba"); /* 1.png ... 12.png: natural order */
    assert_int_equal(shell("echo notes >%s/pngs/readme.txt", dir), 0);
    check_moving("pngs", &o, CH4_MATTE_ALPHA, 0);
    ch4_clip_plan p;
    o.frames.image_fps = 8;
    o.frames.stride = 5;
    scan_ok(&p, "pngs", &o);
    assert_int_equal(p.n_frames, 3);
    assert_float_equal(p.time[2], 10 / 8.0, 1e-12);
    ch4_clip_plan_fini(&p);
    o.frames.max_frames = 2;
    scan_ok(&p, "pngs", &o);
    assert_int_equal(p.n_frames, 2);
    ch4_clip_plan_fini(&p);
    assert_int_equal(shell("ffmpeg -v error -y -f lavfi -i color=white:s=20x20 -frames:v 1 %s/pngs/13.png", dir), 0);
    o = defaults();
    scan_fails("pngs", &o, CH4_EFORMAT, "13.png");
}

static void test_mask_beside_and_in_pairs(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    char mask[512];
    make_alpha("a.mov", "-c:v qtrle -pix_fmt argb");
    assert_int_equal(shell("cd %s && ffmpeg -v error -y -i a.mov -vf alphaextract,scale=194:150:flags=neighbor -c:v libx264 -crf 15 -pix_fmt yuv420p mask.mp4 && "
                           "ffmpeg -v error -y -i a.mov -pix_fmt yuv444p -c:v libx264 -crf 15 busy.mp4", dir), 0);
    scan_fails("busy.mp4", &o, CH4_EFORMAT, "--mask");
    snprintf(mask, sizeof mask, "%s/mask.mp4", dir);
    o.mask = mask; /* twice the size of the clip */
    check_moving("busy.mp4", &o, CH4_MATTE_MASK, 1);
    assert_int_equal(shell("cd %s && mkdir pairs && ffmpeg -v error -y -i a.mov -pix_fmt rgb24 pairs/f%%02d_image.png && "
                           "ffmpeg -v error -y -i a.mov -vf alphaextract pairs/f%%02d_mask.png", dir), 0);
    o.mask = NULL;
    check_moving("pairs", &o, CH4_MATTE_MASK, 0);
    assert_int_equal(shell("cd %s && ffmpeg -v error -y -i mask.mp4 -frames:v 7 short.mp4", dir), 0);
    snprintf(mask, sizeof mask, "%s/short.mp4", dir);
    o.mask = mask;
    ch4_clip_plan p;
    scan_ok(&p, "busy.mp4", &o);
    assert_int_equal(p.n_frames, 7);
    assert_non_null(strstr(notes, "mask ends after 7 frames"));
    ch4_clip_plan_fini(&p);
    assert_int_equal(shell("rm %s/pairs/f03_mask.png", dir), 0);
    o.mask = NULL;
    scan_fails("pairs", &o, CH4_EFORMAT, "f03_image.png");
}

static void test_rotation_is_undone(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    make_moving("flat.mp4", "white", "-c:v libx264 -pix_fmt yuv444p -crf 12");
    assert_int_equal(shell("cd %s && ffmpeg -v error -y -i flat.mp4 -c copy -metadata:s:v rotate=90 turned.mp4 && "
                           "ffmpeg -v error -y -i turned.mp4 -c:v libx264 -pix_fmt yuv444p -crf 12 upright.mp4", dir), 0);
    ch4_clip_plan turned, upright;
    scan_ok(&upright, "upright.mp4", &o); /* ffmpeg turned the pixels themselves */
    scan_ok(&turned, "turned.mp4", &o);
    assert_int_equal(turned.width, H);
    assert_int_equal(turned.height, W);
    assert_int_equal(upright.width, H);
    near(turned.object.x, upright.object.x, 1);
    near(turned.object.y, upright.object.y, 1);
    near(turned.object.w, upright.object.w, 1);
    near(turned.object.h, upright.object.h, 1);
    assert_true(turned.object.h > turned.object.w); /* it moved along x, now along y */
    ch4_clip_plan_fini(&turned);
    ch4_clip_plan_fini(&upright);
}

static void test_variable_frame_rate_keeps_times(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    make_moving("vfr.mkv", "white", "-vsync passthrough -c:v libx264 -crf 20");
    assert_int_equal(shell("cd %s && ffmpeg -v error -y -i vfr.mkv -vf \"setpts='N*N/(100*TB)'\" -vsync passthrough -enc_time_base 1:1000 -c:v libx264 vfr2.mkv", dir), 0);
    ch4_clip_plan p;
    scan_ok(&p, "vfr2.mkv", &o);
    assert_int_equal(p.n_frames, N);
    for (int64_t t = 0; t < N; t++)
        assert_float_equal(p.time[t] - p.time[0], (double)(t * t) / 100, 2e-3);
    ch4_clip_plan_fini(&p);
}

static void test_wide_pixels_become_square(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    make_moving("flat2.mp4", "white", "-c:v libx264 -pix_fmt yuv444p -crf 12");
    assert_int_equal(shell("cd %s && ffmpeg -v error -y -i flat2.mp4 -vf setsar=2 -c:v libx264 -pix_fmt yuv444p sar.mp4", dir), 0);
    ch4_clip_plan p;
    scan_ok(&p, "sar.mp4", &o);
    assert_int_equal(p.width, 2 * W);
    near(p.object.x, 2 * BOX_X, 3);
    near(p.object.w, 2 * (BOX_W + 2 * (N - 1)), 6);
    ch4_clip_plan_fini(&p);
}

static void test_large_crops_are_shrunk(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    make_moving("flat3.mp4", "white", "-c:v libx264 -pix_fmt yuv444p -crf 12");
    o.max_side = 32;
    ch4_clip_plan p;
    ch4_clip *clip;
    ch4_err err = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/flat3.mp4", dir);
    scan_ok(&p, "flat3.mp4", &o);
    assert_int_equal(p.side, 32);
    near(p.crop.w, 62, 3);
    uint8_t rgb[32 * 32 * 3], alpha[32 * 32];
    assert_int_equal(ch4_clip_open(&clip, path, &o, &p, NULL, &err), CH4_OK);
    assert_int_equal(ch4_clip_next(clip, NULL, NULL, &err), CH4_OK); /* frame 0 is skipped */
    assert_int_equal(ch4_clip_next(clip, rgb, alpha, &err), CH4_OK);
    int64_t solid = 0;
    for (int i = 0; i < 32 * 32; i++)
        solid += alpha[i] > 127;
    near(solid, (int64_t)(BOX_W * BOX_H * 32.0 * 32 / (double)(p.crop.w * p.crop.w)), 30);
    ch4_clip_close(&clip);
    ch4_clip_plan_fini(&p);
}

static void test_truncated_files(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    /* Noise makes frames large, so that a cut in the middle of the file falls in the middle of the frames. */
    assert_int_equal(shell("cd %s && ffmpeg -v error -y -f lavfi -i color=white:s=128x96:r=16 -f lavfi -i testsrc2=s=64x48:r=16 -filter_complex "
                           "'[1]noise=alls=60:allf=t[f];[0][f]overlay=x=30:y=20' -frames:v 60 -c:v libx264 -g 10 -crf 10 -pix_fmt yuv420p -movflags +faststart whole.mp4 && "
                           "head -c $(($(stat -c %%s whole.mp4) * 6 / 10)) whole.mp4 >cut.mp4 && "
                           "ffmpeg -v error -y -i whole.mp4 -c copy tail.mp4 && head -c $(($(stat -c %%s tail.mp4) * 6 / 10)) tail.mp4 >headless.mp4", dir), 0);
    ch4_clip_plan p;
    scan_ok(&p, "whole.mp4", &o);
    assert_int_equal(p.n_frames, 60);
    assert_string_equal(notes, "");
    ch4_clip_plan_fini(&p);
    scan_ok(&p, "cut.mp4", &o);
    near(p.n_frames, 36, 8);
    assert_non_null(strstr(notes, "cut off after"));
    assert_non_null(strstr(notes, "of 60 frames"));
    ch4_clip_plan_fini(&p);
    scan_fails("headless.mp4", &o, CH4_EFORMAT, "the index at the end of the mp4 is missing"); /* the index that mp4 keeps at the end is gone */
}

static void test_empty_frames_and_missing_foreground(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    /* The box is there in frames 0 to 4 only. */
    assert_int_equal(shell("cd %s && ffmpeg -v error -y -f lavfi -i color=white:s=96x72:r=16 -f lavfi -i color=red:s=30x20:r=16 -filter_complex "
                           "\"[0][1]overlay=x=10:y=10:enable='lt(n,5)'\" -frames:v 9 -c:v libx264 -pix_fmt yuv420p leaves.mp4 && "
                           "ffmpeg -v error -y -f lavfi -i color=white:s=96x72:r=16 -frames:v 9 -c:v libx264 -pix_fmt yuv420p blank.mp4", dir), 0);
    ch4_clip_plan p;
    scan_ok(&p, "leaves.mp4", &o);
    assert_int_equal(p.n_frames, 9);
    assert_int_equal(p.n_empty, 4);
    assert_non_null(strstr(notes, "4 of 9 frames show no object"));
    ch4_clip_plan_fini(&p);
    scan_fails("blank.mp4", &o, CH4_EFORMAT, "frame 0: no foreground found");
    o.anchor = 6;
    scan_fails("leaves.mp4", &o, CH4_EFORMAT, "frame 6: no foreground found");
    o.anchor = 9;
    scan_fails("leaves.mp4", &o, CH4_ECONFIG, "only 9 frames");
}

static void test_anchor_is_chosen_where_the_object_is_large_and_sharp(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    o.anchor = -1;
    /* Nothing up to frame 2, small from there on, large from 5 on, and blurred in all frames but 6. */
    assert_int_equal(shell("cd %s && ffmpeg -v error -y -f lavfi -i color=white:s=96x72:r=16 -f lavfi -i testsrc=s=30x20:r=16 -f lavfi -i testsrc=s=60x50:r=16 "
                           "-filter_complex \"[1]setpts=PTS[a];[2]gblur=sigma=4:enable='not(eq(n,6))'[b];[0][a]overlay=x=20:y=10:enable='gte(n,2)'[c];"
                           "[c][b]overlay=x=20:y=10:enable='gte(n,5)'\" -frames:v 9 -c:v ffv1 -pix_fmt gbrp grows.mkv", dir), 0);
    ch4_clip_plan p;
    scan_ok(&p, "grows.mkv", &o);
    assert_int_equal(p.anchor, 6);
    assert_int_equal(p.n_empty, 2);
    ch4_clip_plan_fini(&p);
    scan_fails("blank.mp4", &o, CH4_EFORMAT, "no foreground found in any of 9 frames");
    o.anchor = 4;
    scan_ok(&p, "grows.mkv", &o);
    assert_int_equal(p.anchor, 4);
    ch4_clip_plan_fini(&p);
}

static void test_one_picture_is_a_clip(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    make_alpha("one_%d.png", "-pix_fmt rgba");
    ch4_clip_plan p;
    scan_ok(&p, "one_1.png", &o);
    assert_int_equal(p.n_frames, 1);
    assert_int_equal(p.object.w, BOX_W);
    assert_int_equal(p.object.x, BOX_X);
    ch4_clip_plan_fini(&p);
}

static void test_files_that_are_no_video(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    assert_int_equal(shell("cd %s && : >empty.mp4 && seq 2000 >text.mp4 && printf 'file empty.mp4\\n' >list.mp4 && "
                           "printf '#EXTM3U\\n#EXTINF:1,\\nempty.mp4\\n' >play.mp4 && mkdir nothing && head -c 50000 /dev/zero >zeros.mp4 && "
                           "ffmpeg -v error -y -f lavfi -i sine=d=1 sound.wav", dir), 0);
    scan_fails("empty.mp4", &o, CH4_EFORMAT, "empty");
    scan_fails("text.mp4", &o, CH4_EFORMAT, "not a video");
    scan_fails("list.mp4", &o, CH4_EFORMAT, "not a video");
    scan_fails("play.mp4", &o, CH4_EFORMAT, "not a video");
    scan_fails("zeros.mp4", &o, CH4_EFORMAT, "not a video");
    scan_fails("nothing", &o, CH4_EFORMAT, "no picture");
    scan_fails("absent.mp4", &o, CH4_ENOENT, "No such file");
    scan_fails("sound.wav", &o, CH4_EFORMAT, "no video stream");
    if (geteuid() != 0) { /* root reads everything */
        assert_int_equal(shell("cd %s && cp text.mp4 locked.mp4 && chmod 0 locked.mp4", dir), 0);
        scan_fails("locked.mp4", &o, CH4_EFORMAT, "Permission denied");
    }
}

static int n_removed;

/* Stands in for the network: what is redder than green is the object. */
static ch4_status keep_red(void *ctx, uint8_t *rgba, int64_t width, int64_t height, ch4_err *err)
{
    if (ctx)
        return ch4_err_set(err, CH4_EFORMAT, "no weights");
    n_removed++;
    for (int64_t i = 0; i < width * height; i++)
        rgba[4 * i + 3] = rgba[4 * i] > rgba[4 * i + 1] + 80 ? 255 : 0;
    return CH4_OK;
}

static void test_background_remover_runs_once_per_frame(void **state)
{
    NEED_FFMPEG();
    ch4_clip_options o = defaults();
    ch4_clip_plan p;
    o.scratch = dir;
    make_moving("plain.mp4", "white", "-c:v libx264 -qp 4 -pix_fmt yuv444p");
    o.matte.remove = keep_red;
    check_moving("plain.mp4", &o, CH4_MATTE_RMBG, 1); /* before keying */
    assert_int_equal(n_removed, N);
    make_moving("blue.mp4", "0x2020d0", "-c:v libx264 -qp 4 -pix_fmt yuv444p");
    o.matte.mode = CH4_MATTE_RMBG;
    check_moving("blue.mp4", &o, CH4_MATTE_RMBG, 1);
    assert_int_equal(shell("test -z \"$(ls -A '%s' | grep masks)\"", dir), 0);
    o.matte.remove_ctx = &o;
    assert_int_equal(scan_with(&p, "blue.mp4", &o, NULL), CH4_EFORMAT);
    o.matte.remove_ctx = NULL;
    o.scratch = "/nonexistent/folder";
    assert_int_equal(scan_with(&p, "blue.mp4", &o, NULL), CH4_ENOENT);
    o.matte.remove = NULL;
    assert_int_equal(scan_with(&p, "blue.mp4", &o, NULL), CH4_ECONFIG);
    o.matte.mode = CH4_MATTE_KEY;
    o.scratch = NULL;
    check_moving("blue.mp4", &o, CH4_MATTE_KEY, 1);
}

static int setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/ch4-media.XXXXXX", tmp ? tmp : "/tmp");
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
        cmocka_unit_test(test_codecs_odd_sizes_and_depths),
        cmocka_unit_test(test_alpha_that_codecs_carry),
        cmocka_unit_test(test_folder_of_pictures),
        cmocka_unit_test(test_mask_beside_and_in_pairs),
        cmocka_unit_test(test_rotation_is_undone),
        cmocka_unit_test(test_variable_frame_rate_keeps_times),
        cmocka_unit_test(test_wide_pixels_become_square),
        cmocka_unit_test(test_large_crops_are_shrunk),
        cmocka_unit_test(test_truncated_files),
        cmocka_unit_test(test_empty_frames_and_missing_foreground),
        cmocka_unit_test(test_background_remover_runs_once_per_frame),
        cmocka_unit_test(test_anchor_is_chosen_where_the_object_is_large_and_sharp),
        cmocka_unit_test(test_one_picture_is_a_clip),
        cmocka_unit_test(test_files_that_are_no_video),
    };
    return cmocka_run_group_tests_name("decode_media", tests, setup, teardown);
}
