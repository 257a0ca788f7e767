/* All real stages with networks that the bundled model does not have, of generated weights: the background remover in decode, the temporal
 * autoencoder in animate. What they find means nothing; that it goes through every file and process is what is looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "store/store.h"
#include "tests/support/tiny_matting.h"
#include "tests/support/tiny_model.h"

static char dir[64], bin[4096];

/* Exit code of a shell command that runs in the test's folder; it may say $bin and $top. */
static int shell(const char *command)
{
    char text[8192];
    snprintf(text, sizeof text, "bin='%s' top=$PWD; cd '%s' && %s", bin, dir, command);
    int status = system(text);
    return status == -1 ? -1 : WEXITSTATUS(status);
}

static int set_up(void **state)
{
    (void)state;
    ssize_t n = readlink("/proc/self/exe", bin, sizeof bin - 1);
    for (int up = 0; n > 0 && up < 3; up++) /* BUILD/tests/e2e/test_networks */
        while (n > 0 && bin[--n] != '/') {}
    snprintf(bin + n, sizeof bin - (size_t)n, "/bin");
    strcpy(dir, "/tmp/ch4_networks_XXXXXX");
    return mkdtemp(dir) ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void generated_networks_run_through_all_stages(void **state)
{
    (void)state;
    char path[128], text[32];
    ch4_err err = {0};
    ch4_store_reader *r = NULL;
    ch4_tensor v;
    assert_int_equal(shell("mkdir model && ln -s \"$top\"/models/mini/* model/ && rm model/model.yaml && "
                           "sed 's/^networks:/networks:\\n  autoencoder: {path: stage2}\\n  matting: {path: RMBG, side: 64}/' \"$top\"/models/mini/model.yaml >model/model.yaml"), 0);
    snprintf(path, sizeof path, "%s/model/stage2", dir);
    assert_int_equal(tiny_temporal_decoder_make(path, 16, &err), CH4_OK);
    snprintf(path, sizeof path, "%s/model/RMBG", dir);
    assert_int_equal(tiny_matting_make(path, &err), CH4_OK);
    int code = shell("\"$bin\"/chain4d run \"$top\"/examples/walker.mp4 -o out --model model --set animate.method=learned --set denoise.steps=1 --set denoise.anchor_steps=1 "
                     "--set decode.max_frames=5 --set chain.resolution=16 --set chain.anchor_resolution=16 --set chain.landmarks=50 --set sink.keep=true >log 2>&1");
    if (code != 0) {
        shell("cat log >&2");
        fail_msg("exit %d", code);
    }
    assert_int_equal(shell("grep -q 'RMBG-1.4, whose weights are for non-commercial use' log"), 0);
    snprintf(path, sizeof path, "%s/out/walker/w0000.decode.h5", dir);
    assert_int_equal(ch4_store_open(&r, path, &err), CH4_OK);
    assert_int_equal(ch4_store_get_text(r, "foreground", text, sizeof text, NULL), CH4_OK);
    assert_string_equal(text, "rmbg");
    ch4_store_close(&r);
    snprintf(path, sizeof path, "%s/out/walker/w0000.animate.h5", dir);
    assert_int_equal(ch4_store_open(&r, path, &err), CH4_OK);
    assert_int_equal(ch4_store_get_text(r, "method", text, sizeof text, NULL), CH4_OK);
    assert_string_equal(text, "learned");
    assert_int_equal(ch4_store_stat(r, "/vertices", &v, NULL), CH4_OK);
    assert_int_equal(v.shape[0], 5);
    ch4_store_close(&r);
    assert_int_equal(shell("test -s out/walker/mesh.glb -a -s out/walker/vertices.npy -a -s out/walker/summary.json"), 0);
}

static void the_bundled_model_says_what_it_lacks(void **state)
{
    (void)state;
    assert_int_equal(shell("\"$bin\"/chain4d run \"$top\"/examples/walker.mp4 -o out --model \"$top\"/models/mini --set animate.method=learned >log 2>&1"), 2);
    assert_int_equal(shell("grep -q 'animate.method: learned: .*models/mini/model.yaml: networks.autoencoder.path: this model has no temporal autoencoder' log"), 0);
    assert_int_equal(shell("rm -r out; \"$bin\"/chain4d run \"$top\"/examples/walker.mp4 -o out --model \"$top\"/models/mini --set decode.foreground=rmbg >log 2>&1"), 2);
    assert_int_equal(shell("grep -q 'decode.foreground: rmbg: .*networks.matting.path: this model has no background remover' log"), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(generated_networks_run_through_all_stages),
        CASE(the_bundled_model_says_what_it_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
