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
        cmocka_unit_test(clips_of_every_length_from_every_anchor),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
