/* Clips of any length from any anchor frame, through the real programs with a small model of random weights: one mesh for every frame, and windows
 * that join where they share a frame. What the meshes look like does not matter here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "mesh/mesh.h"
#include "store/store.h"
#include "tensor/npy.h"
#include "tests/support/random_model.h"
#include "tests/support/shapes.h"

static char dir[256], bin[4096];

static int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *fmt, ...)
{
    char command[16384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    return system(command);
}

/* --- runs --------------------------------------------------------------------------------------------------------------------- */

/* The first `frames` frames of the clip; `more` are further options. */
static void run(const char *out, int64_t frames, const char *more)
{
    int code = shell("'%s/chain4d' run '%s/syn/creature_s1000000/video.mp4' --model '%s/model' --mesh '%s/ball.obj' -o '%s/%s' --quiet --threads 1 --frames %d "
                     "--set chain.resolution=8 --set chain.candidates_min=64 --set chain.landmarks=24 --set pose.track_stride=64 --set pose.iterations=10 "
                     "--set sink.glb=false --set sink.keep=true --set pipeline.heartbeat_s=0.1 --set decode.max_side=64 %s >'%s/log' 2>&1",
                     bin, dir, dir, dir, dir, out, (int)frames, more, dir);
    if (code) {
        shell("tail -n 5 '%s/log'", dir);
        fail_msg("%s: chain4d run: exit %d", out, code);
    }
}

static void read_array(ch4_buf *buf, ch4_tensor *t, const char *out, int64_t window, const char *stage, const char *name)
{
    char path[600];
    ch4_store_reader *r;
    ch4_err err = {0};
    snprintf(path, sizeof path, "%s/%s/video/w%04d.%s.h5", dir, out, (int)window, stage);
    ch4_status st = ch4_store_open(&r, path, &err);
    if (!st)
        st = ch4_store_stat(r, name, t, &err);
    if (!st)
        st = ch4_store_read(r, name, t->dtype, t->rank, NULL, buf, t, &err);
    if (st)
        fail_msg("%s: %s: %s", path, name, err.msg);
    ch4_store_close(&r);
}

/* All frames are there, finite, and the anchor frame shows the given mesh. */
static void check_meshes(const char *out, int64_t frames, int64_t anchor)
{
    char path[600];
    ch4_buf buf;
    ch4_tensor t;
    ch4_mesh ball = ch4_test_sphere(3, 0.6, 0);
    ch4_err err = {0};
    snprintf(path, sizeof path, "%s/%s/video/vertices.npy", dir, out);
    if (ch4_npy_load(&buf, &t, path, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(t.rank, 3);
    assert_int_equal(t.shape[0], frames);
    assert_int_equal(t.shape[1], ball.n_vert);
    const float *v = t.data;
    for (int64_t i = 0; i < frames * ball.n_vert * 3; i++)
        assert_true(isfinite(v[i]));
    for (int64_t i = 0; i < ball.n_vert * 3; i++)
        assert_true(fabsf(v[anchor * ball.n_vert * 3 + i] - ball.vert[i]) < 1e-6f);
    ch4_buf_free(&buf);
    ch4_mesh_fini(&ball);
}

/* Slot of a frame in a window, -1: not there. */
static int64_t slot_of(const int64_t *frame, int64_t T, int64_t wanted)
{
    for (int64_t i = 0; i < T; i++)
        if (frame[i] == wanted)
            return i;
    return -1;
}

/* Each window begins where the first window that holds its anchor frame has left the mesh, vertex for vertex; that frame is beside a new one. Returns the
 * number of windows. */
static int64_t check_joins(const char *out)
{
    int64_t w = 0;
    for (;; w++) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s/video/w%04d.animate.h5", dir, out, (int)w);
        if (access(path, R_OK))
            return w;
        ch4_buf fb, hb, vb, pb, qb;
        ch4_tensor frame, first, now, before, theirs;
        read_array(&fb, &frame, out, w, "decode", "/frame_index");
        read_array(&hb, &first, out, w, "decode", "/first_window");
        read_array(&vb, &now, out, w, "animate", "/vertices");
        int64_t T = frame.shape[0], a = 0, n = now.shape[1] * 3;
        const int64_t *f = frame.data, *h = first.data;
        while (a + 1 < T && h[a + 1] < w)
            a++;
        assert_int_equal(now.shape[0], T);
        if (w > 0) {
            assert_true(h[a] < w && h[a + 1] == w && llabs(f[a + 1] - f[a]) == 1);
            read_array(&pb, &theirs, out, h[a], "decode", "/frame_index");
            read_array(&qb, &before, out, h[a], "animate", "/vertices");
            int64_t slot = slot_of(theirs.data, theirs.shape[0], f[a]);
            assert_true(slot >= 0);
            assert_memory_equal((float *)now.data + a * n, (float *)before.data + slot * n, (size_t)n * sizeof(float));
            ch4_buf_free(&pb);
            ch4_buf_free(&qb);
        }
        ch4_buf_free(&fb);
        ch4_buf_free(&hb);
        ch4_buf_free(&vb);
    }
}

/* --- tests -------------------------------------------------------------------------------------------------------------------- */

static void clips_of_every_length_from_every_anchor(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 2, 15, 16, 17, 31, 240, 241};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int64_t n = lengths[i], anchors[] = {0, n / 2, n - 1};
        for (int k = 0; k < 3; k++) {
            char out[32], set[64];
            if (k > 0 && anchors[k] == anchors[k - 1])
                continue;
            snprintf(out, sizeof out, "n%d_a%d", (int)n, (int)anchors[k]);
            snprintf(set, sizeof set, "--set anchor.frame=%d", (int)anchors[k]);
            run(out, n, set);
            check_meshes(out, n, anchors[k]);
            assert_int_equal(check_joins(out), n <= 16 ? 1 : n <= 31 ? 2 : 16);
            shell("rm -rf '%s/%s'", dir, out);
        }
    }
}

static int64_t attribute(const char *out, int64_t window, const char *name)
{
    char path[600];
    ch4_store_reader *r;
    int64_t v = -1;
    ch4_err err = {0};
    snprintf(path, sizeof path, "%s/%s/video/w%04d.denoise.h5", dir, out, (int)window);
    if (ch4_store_open(&r, path, &err) || ch4_store_get_int(r, name, &v, &err))
        fail_msg("%s", err.msg);
    ch4_store_close(&r);
    return v;
}

/* Largest difference of the latents of frame `frame` between two windows that hold it. */
static float latent_change(const char *out, int64_t frame, int64_t v, int64_t w)
{
    ch4_buf fb[2], zb[2];
    ch4_tensor f[2], z[2];
    float change = 0;
    const float *at[2];
    for (int i = 0; i < 2; i++) {
        read_array(&fb[i], &f[i], out, i ? w : v, "denoise", "/frame_index");
        read_array(&zb[i], &z[i], out, i ? w : v, "denoise", "/latents");
        at[i] = (float *)z[i].data + slot_of(f[i].data, f[i].shape[0], frame) * z[i].shape[1] * z[i].shape[2];
    }
    for (int64_t i = 0; i < z[0].shape[1] * z[0].shape[2]; i++)
        change = fmaxf(change, fabsf(at[0][i] - at[1][i]));
    for (int i = 0; i < 2; i++) {
        ch4_buf_free(&fb[i]);
        ch4_buf_free(&zb[i]);
    }
    return change;
}

/* 61 frames from the middle: windows 30..45, 45..60, 30..15, 15..0. */
static void anchors_are_handed_over(void **state)
{
    (void)state;
    static const int64_t shared[4] = {-1, 45, 30, 15}, from[4] = {0, 0, 0, 2};
    static const struct {
        const char *option;
        bool again[4]; /* is the window's anchor encoded anew? */
    } modes[] = {{"latent", {0}}, {"reencode", {0, 1, 1, 1}}, {"reencode:2", {0, 0, 1, 0}}};
    for (int i = 0; i < 3; i++) {
        char set[100];
        snprintf(set, sizeof set, "--set anchor.frame=30 --set anchor.handover=%s", modes[i].option);
        run(modes[i].option, 61, set);
        check_meshes(modes[i].option, 61, 30);
        assert_int_equal(check_joins(modes[i].option), 4);
        for (int64_t w = 1; w < 4; w++) {
            float change = latent_change(modes[i].option, shared[w], from[w], w);
            assert_true(modes[i].again[w] ? change > 1e-3f || w == 2 : change == 0);
            assert_int_equal(attribute(modes[i].option, w, "encoded"), 1);
        }
        if (i > 0) /* window 2 begins where the mesh has not moved: the same mesh, the same spots, the same latent but for rounding */
            assert_true(latent_change(modes[i].option, 30, 0, 2) < 1e-4f);
    }
}

/* Every mode runs to the end, and reinforces the windows that it says, whatever the number of threads and windows on their way. */
static void modes_of_reinforcement(void **state)
{
    (void)state;
    static const char *const modes[] = {"off", "window", "next", "both"};
    for (int i = 0; i < 4; i++) {
        char set[200];
        snprintf(set, sizeof set, "--set reinforce.mode=%s --set reinforce.after=1 --set reinforce.landmarks=16", modes[i]);
        run(modes[i], 46, set);
        check_meshes(modes[i], 46, 0);
        assert_int_equal(check_joins(modes[i]), 3);
        for (int64_t w = 0; w < 3; w++) {
            bool window = i == 1 || i == 3, next = i >= 2 && w > 0;
            assert_int_equal(attribute(modes[i], w, "reinforced_pairs") > 0, window || next);
        }
    }
    run("again", 46, "--set reinforce.mode=both --set reinforce.after=1 --set reinforce.landmarks=16 --set pipeline.windows=1 --threads 2");
    assert_int_equal(shell("diff -r '%s/both/video' '%s/again/video'", dir, dir), 0);
    assert_int_not_equal(shell("cmp -s '%s/off/video/vertices.npy' '%s/both/video/vertices.npy'", dir, dir), 0);
    run("rows", 46, "--set chain.rows=handover"); /* as ever in the first window, but not in the later ones */
    check_meshes("rows", 46, 0);
    assert_int_equal(check_joins("rows"), 3);
    for (int64_t w = 0; w < 2; w++) {
        ch4_buf b[2];
        ch4_tensor path[2];
        read_array(&b[0], &path[0], "off", w, "chain", "/landmarks/path");
        read_array(&b[1], &path[1], "rows", w, "chain", "/landmarks/path");
        assert_true(b[0].size == b[1].size && (memcmp(b[0].data, b[1].data, b[0].size) == 0) == (w == 0));
        ch4_buf_free(&b[0]);
        ch4_buf_free(&b[1]);
    }
}

/* --- a model, a clip, a mesh ------------------------------------------------------------------------------------------------------ */

static int setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    ch4_err err = {0};
    char path[600];
    ssize_t n = readlink("/proc/self/exe", bin, sizeof bin - 8);
    if (n < 0)
        return -1;
    bin[n] = 0;
    for (int up = 0; up < 3; up++) /* BUILD/tests/e2e/test_rollout */
        *strrchr(bin, '/') = 0;
    strcat(bin, "/bin");
    snprintf(dir, sizeof dir, "%s/ch4-rollout.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/model", dir);
    if (random_model_save(path, "models/mini", &err)) {
        print_message("%s\n", err.msg);
        return -1;
    }
    snprintf(path, sizeof path, "%s/ball.obj", dir);
    ch4_mesh ball = ch4_test_sphere(3, 0.6, 0);
    FILE *f = fopen(path, "we");
    for (int64_t i = 0; f && i < ball.n_vert; i++)
        fprintf(f, "v %.9g %.9g %.9g\n", ball.vert[3 * i], ball.vert[3 * i + 1], ball.vert[3 * i + 2]);
    for (int64_t i = 0; f && i < ball.n_face; i++)
        fprintf(f, "f %d %d %d\n", ball.face[3 * i] + 1, ball.face[3 * i + 1] + 1, ball.face[3 * i + 2] + 1);
    ch4_mesh_fini(&ball);
    if (!f || fclose(f))
        return -1;
    return shell("'%s/chain4d-synth' creatures '%s/syn' --frames 241 --size 64 --points 10 >/dev/null", bin, dir);
}

static int teardown(void **state)
{
    (void)state;
    return shell("rm -rf '%s'", dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anchors_are_handed_over),
        cmocka_unit_test(modes_of_reinforcement),
        cmocka_unit_test(clips_of_every_length_from_every_anchor),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
