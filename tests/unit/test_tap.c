/* lib/bus/tap: what listeners get, what is counted, and that a stage neither waits for them nor pays for those who are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "bus/tap.h"

typedef struct world {
    char dir[64];
    ch4_identity me;
    ch4_bus *bus;
    ch4_tap_out *tap;
    ch4_msg *window;
} world;

typedef struct ear {
    ch4_identity me;
    ch4_bus *bus;
    ch4_tap_in *tap;
} ear;

static ch4_identity make_identity(const char *name, uint64_t incarnation)
{
    ch4_identity id = {.epoch = 3, .incarnation = incarnation};
    memset(id.run_id, 'a', 32);
    snprintf(id.name, sizeof id.name, "%s", name);
    return id;
}

static ch4_msg *make_window(const ch4_identity *me, int64_t index)
{
    Ch4__Part part = CH4__PART__INIT;
    part.stage = "denoise", part.file = "walker/w0000.denoise.h5", part.checksum = "0123456789abcdef0123456789abcdef", part.bytes = 7;
    Ch4__Part *parts[1] = {&part};
    Ch4__Window win = CH4__WINDOW__INIT;
    win.clip = "walker", win.input = "/walker.mp4", win.index = index, win.n_windows = 100, win.n_frames = 16;
    win.n_parts = 1, win.parts = parts;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_WINDOW, e.window = &win;
    ch4_msg *msg;
    ch4_err err;
    if (ch4_msg_encode(&msg, me, &e, &err)) fail_msg("%s", err.msg);
    return msg;
}

static int setup(void **state)
{
    world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/ch4-tap-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(ch4_bus_make_folder(w->dir, NULL), CH4_OK);
    w->me = make_identity("chain", 11);
    assert_int_equal(ch4_bus_create(&w->bus, w->dir, &w->me, NULL), CH4_OK);
    assert_int_equal(ch4_tap_out_open(&w->tap, w->bus, "chain", NULL), CH4_OK);
    w->window = make_window(&w->me, 4);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    ch4_tap_out_close(&w->tap);
    ch4_bus_destroy(&w->bus);
    ch4_msg_destroy(&w->window);
    ch4_bus_remove_folder(w->dir);
    assert_int_equal(rmdir(w->dir), 0);
    free(w);
    return 0;
}

static ear listen(world *w, const char *name)
{
    ear e = {.me = make_identity(name, 21)};
    assert_int_equal(ch4_bus_create(&e.bus, w->dir, &e.me, NULL), CH4_OK);
    assert_int_equal(ch4_tap_in_open(&e.tap, e.bus, "chain", NULL), CH4_OK);
    return e;
}

static void leave(ear *e)
{
    ch4_tap_in_close(&e->tap);
    ch4_bus_destroy(&e->bus);
}

/* Both ends work until the stage has `listeners` and the ear its welcome. */
static void attach(world *w, ear *e, int64_t listeners)
{
    for (double end = ch4_clock_seconds() + 20; ch4_clock_seconds() < end; usleep(500)) {
        assert_int_equal(ch4_tap_in_tick(e->tap, ch4_clock_seconds(), NULL), CH4_OK);
        assert_int_equal(ch4_tap_out_serve(w->tap, NULL), CH4_OK);
        ch4_msg *msg;
        assert_int_equal(ch4_tap_in_try_recv(e->tap, &msg, NULL), CH4_EAGAIN);
        if (ch4_tap_in_welcome(e->tap) && ch4_tap_out_counts(w->tap).listeners == listeners) return;
    }
    fail_msg("no welcome");
}

/* Everything that comes until it has been quiet for a while; returns how many, *last is the last one's sequence. */
static int hear(ear *e, int64_t *last)
{
    int n = 0;
    for (double quiet = ch4_clock_seconds() + 0.5; ch4_clock_seconds() < quiet;) {
        ch4_msg *msg;
        ch4_err err;
        ch4_status status = ch4_tap_in_try_recv(e->tap, &msg, &err);
        if (status == CH4_EAGAIN) {
            usleep(1000);
            continue;
        }
        if (status) fail_msg("%s", err.msg);
        const Ch4__Tap *t = ch4_msg_get_envelope(msg)->tap;
        assert_non_null(t->window);
        assert_int_equal(t->window->index, 4);
        *last = t->sequence;
        ch4_msg_destroy(&msg);
        n++;
        quiet = ch4_clock_seconds() + 0.5;
    }
    return n;
}

static void test_each_listener_gets_all(void **state)
{
    world *w = *state;
    ch4_tap_out_publish(w->tap, w->window, false); /* before anybody listens: no gap to those who come later */
    ear a = listen(w, "tap.1"), b = listen(w, "tap.2");
    attach(w, &a, 1);
    attach(w, &b, 2);
    int64_t last = 0;
    for (int i = 0; i < 20; i++) ch4_tap_out_publish(w->tap, w->window, i % 2);
    assert_int_equal(hear(&a, &last), 20);
    assert_int_equal(last, 21);
    assert_int_equal(hear(&b, &last), 20);
    assert_int_equal(ch4_tap_in_missed(a.tap), 0);
    leave(&b);
    for (double end = ch4_clock_seconds() + 20; ch4_tap_out_counts(w->tap).listeners > 1 && ch4_clock_seconds() < end; usleep(500)) ch4_tap_out_serve(w->tap, NULL);
    assert_int_equal(ch4_tap_out_counts(w->tap).listeners, 1); /* it said so */
    ch4_tap_out_publish(w->tap, w->window, true);
    assert_int_equal(hear(&a, &last), 1);
    const ch4_tap_counts n = ch4_tap_out_counts(w->tap);
    assert_int_equal(n.passed, 22);
    assert_int_equal(n.dropped, 0);
    leave(&a);
}

/* What one that stands still has no room for is counted on both sides, to the message; another one gets everything meanwhile. */
static void test_slow_listener_is_counted(void **state)
{
    world *w = *state;
    ear slow = listen(w, "tap.1"), quick = listen(w, "tap.2");
    attach(w, &slow, 1);
    attach(w, &quick, 2);
    int64_t last = 0;
    int heard = 0;
    for (int i = 0; i < 3000; i++) {
        double t = ch4_clock_seconds();
        ch4_tap_out_publish(w->tap, w->window, true);
        assert_true(ch4_clock_seconds() - t < 1); /* never waits */
        ch4_msg *msg;
        while (ch4_tap_in_try_recv(quick.tap, &msg, NULL) == CH4_OK) {
            ch4_msg_destroy(&msg);
            heard++;
        }
        if (i % 16 == 15) usleep(2000);
    }
    heard += hear(&quick, &last);
    const int64_t quick_lost = 3000 - heard;
    const int64_t lost = ch4_tap_out_counts(w->tap).dropped;
    assert_true(lost > 100);
    assert_true(quick_lost < 300); /* it reads; the machine may hold it up for a moment */
    int got = hear(&slow, &last);
    assert_true(got < 3000);
    ch4_tap_out_publish(w->tap, w->window, true); /* shows it what it missed before */
    assert_int_equal(hear(&slow, &last), 1);
    assert_int_equal(last, 3001);
    assert_int_equal(ch4_tap_in_missed(slow.tap), 3000 - got);
    assert_int_equal(lost, 3000 - got + quick_lost);
    leave(&slow);
    leave(&quick);
}

static void test_silent_listener_is_forgotten(void **state)
{
    world *w = *state;
    ear a = listen(w, "tap.1");
    attach(w, &a, 1);
    for (double end = ch4_clock_seconds() + CH4_TAP_TTL + 10; ch4_tap_out_counts(w->tap).listeners && ch4_clock_seconds() < end; usleep(20000))
        assert_int_equal(ch4_tap_out_serve(w->tap, NULL), CH4_OK);
    assert_int_equal(ch4_tap_out_counts(w->tap).listeners, 0);
    leave(&a);
}

static void test_no_listener_no_cost(void **state)
{
    world *w = *state;
    struct timespec a, b;
    enum { N = 200000 };
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    for (int i = 0; i < N; i++) ch4_tap_out_publish(w->tap, w->window, true);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    const double each = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / N;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    for (int i = 0; i < N / 10; i++) ch4_tap_out_serve(w->tap, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    const double serve = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / (N / 10);
    print_message("without a listener: %.1f ns for a message, %.0f ns for a turn of the loop\n", each, serve);
    assert_true(each < 1000);   /* packing alone takes more */
    assert_true(serve < 100000);
    assert_int_equal(ch4_tap_out_counts(w->tap).passed, N);
    assert_int_equal(ch4_tap_out_counts(w->tap).copies, 0);
    ear e = listen(w, "tap.1");
    attach(w, &e, 1);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    for (int i = 0; i < 1000; i++) ch4_tap_out_publish(w->tap, w->window, true);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    print_message("with one: %.1f us for a message\n", ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e6);
    leave(&e);
}

static void test_socket_is_private(void **state)
{
    world *w = *state;
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/bus/chain.tap", w->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_other_runs_are_refused(void **state)
{
    world *w = *state;
    ear e = {.me = make_identity("tap.9", 5)};
    e.me.epoch = 2;
    assert_int_equal(ch4_bus_create(&e.bus, w->dir, &e.me, NULL), CH4_OK);
    assert_int_equal(ch4_tap_in_open(&e.tap, e.bus, "chain", NULL), CH4_OK);
    ch4_err err = {0};
    ch4_status status = CH4_OK;
    for (double end = ch4_clock_seconds() + 20; !status && ch4_clock_seconds() < end; usleep(1000)) {
        ch4_tap_in_tick(e.tap, ch4_clock_seconds(), NULL);
        status = ch4_tap_out_serve(w->tap, &err);
    }
    assert_int_equal(status, CH4_EPROTO);
    assert_string_equal(err.msg, "message of epoch 2, this is epoch 3");
    assert_int_equal(ch4_tap_out_counts(w->tap).listeners, 0);
    leave(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_listener_gets_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_listener_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_listener_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_listener_no_cost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_socket_is_private, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_runs_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
