/* lib/stage: the table of clips and windows, and the run directory's epoch and lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stage/flow.h"
#include "stage/rundir.h"

static const ch4_identity me = {.run_id = "0123456789abcdef0123456789abcdef", .name = "denoise", .epoch = 1, .incarnation = 1};

static ch4_status add(ch4_flow *f, const Ch4__Envelope *e, ch4_flow_answer *answer)
{
    ch4_msg *msg;
    assert_int_equal(ch4_msg_encode(&msg, &me, e, NULL), CH4_OK);
    ch4_status status = ch4_flow_add(f, &msg, answer, NULL);
    assert_null(msg);
    return status;
}

static ch4_status add_window(ch4_flow *f, const char *clip, int64_t index, int64_t n, ch4_flow_answer *answer)
{
    Ch4__Window w = CH4__WINDOW__INIT;
    w.clip = (char *)clip, w.input = "/in", w.index = index, w.n_windows = n, w.n_frames = 16;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_WINDOW, e.window = &w;
    return add(f, &e, answer);
}

static ch4_status add_end(ch4_flow *f, const char *clip, int64_t n, ch4_flow_answer *answer)
{
    Ch4__ClipEnd end = CH4__CLIP_END__INIT;
    end.clip = (char *)clip, end.input = "/in", end.n_windows = n;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_CLIP_END, e.clip_end = &end;
    return add(f, &e, answer);
}

static void test_order_and_repeats(void **state)
{
    (void)state;
    ch4_flow f = {0};
    ch4_flow_answer a;
    ch4_flow_clip *c;
    assert_int_equal(add_window(&f, "a", 2, 4, &a), CH4_OK);
    assert_int_equal(add_window(&f, "b", 0, 1, &a), CH4_OK);
    assert_int_equal(add_window(&f, "a", 1, 4, &a), CH4_OK);
    assert_int_equal(add_window(&f, "a", 1, 4, &a), CH4_OK); /* again: still to be done */
    assert_int_equal(a, CH4_FLOW_TAKEN);
    assert_int_equal(f.waiting, 3);
    assert_int_equal(add_window(&f, "a", 3, 5, &a), CH4_EPROTO); /* another number of windows */

    ch4_flow_window *w = ch4_flow_next(&f, 0, &c);
    assert_string_equal(c->name, "a");
    assert_int_equal(w->index, 1);
    ch4_flow_start(&f, w);
    assert_int_equal(f.waiting, 2);
    ch4_flow_offer_later(&f, w, 0, false);
    assert_int_equal(w->attempts, 0);
    assert_int_equal(ch4_flow_next(&f, 0, &c)->index, 2); /* another window first */
    assert_int_equal(ch4_flow_next(&f, 1, &c)->index, 1);
    ch4_flow_start(&f, w);
    ch4_flow_set_done(c, w);
    assert_int_equal(add_window(&f, "a", 1, 4, &a), CH4_OK);
    assert_int_equal(a, CH4_FLOW_ACK);
    ch4_flow_retire(&f, "a", 2); /* not done here: stays */
    assert_non_null(ch4_flow_find_window(c, 2));
    ch4_flow_retire(&f, "a", 1);
    assert_null(ch4_flow_find_window(c, 1));
    assert_int_equal(c->done[1], 1);
    ch4_flow_free(&f);
}

static void test_ends(void **state)
{
    (void)state;
    ch4_flow f = {0};
    ch4_flow_answer a;
    ch4_flow_clip *c;
    add_window(&f, "a", 0, 1, &a);
    assert_int_equal(add_end(&f, "a", 1, &a), CH4_OK);
    assert_int_equal(a, CH4_FLOW_TAKEN);
    ch4_flow_window *w = ch4_flow_next(&f, 0, &c);
    assert_true(ch4_flow_clip_busy(c) && c->has_end);
    ch4_flow_start(&f, w);
    assert_true(ch4_flow_clip_busy(c));
    ch4_flow_set_done(c, w);
    assert_false(ch4_flow_clip_busy(c));
    c->end_sent = true;
    add_end(&f, "a", 1, &a);
    assert_int_equal(a, CH4_FLOW_ACK);
    assert_false(ch4_flow_empty(&f));
    ch4_flow_end(&f, "a");
    ch4_flow_end(&f, "never_seen");
    assert_true(ch4_flow_empty(&f));
    assert_int_equal(add_window(&f, "a", 0, 1, &a), CH4_OK); /* late: dropped */
    assert_int_equal(a, CH4_FLOW_ACK);
    assert_int_equal(add_window(&f, "never_seen", 0, 1, &a), CH4_OK);
    assert_int_equal(a, CH4_FLOW_ACK);
    assert_null(ch4_flow_next(&f, 0, &c));
    ch4_flow_free(&f);
}

static void test_failed_clip_drops_its_windows(void **state)
{
    (void)state;
    ch4_flow f = {0};
    ch4_flow_answer a;
    ch4_flow_clip *c;
    for (int i = 0; i < 5; i++) add_window(&f, "a", i, 5, &a);
    add_window(&f, "b", 0, 1, &a);
    ch4_flow_next(&f, 0, &c);
    ch4_flow_fail(&f, c, 0, CH4_EFORMAT, "bad");
    ch4_flow_fail(&f, c, 1, CH4_EIO, "later");
    assert_int_equal(c->failed_status, CH4_EFORMAT); /* the first reason stays */
    assert_int_equal(f.waiting, 1);
    ch4_flow_next(&f, 0, &c);
    assert_string_equal(c->name, "b");
    assert_true(ch4_flow_wait(&f, 0) == 0);
    ch4_flow_free(&f);
}

static void test_epoch_and_lock(void **state)
{
    (void)state;
    char dir[] = "/tmp/ch4-flow-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    ch4_epoch e;
    assert_int_equal(ch4_epoch_read(&e, dir, NULL), CH4_ENOENT);
    assert_int_equal(ch4_epoch_take(&e, dir, me.run_id, NULL), CH4_OK);
    assert_int_equal(e.number, 1);
    snprintf(path, sizeof path, "%s/epoch.2", dir); /* claimed by a start that died there */
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(ch4_epoch_take(&e, dir, me.run_id, NULL), CH4_OK);
    assert_int_equal(e.number, 3);
    ch4_epoch now;
    assert_int_equal(ch4_epoch_read(&now, dir, NULL), CH4_OK);
    assert_true(now.number == 3 && now.pid == getpid());
    assert_string_equal(now.run_id, me.run_id);
    int one, two;
    assert_int_equal(ch4_rundir_lock(&one, dir, NULL), CH4_OK);
    assert_int_equal(ch4_rundir_lock(&two, dir, NULL), CH4_EEXIST);
    close(one);
    assert_int_equal(ch4_rundir_lock(&two, dir, NULL), CH4_OK);
    close(two);
    char clip[128];
    int64_t index;
    ch4_work_read(dir, "chain", clip, &index);
    assert_string_equal(clip, "");
    ch4_work_write(dir, "chain", "walker", 7);
    ch4_work_read(dir, "chain", clip, &index);
    assert_string_equal(clip, "walker");
    assert_int_equal(index, 7);
    ch4_work_write(dir, "chain", "", -1);
    ch4_work_read(dir, "chain", clip, &index);
    assert_string_equal(clip, "");
    const char *const names[] = {"epoch", "epoch.2", "lock", "chain.work"};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_repeats),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_failed_clip_drops_its_windows),
        cmocka_unit_test(test_epoch_and_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
