/* lib/stage and orchestrator with fake stages: this program, linked under other names into a folder, is chain4d and all its stages there. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/run.h"
#include "tests/support/fake_stage.h"

/* Stands in for the real sink, which wants real arrays: counts the files and writes the mark of a finished clip. */
ch4_status ch4_sink_finish_clip(const ch4_sink_clip *clip, const ch4_config *config, ch4_sink_report *report, ch4_err *err)
{
    (void)config;
    char path[4200];
    for (int64_t w = 0; w < clip->n_windows; w++)
        for (int s = 0; s < CH4_N_STAGES; s++) {
            snprintf(path, sizeof path, "%s/w%04d.%s.h5", clip->dir, (int)w, ch4_run_stages[s]);
            if (access(path, R_OK)) return ch4_err_set(err, CH4_ENOENT, "%s: missing", path);
        }
    snprintf(path, sizeof path, "%s/summary.json", clip->dir);
    FILE *f = fopen(path, "we");
    if (!f) return ch4_err_set(err, CH4_EIO, "%s", path);
    fprintf(f, "windows: %d\n", (int)clip->n_windows);
    for (int i = 0; i < clip->n_notes; i++) fprintf(f, "note: %s\n", clip->notes[i]);
    fclose(f);
    report->n_frames = 16 * clip->n_windows;
    return CH4_OK;
}

static int run_main(int argc, char **argv)
{
    ch4_plan plan;
    ch4_problems problems = {0};
    ch4_err err = {0};
    int code;
    if (ch4_plan_read(&plan, argc, argv, &problems, &err)) fprintf(stderr, "chain4d: %s\n", err.msg), code = ch4_status_exit_code(err.status);
    else code = ch4_run_all(&plan);
    ch4_problems_free(&problems);
    ch4_plan_fini(&plan);
    return code;
}

/* --- a folder with programs, inputs and an output ------------------------------------------------------------------------ */

typedef struct bench {
    char dir[1024], out[1100];
    char text[65536]; /* what the last run printed on stderr */
} bench;

static void remove_tree(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", path, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static int setup(void **state)
{
    bench *b = calloc(1, sizeof *b);
    char exe[1000], path[2048];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    assert_true(n > 0);
    exe[n] = 0;
    snprintf(b->dir, sizeof b->dir, "%s.XXXXXX", exe); /* beside the program, so that links work */
    assert_non_null(mkdtemp(b->dir));
    snprintf(b->out, sizeof b->out, "%s/out", b->dir);
    const char *const names[] = {"chain4d", "chain4d-decode", "chain4d-denoise", "chain4d-chain", "chain4d-animate", "chain4d-pose"};
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s/%s", b->dir, names[i]);
        assert_int_equal(link(exe, path), 0);
    }
    snprintf(path, sizeof path, "%s/model", b->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    unsetenv("CH4_FAKE");
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    remove_tree(b->dir);
    free(b);
    return 0;
}

static void make_input(const bench *b, const char *name, const char *text)
{
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", b->dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static pid_t start(const bench *b, const char *inputs, const char *sets)
{
    char command[8192];
    snprintf(command, sizeof command,
             "cd '%s' && exec ./chain4d run %s -o out --model model --quiet --set pipeline.heartbeat_s=0.05 --set pipeline.drain_s=1 %s >stdout 2>stderr", b->dir,
             inputs, sets);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Exit code of the run; fails if it takes longer than `seconds`. */
static int finish(bench *b, pid_t pid, double seconds)
{
    int status = 0;
    double end = ch4_clock_seconds() + seconds;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (ch4_clock_seconds() > end) {
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            fail_msg("the run did not end within %g s", seconds);
        }
        usleep(5000);
    }
    char path[2048];
    snprintf(path, sizeof path, "%s/stderr", b->dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, b->text, sizeof b->text - 1);
    b->text[n < 0 ? 0 : n] = 0;
    if (fd >= 0) close(fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void expect(bench *b, const char *inputs, const char *sets, int code)
{
    int got = finish(b, start(b, inputs, sets), 30);
    if (got != code) fail_msg("exit %d, expected %d:\n%s", got, code, b->text);
}

static bool has_file(const bench *b, const char *name)
{
    char path[2300];
    snprintf(path, sizeof path, "%s/%s", b->out, name);
    return access(path, F_OK) == 0;
}

static void expect_text(const bench *b, const char *text)
{
    if (!strstr(b->text, text)) fail_msg("'%s' is not in:\n%s", text, b->text);
}

static void wait_for_file(const bench *b, const char *name)
{
    for (double end = ch4_clock_seconds() + 20; !has_file(b, name); usleep(2000))
        if (ch4_clock_seconds() > end) fail_msg("%s did not appear", name);
}

/* No process and no socket is left, and no stage has died of a sanitizer's complaint. */
static void expect_clean(const bench *b)
{
    assert_false(has_file(b, "bus"));
    char command[2300];
    snprintf(command, sizeof command, "grep Sanitizer '%s/run.log' >&2", b->out);
    assert_int_not_equal(system(command), 0);
    snprintf(command, sizeof command, "ps -eo args | grep -F '%s/chain4d' | grep -qv grep", b->dir);
    assert_int_not_equal(system(command), 0);
}

/* --- tests ------------------------------------------------------------------------------------------------------------------- */

static void test_plain_run(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "5");
    make_input(b, "two.txt", "1");
    double t = ch4_clock_seconds();
    expect(b, "one.txt two.txt", "--set sink.keep=true", 0);
    assert_true(ch4_clock_seconds() - t < 5);
    assert_true(has_file(b, "one/summary.json") && has_file(b, "two/summary.json") && has_file(b, "one/w0004.pose.h5"));
    assert_true(has_file(b, "run.yaml") && has_file(b, "run.log") && has_file(b, "epoch") && has_file(b, "clips.json"));
    expect_text(b, "one.txt: taken");
    expect_clean(b);
}

static void test_one_window_in_flight(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "6");
    expect(b, "one.txt", "--set pipeline.windows=1 --set pipeline.credit_bytes=1048576", 0);
    assert_true(has_file(b, "one/summary.json"));
    assert_false(has_file(b, "one/w0003.denoise.h5")); /* dropped when done: sink.keep is off */
}

static void test_bad_clips_leave_others(void **state)
{
    bench *b = *state;
    make_input(b, "good.txt", "3");
    make_input(b, "bad.txt", "nonsense");
    make_input(b, "half.txt", "9");
    setenv("CH4_FAKE", "chain:bad:5", 1);
    expect(b, "bad.txt half.txt good.txt absent.txt", "", 3);
    assert_true(has_file(b, "good/summary.json"));
    assert_false(has_file(b, "half/summary.json"));
    assert_true(has_file(b, "half/w0005.failed.json") && has_file(b, "bad/failed.json"));
    expect_text(b, "bad.txt: not a video: give another");
    expect_text(b, "half.txt: window 5 is bad: try another");
    expect_text(b, "absent.txt: No such file or directory: check the path");
    expect_clean(b);
}

static void test_crash_is_survived(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "8");
    setenv("CH4_FAKE", "decode:crash:3,denoise:crash:1,chain:crash:4,animate:crash:2,pose:crash:6", 1);
    expect(b, "one.txt", "", 0);
    assert_true(has_file(b, "one/summary.json"));
    assert_true(has_file(b, "once-decode-crash-3") && has_file(b, "once-pose-crash-6"));
    expect_clean(b);
}

static void test_hang_is_ended(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "4");
    setenv("CH4_FAKE", "animate:hang:2", 1);
    expect(b, "one.txt", "--set pipeline.stall_s=1", 0);
    assert_true(has_file(b, "once-animate-hang-2") && has_file(b, "one/summary.json"));
}

static void test_trouble_is_tried_again(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "4");
    setenv("CH4_FAKE", "denoise:fail:2,decode:fail:1", 1);
    expect(b, "one.txt", "", 0);
    assert_true(has_file(b, "once-denoise-fail-2") && has_file(b, "once-decode-fail-1") && has_file(b, "one/summary.json"));
}

static void test_poison_is_set_aside(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "4");
    make_input(b, "two.txt", "2");
    setenv("CH4_FAKE", "chain:poison:3", 1);
    expect(b, "one.txt two.txt", "--set pipeline.retries=2", 1);
    assert_true(has_file(b, "one/w0003.failed.json") && has_file(b, "two/summary.json"));
    expect_text(b, "stage chain died 3 times at window 3 of one.txt");
    expect_clean(b);
}

static void test_stage_refuses_options(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "4");
    setenv("CH4_FAKE", "animate:config", 1);
    expect(b, "one.txt", "", 2);
    expect_text(b, "the fake stage animate does not like its options");
    expect_clean(b);
}

static void test_liars(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "2");
    const char *const fakes[] = {"denoise:liar", "chain:deaf", "pose:early", "animate:late"};
    for (int i = 0; i < 4; i++) {
        setenv("CH4_FAKE", fakes[i], 1);
        pid_t pid = start(b, "one.txt", i == 3 ? "--set pipeline.ready_s=1" : "");
        int code = 0;
        if (i == 2) {
            code = finish(b, pid, 30);
            assert_int_equal(code, 1);
            expect_text(b, "stage pose died 6 times in a row");
        } else {
            wait_for_file(b, "bus/control");
            usleep(200000);
            kill(pid, SIGTERM);
            code = finish(b, pid, 10);
            assert_int_equal(code, 128 + SIGTERM);
        }
        expect_clean(b);
    }
    unsetenv("CH4_FAKE");
    expect(b, "one.txt", "--set pipeline.ready_s=1", 0); /* and the folder is still good */
}

static void test_stop_and_go_on(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "30");
    setenv("CH4_FAKE", "denoise:slow", 1);
    pid_t pid = start(b, "one.txt", "");
    wait_for_file(b, "one/w0002.denoise.h5");
    wait_for_file(b, "one/w0000.pose.h5");
    kill(pid, SIGINT);
    assert_int_equal(finish(b, pid, 10), 128 + SIGINT);
    expect_clean(b);
    assert_true(has_file(b, "one/w0002.denoise.h5"));
    assert_false(has_file(b, "one/summary.json"));
    assert_false(has_file(b, "one/w0029.denoise.h5"));
    struct stat before, after;
    char path[2300];
    snprintf(path, sizeof path, "%s/one/w0000.pose.h5", b->out);
    assert_int_equal(stat(path, &before), 0);
    expect(b, "one.txt", "", 0);
    assert_true(has_file(b, "one/summary.json"));
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino); /* found, not made again */
    expect(b, "one.txt", "", 0); /* all done before */
}

static void expect_in_file(const bench *b, const char *name, const char *text)
{
    char command[4200];
    snprintf(command, sizeof command, "test \"$(cat '%.1100s/%.100s')\" = \"%.2500s\"", b->out, name, text);
    if (system(command)) fail_msg("%s is not: %s", name, text);
}

/* Notes are in the files, so a run that goes on from files knows them too, in the same order. */
static void test_notes_reach_the_summary(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "6");
    setenv("CH4_FAKE", "pose:note:0,denoise:note:1,chain:note:1,denoise:note:4,chain:slow", 1);
    pid_t pid = start(b, "one.txt", "--set sink.keep=true");
    wait_for_file(b, "one/w0002.chain.h5");
    kill(pid, SIGKILL);
    assert_int_equal(finish(b, pid, 10), 1000 + SIGKILL);
    usleep(100000);
    expect(b, "one.txt", "--set sink.keep=true", 0);
    char text[1500];
    snprintf(text, sizeof text, "windows: 6\nnote: %s/one.txt: taken\nnote: pose says 0\nnote: denoise says 1\nnote: chain says 1\nnote: denoise says 4", b->dir);
    expect_in_file(b, "one/summary.json", text);
    expect_text(b, "chain says 1"); /* said again to the user */
}

static void test_killed_run_goes_on(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "20");
    setenv("CH4_FAKE", "chain:slow", 1);
    pid_t pid = start(b, "one.txt", "");
    wait_for_file(b, "one/w0002.chain.h5");
    kill(pid, SIGKILL);
    assert_int_equal(finish(b, pid, 10), 1000 + SIGKILL);
    usleep(100000);
    char command[2300];
    snprintf(command, sizeof command, "ps -eo args | grep -F '%s/chain4d' | grep -qv grep", b->dir);
    assert_int_not_equal(system(command), 0); /* the stages died with it */
    expect(b, "one.txt", "", 0);
    assert_true(has_file(b, "one/summary.json"));
    expect_clean(b);
}

static void test_other_run_is_refused(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "2");
    make_input(b, "two.txt", "3");
    expect(b, "one.txt", "", 0);
    expect(b, "two.txt", "", 2);
    expect_text(b, "choose another folder with -o");
    expect(b, "one.txt", "--set chain.topk=9", 2);
    expect(b, "one.txt", "--set pipeline.windows=2 --threads 1", 0); /* steers, does not decide */
}

static void test_two_runs_at_once(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "20");
    setenv("CH4_FAKE", "chain:slow", 1);
    pid_t first = start(b, "one.txt", "");
    wait_for_file(b, "bus/control");
    char command[4200];
    snprintf(command, sizeof command, "cd '%s' && ./chain4d run one.txt -o out --model model -q >/dev/null 2>second; test $? = 2 && grep -q 'another chain4d' second", b->dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(finish(b, first, 30), 0);
}

static void test_bad_output_folder(void **state)
{
    bench *b = *state;
    make_input(b, "one.txt", "2");
    make_input(b, "out", "a file");
    expect(b, "one.txt", "", 3);
    expect_text(b, "choose another one with -o");
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    if (!strcmp(name, "chain4d")) return run_main(argc - 1, argv + 1);
    if (!strncmp(name, "chain4d-", 8)) return fake_stage_main(name + 8, argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_window_in_flight, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_clips_leave_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hang_is_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trouble_is_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_poison_is_set_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stage_refuses_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_liars, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_and_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_run_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notes_reach_the_summary, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_run_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_runs_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_output_folder, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
