/* lib/bus: what is refused, credit, acknowledgement, custody over restarts. Two ends in one process, each with its own bus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "base/base.h"
#include "bus/edge.h"

typedef struct world {
    char dir[64];
    ch4_identity up, down;
    ch4_bus *up_bus, *down_bus;
    ch4_edge_out *out;
    ch4_edge_in *in;
    int64_t credit;
} world;

static ch4_identity make_identity(const char *name, uint64_t incarnation)
{
    ch4_identity id = {.epoch = 3, .incarnation = incarnation};
    memset(id.run_id, 'a', 32);
    snprintf(id.name, sizeof id.name, "%s", name);
    return id;
}

static void open_up(world *w, uint64_t incarnation)
{
    w->up = make_identity("decode", incarnation);
    assert_int_equal(ch4_bus_create(&w->up_bus, w->dir, &w->up, NULL), CH4_OK);
    assert_int_equal(ch4_edge_out_open(&w->out, w->up_bus, "decode", 30, NULL), CH4_OK);
}

static void open_down(world *w, uint64_t incarnation)
{
    w->down = make_identity("denoise", incarnation);
    assert_int_equal(ch4_bus_create(&w->down_bus, w->dir, &w->down, NULL), CH4_OK);
    assert_int_equal(ch4_edge_in_open(&w->in, w->down_bus, "decode", w->credit, 0.02, NULL), CH4_OK);
}

static void close_up(world *w)
{
    ch4_edge_out_close(&w->out);
    ch4_bus_destroy(&w->up_bus);
}

static void close_down(world *w)
{
    ch4_edge_in_close(&w->in);
    ch4_bus_destroy(&w->down_bus);
}

static int setup(void **state)
{
    world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/ch4-bus-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(ch4_bus_make_folder(w->dir, NULL), CH4_OK);
    w->credit = 1000;
    open_up(w, 11);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    close_up(w);
    close_down(w);
    ch4_bus_remove_folder(w->dir);
    assert_int_equal(rmdir(w->dir), 0);
    free(w);
    return 0;
}

static ch4_msg *make_window(const ch4_identity *me, int64_t index, int64_t bytes)
{
    Ch4__Part part = CH4__PART__INIT;
    part.stage = "decode", part.file = "walker/w0000.decode.h5", part.checksum = "0123456789abcdef0123456789abcdef", part.bytes = bytes;
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

static void put(world *w, int64_t index, int64_t bytes)
{
    ch4_msg *msg = make_window(&w->up, index, bytes);
    assert_int_equal(ch4_edge_out_put(w->out, &msg, NULL), CH4_OK);
    assert_null(msg);
}

/* Lets both ends work for `seconds`; returns how many items came and their indices. */
static int run(world *w, int64_t *index, int room, double seconds)
{
    int n = 0;
    for (double end = ch4_clock_seconds() + seconds; ch4_clock_seconds() < end;) {
        if (w->in) {
            assert_int_equal(ch4_edge_in_tick(w->in, ch4_clock_seconds(), NULL), CH4_OK);
            ch4_msg *msg;
            while (ch4_edge_in_try_recv(w->in, &msg, NULL) == CH4_OK) {
                if (n < room) index[n] = ch4_msg_get_index(msg);
                n++;
                ch4_msg_destroy(&msg);
            }
        }
        if (w->out) assert_int_equal(ch4_edge_out_serve(w->out, NULL), CH4_OK);
        usleep(500);
    }
    return n;
}

static void test_credit_bounds_flight(void **state)
{
    world *w = *state;
    open_down(w, 21);
    for (int i = 0; i < 10; i++) put(w, i, 300); /* about 400 bytes each with the message: two fit into 1000 */
    int64_t index[10];
    assert_int_equal(run(w, index, 10, 0.3), 2);
    assert_int_equal(index[0], 0);
    assert_int_equal(index[1], 1);
    assert_true(ch4_edge_out_flight_bytes(w->out) <= 1000);
    assert_int_equal(ch4_edge_out_unacked(w->out), 10);

    assert_int_equal(ch4_edge_in_ack(w->in, "walker", 0, NULL), CH4_OK);
    assert_int_equal(run(w, index, 10, 0.1), 1);
    assert_int_equal(index[0], 2);
    assert_int_equal(ch4_edge_out_unacked(w->out), 9);
    assert_int_equal(ch4_edge_out_custody(w->out), 10); /* acknowledged is not the end */
    ch4_edge_out_retire(w->out, "walker", 0);
    assert_int_equal(ch4_edge_out_custody(w->out), 9);
    ch4_edge_out_forget(w->out, "walker");
    assert_int_equal(ch4_edge_out_custody(w->out), 0);
    assert_int_equal(ch4_edge_out_flight_bytes(w->out), 0);
}

static void test_one_large_window_passes(void **state)
{
    world *w = *state;
    open_down(w, 21);
    put(w, 0, 1 << 20);
    put(w, 1, 1 << 20);
    int64_t index[4];
    assert_int_equal(run(w, index, 4, 0.2), 1);
    ch4_edge_in_ack(w->in, "walker", 0, NULL);
    assert_int_equal(run(w, index, 4, 0.2), 1);
    assert_int_equal(index[0], 1);
}

static void test_consumer_restart_gets_all_again(void **state)
{
    world *w = *state;
    w->credit = 100000;
    open_down(w, 21);
    for (int i = 0; i < 5; i++) put(w, i, 10);
    int64_t index[10];
    assert_int_equal(run(w, index, 10, 0.15), 5);
    ch4_edge_in_ack(w->in, "walker", 0, NULL);
    ch4_edge_in_ack(w->in, "walker", 1, NULL);
    run(w, index, 10, 0.05);
    ch4_edge_out_retire(w->out, "walker", 0);
    close_down(w);
    open_down(w, 22);
    assert_int_equal(run(w, index, 10, 0.3), 4); /* 1 too: acknowledged, but not seen at the sink */
    for (int i = 0; i < 4; i++) assert_int_equal(index[i], i + 1);
}

static void test_late_consumer_and_restarted_producer(void **state)
{
    world *w = *state;
    put(w, 7, 10); /* nobody there: waits */
    int64_t index[4];
    assert_int_equal(run(w, index, 4, 0.05), 0);
    w->credit = 100000;
    open_down(w, 21);
    assert_int_equal(run(w, index, 4, 0.3), 1);
    close_up(w);
    run(w, index, 4, 0.05);
    open_up(w, 12);
    put(w, 8, 10);
    assert_int_equal(run(w, index, 4, 0.6), 1);
    assert_int_equal(index[0], 8);
}

static void test_silent_consumer_loses_its_items(void **state)
{
    world *w = *state;
    close_up(w);
    w->up = make_identity("decode", 13);
    assert_int_equal(ch4_bus_create(&w->up_bus, w->dir, &w->up, NULL), CH4_OK);
    assert_int_equal(ch4_edge_out_open(&w->out, w->up_bus, "decode", 0.15, NULL), CH4_OK);
    open_down(w, 21);
    put(w, 0, 10);
    int64_t index[4];
    assert_int_equal(run(w, index, 4, 0.1), 1);
    assert_true(ch4_edge_out_flight_bytes(w->out) > 0);
    for (double end = ch4_clock_seconds() + 0.3; ch4_clock_seconds() < end; usleep(1000)) ch4_edge_out_serve(w->out, NULL);
    assert_int_equal(ch4_edge_out_flight_bytes(w->out), 0);
    assert_int_equal(ch4_edge_out_unacked(w->out), 1);
}

/* --- refusals -------------------------------------------------------------------------------------------------------- */

static void expect_refused(const ch4_identity *me, const void *bytes, size_t size, const char *text)
{
    ch4_msg *msg;
    ch4_err err;
    assert_int_equal(ch4_msg_decode(&msg, me, bytes, size, &err), CH4_EPROTO);
    assert_null(msg);
    if (!strstr(err.msg, text)) fail_msg("'%s' does not contain '%s'", err.msg, text);
}

static void test_decode_refuses(void **state)
{
    (void)state;
    ch4_identity me = make_identity("decode", 5), other_run = me, other_epoch = me;
    other_run.run_id[3] = 'b', other_epoch.epoch = 4;
    ch4_msg *msg = make_window(&me, 0, 10);
    size_t size;
    const uint8_t *bytes = ch4_msg_get_bytes(msg, &size);
    expect_refused(&other_run, bytes, size, other_run.run_id);
    expect_refused(&other_epoch, bytes, size, "epoch 3, this is epoch 4");
    for (size_t cut = 0; cut < size; cut++) { /* no prefix passes for a whole message */
        ch4_msg *part;
        assert_int_equal(ch4_msg_decode(&part, &me, bytes, cut, NULL), CH4_EPROTO);
    }
    uint8_t copy[1024];
    assert_true(size < sizeof copy && bytes[0] == 8);
    memcpy(copy, bytes, size);
    copy[1] = 2;
    expect_refused(&me, copy, size, "schema version 2, this is version 1");
    ch4_msg_destroy(&msg);
}

static void test_decode_refuses_bad_bodies(void **state)
{
    (void)state;
    ch4_identity me = make_identity("decode", 5);
    const struct { const char *clip, *file, *input; int64_t index, n_frames; } bad[] = {
        {"../x", "walker/w.h5", "/i", 0, 16}, {"", "walker/w.h5", "/i", 0, 16}, {"a b", "walker/w.h5", "/i", 0, 16},
        {"ok", "/etc/passwd", "/i", 0, 16}, {"ok", "a/../../b", "/i", 0, 16}, {"ok", "a//b", "/i", 0, 16}, {"ok", "..", "/i", 0, 16},
        {"ok", "a/b", "relative", 0, 16}, {"ok", "a/b", "/i", 100, 16}, {"ok", "a/b", "/i", -1, 16}, {"ok", "a/b", "/i", 0, 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        Ch4__Part part = CH4__PART__INIT;
        part.stage = "decode", part.file = (char *)bad[i].file, part.checksum = "0123456789abcdef0123456789abcdef";
        Ch4__Part *parts[1] = {&part};
        Ch4__Window win = CH4__WINDOW__INIT;
        win.clip = (char *)bad[i].clip, win.input = (char *)bad[i].input, win.index = bad[i].index;
        win.n_windows = 100, win.n_frames = bad[i].n_frames, win.n_parts = 1, win.parts = parts;
        Ch4__Envelope e = CH4__ENVELOPE__INIT;
        e.body_case = CH4__ENVELOPE__BODY_WINDOW, e.window = &win;
        ch4_msg *msg;
        if (ch4_msg_encode(&msg, &me, &e, NULL) != CH4_EINVAL) fail_msg("case %zu passed", i);
    }
}

/* Packed size small, unpacked size large: must fail inside the budget, not exhaust memory. */
static void test_amplification_is_bounded(void **state)
{
    (void)state;
    ch4_identity me = make_identity("decode", 5);
    size_t size = CH4_MSG_BYTES;
    uint8_t *bytes = calloc(1, size);
    size_t inner = size - 4;
    bytes[0] = 10 << 3 | 2; /* window, of inner bytes */
    bytes[1] = (uint8_t)(inner & 127) | 128, bytes[2] = (uint8_t)(inner >> 7 & 127) | 128, bytes[3] = (uint8_t)(inner >> 14);
    for (size_t i = 4; i + 1 < size; i += 2) bytes[i] = 6 << 3 | 2; /* parts of no bytes */
    expect_refused(&me, bytes, size, "cannot be unpacked");
    free(bytes);
    static uint8_t large[CH4_MSG_BYTES + 1];
    expect_refused(&me, large, sizeof large, "limit 65536");
}

static void test_garbage_on_the_wire(void **state)
{
    world *w = *state;
    w->credit = 100000;
    open_down(w, 21);
    char url[128];
    snprintf(url, sizeof url, "ipc://%s/bus/decode", w->dir);
    void *ctx = zmq_ctx_new(), *raw = zmq_socket(ctx, ZMQ_DEALER);
    const int linger = 200;
    zmq_setsockopt(raw, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal(zmq_connect(raw, url), 0);
    uint8_t junk[256];
    ch4_rng rng = ch4_rng_at(1, 2);
    for (size_t i = 0; i < sizeof junk; i++) junk[i] = (uint8_t)ch4_rng_u32(&rng);
    zmq_send(raw, junk, sizeof junk, 0);
    zmq_send(raw, "", 0, ZMQ_SNDMORE);
    zmq_send(raw, "x", 1, ZMQ_SNDMORE);
    zmq_send(raw, junk, 10, 0);
    ch4_msg *lie = make_window(&w->up, 0, 10); /* sound, but says it is from another */
    size_t size;
    const void *bytes = ch4_msg_get_bytes(lie, &size);
    zmq_send(raw, bytes, size, 0);
    ch4_msg_destroy(&lie);
    static uint8_t huge[4 * CH4_MSG_BYTES];
    zmq_send(raw, huge, sizeof huge, 0); /* over ZMQ_MAXMSGSIZE: the connection is dropped */
    int refused = 0;
    for (double end = ch4_clock_seconds() + 0.4; ch4_clock_seconds() < end; usleep(1000)) {
        ch4_err err = {0};
        ch4_status status = ch4_edge_out_serve(w->out, &err);
        assert_true(status == CH4_OK || status == CH4_EPROTO);
        refused += status == CH4_EPROTO;
    }
    assert_true(refused >= 1);
    put(w, 3, 10); /* the edge works on */
    int64_t index[4];
    assert_int_equal(run(w, index, 4, 0.3), 1);
    assert_int_equal(index[0], 3);
    zmq_close(raw);
    zmq_ctx_term(ctx);
}

static void test_long_run_folder(void **state)
{
    (void)state;
    char base[64] = "/tmp/ch4-bus-XXXXXX", dir[256];
    assert_non_null(mkdtemp(base));
    snprintf(dir, sizeof dir, "%s/%0100d", base, 0);
    assert_int_equal(mkdir(dir, 0755), 0);
    assert_int_equal(ch4_bus_make_folder(dir, NULL), CH4_OK);
    ch4_identity me = make_identity("chain", 1);
    ch4_bus *bus;
    ch4_sock *sock;
    assert_int_equal(ch4_bus_create(&bus, dir, &me, NULL), CH4_OK);
    assert_int_equal(ch4_sock_bind(&sock, bus, "chain", NULL), CH4_OK);
    char link[300], target[300];
    snprintf(link, sizeof link, "%s/bus", dir);
    ssize_t n = readlink(link, target, sizeof target - 1);
    assert_true(n > 0);
    target[n] = 0;
    struct stat st;
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    ch4_sock_close(&sock);
    ch4_bus_destroy(&bus);
    ch4_bus_remove_folder(dir);
    assert_int_not_equal(stat(target, &st), 0);
    assert_int_equal(rmdir(dir), 0);
    rmdir(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_credit_bounds_flight, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_large_window_passes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_consumer_restart_gets_all_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_consumer_and_restarted_producer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_consumer_loses_its_items, setup, teardown),
        cmocka_unit_test(test_decode_refuses),
        cmocka_unit_test(test_decode_refuses_bad_bodies),
        cmocka_unit_test(test_amplification_is_bounded),
        cmocka_unit_test_setup_teardown(test_garbage_on_the_wire, setup, teardown),
        cmocka_unit_test(test_long_run_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
