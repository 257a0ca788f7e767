#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hdf5.h>

#include "base/base.h"
#include "store/attention.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/dev/shm/ch4_store_XXXXXX"); /* in memory: a hundred fsyncs of a disk would take seconds */
    if (mkdtemp(dir))
        return 0;
    strcpy(dir, "/tmp/ch4_store_XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

static const char *in_dir(const char *name)
{
    static char path[2][128];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static int64_t files_in(const char *folder)
{
    DIR *d = opendir(folder);
    int64_t n = 0;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    closedir(d);
    return n;
}

static float floats[24];
static uint16_t halves[6] = {0x0000, 0x3c00, 0x0001, 0x7bff, 0x8000, 0x3555};

/* A small file with most kinds of content; seed changes it. */
static ch4_store_writer *sample_writer(const char *path, int seed)
{
    ch4_store_writer *w = NULL;
    ch4_err err = {0};
    for (int i = 0; i < 24; i++)
        floats[i] = (float)(i * seed) - 3.5f;
    ch4_tensor f = CH4_F32(floats, 2, 3, 4), h = CH4_VIEW(halves, CH4_DTYPE_F16, 2, 3), none = CH4_F32(floats, 0, 3);
    double center[3] = {0.5, -1, 2e-300};
    assert_int_equal(ch4_store_create(&w, path, &err), CH4_OK);
    assert_int_equal(ch4_store_write(w, "/latents", &f, CH4_STORE_PLAIN, &err), CH4_OK);
    assert_int_equal(ch4_store_write(w, "/attention/value", &h, CH4_STORE_PACK, &err), CH4_OK);
    assert_int_equal(ch4_store_write(w, "/attention/none", &none, CH4_STORE_PACK, &err), CH4_OK);
    assert_int_equal(ch4_store_set_int(w, "window", 7, &err), CH4_OK);
    assert_int_equal(ch4_store_set_real(w, "scale", 0.1, &err), CH4_OK);
    assert_int_equal(ch4_store_set_reals(w, "mesh_center", center, 3, &err), CH4_OK);
    assert_int_equal(ch4_store_set_text(w, "direction", "frame_to_anchor", &err), CH4_OK);
    return w;
}

static void commit_sample(const char *path, int seed, ch4_store_commit_info *info)
{
    ch4_store_writer *w = sample_writer(path, seed);
    ch4_err err = {0};
    if (ch4_store_commit(&w, info, &err))
        fail_msg("%s", err.msg);
    assert_null(w);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    ch4_store_reader *r = NULL;
    ch4_store_commit_info info;
    ch4_err err = {0};
    ch4_buf buf;
    ch4_tensor t;
    char path[CH4_STORE_PATH], text[32];
    int64_t window;
    double x, center[3];
    assert_int_equal(ch4_store_window_path(path, sizeof path, dir, 7, "denoise", &err), CH4_OK);
    assert_string_equal(path, in_dir("w0007.denoise.h5"));
    commit_sample(path, 1, &info);
    assert_true(info.first);
    assert_int_equal(files_in(dir), 1);
    assert_int_equal(ch4_store_open(&r, path, &err), CH4_OK);
    assert_string_equal(ch4_store_checksum(r), info.checksum);
    assert_true(ch4_store_has(r, "/latents") && !ch4_store_has(r, "/attention") && !ch4_store_has(r, "/x/y"));
    assert_int_equal(ch4_store_read(r, "/latents", CH4_DTYPE_F32, 3, (int64_t[]){2, -1, 4}, &buf, &t, &err), CH4_OK);
    assert_memory_equal(t.data, floats, sizeof floats);
    ch4_buf_free(&buf);
    assert_int_equal(ch4_store_read(r, "/attention/value", CH4_DTYPE_F16, 2, NULL, &buf, &t, &err), CH4_OK);
    assert_memory_equal(t.data, halves, sizeof halves);
    ch4_buf_free(&buf);
    assert_int_equal(ch4_store_read(r, "/attention/none", CH4_DTYPE_F32, 2, NULL, &buf, &t, &err), CH4_OK);
    assert_int_equal(t.shape[0], 0);
    ch4_buf_free(&buf);
    float part[12];
    assert_int_equal(ch4_store_read_part(r, "/latents", CH4_DTYPE_F32, 1, 1, part, sizeof part, &err), CH4_OK);
    assert_memory_equal(part, floats + 12, sizeof part);
    assert_int_equal(ch4_store_read_part(r, "/latents", CH4_DTYPE_F32, 1, 2, part, sizeof part, &err), CH4_EINVAL);
    assert_int_equal(ch4_store_read_part(r, "/latents", CH4_DTYPE_F32, 0, 2, part, sizeof part, &err), CH4_EINVAL);
    assert_int_equal(ch4_store_get_int(r, "window", &window, &err), CH4_OK);
    assert_int_equal(window, 7);
    assert_int_equal(ch4_store_get_real(r, "scale", &x, &err), CH4_OK);
    assert_true(x == 0.1);
    assert_int_equal(ch4_store_get_reals(r, "mesh_center", center, 3, &err), CH4_OK);
    assert_true(center[2] == 2e-300);
    assert_int_equal(ch4_store_get_text(r, "direction", text, sizeof text, &err), CH4_OK);
    assert_string_equal(text, "frame_to_anchor");
    ch4_store_close(&r);
}

static void wrong_expectations_are_named(void **state)
{
    (void)state;
    ch4_store_reader *r = NULL;
    ch4_err err = {0};
    ch4_buf buf;
    ch4_tensor t;
    int64_t i;
    double x, xs[2];
    char text[4];
    commit_sample(in_dir("a.h5"), 1, NULL);
    assert_int_equal(ch4_store_open(&r, in_dir("a.h5"), &err), CH4_OK);
    assert_int_equal(ch4_store_read(r, "/nothing", CH4_DTYPE_F32, 3, NULL, &buf, &t, &err), CH4_ENOENT);
    assert_int_equal(ch4_store_read(r, "/latents", CH4_DTYPE_F64, 3, NULL, &buf, &t, &err), CH4_EFORMAT);
    assert_int_equal(ch4_store_read(r, "/latents", CH4_DTYPE_F32, 2, NULL, &buf, &t, &err), CH4_EFORMAT);
    assert_int_equal(ch4_store_read(r, "/latents", CH4_DTYPE_F32, 3, (int64_t[]){2, 3, 5}, &buf, &t, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "[2,3,4] F32, expected [2,3,5] F32"));
    assert_int_equal(ch4_store_get_int(r, "nothing", &i, &err), CH4_ENOENT);
    assert_int_equal(ch4_store_get_int(r, "scale", &i, &err), CH4_EFORMAT);
    assert_int_equal(ch4_store_get_real(r, "mesh_center", &x, &err), CH4_EFORMAT);
    assert_int_equal(ch4_store_get_reals(r, "mesh_center", xs, 2, &err), CH4_EFORMAT);
    assert_int_equal(ch4_store_get_text(r, "window", text, sizeof text, &err), CH4_EFORMAT);
    assert_int_equal(ch4_store_get_text(r, "direction", text, sizeof text, &err), CH4_EFORMAT);
    ch4_store_close(&r);
}

static void misuse_is_refused(void **state)
{
    (void)state;
    ch4_err err = {0};
    ch4_store_writer *w = sample_writer(in_dir("a.h5"), 1);
    ch4_tensor f = CH4_F32(floats, 3, 4), column = ch4_tensor_slice(&f, 1, 0, 2), bf = CH4_VIEW(halves, CH4_DTYPE_BF16, 6);
    assert_int_equal(ch4_store_write(w, "/latents", &f, 0, &err), CH4_EEXIST);
    assert_int_equal(ch4_store_write(w, "latents2", &f, 0, &err), CH4_EINVAL);
    assert_int_equal(ch4_store_write(w, "/a//b", &f, 0, &err), CH4_EINVAL);
    assert_int_equal(ch4_store_write(w, "/a/", &f, 0, &err), CH4_EINVAL);
    assert_int_equal(ch4_store_write(w, "/column", &column, 0, &err), CH4_EINVAL);
    assert_int_equal(ch4_store_write(w, "/bf16", &bf, 0, &err), CH4_EINVAL);
    assert_int_equal(ch4_store_set_int(w, "window", 8, &err), CH4_EEXIST);
    assert_int_equal(ch4_store_set_int(w, "a/b", 8, &err), CH4_EINVAL);
    ch4_store_discard(&w);
    assert_null(w);
    assert_int_equal(files_in(dir), 0);
    char path[CH4_STORE_PATH];
    assert_int_equal(ch4_store_window_path(path, sizeof path, dir, -1, "chain", &err), CH4_EINVAL);
    assert_int_equal(ch4_store_window_path(path, 8, dir, 0, "chain", &err), CH4_EINVAL);
}

static void same_data_gives_the_same_bytes(void **state)
{
    (void)state;
    ch4_store_commit_info a, b, c;
    commit_sample(in_dir("a.h5"), 1, &a);
    usleep(1100 * 1000); /* object times have seconds */
    commit_sample(in_dir("b.h5"), 1, &b);
    commit_sample(in_dir("c.h5"), 2, &c);
    assert_string_equal(a.checksum, b.checksum);
    assert_string_not_equal(a.checksum, c.checksum);
    char x[CH4_HASH_HEX], y[CH4_HASH_HEX];
    assert_int_equal(ch4_hash_file(x, in_dir("a.h5"), NULL), CH4_OK);
    assert_int_equal(ch4_hash_file(y, in_dir("b.h5"), NULL), CH4_OK);
    assert_string_equal(x, y);
}

static void the_first_commit_wins(void **state)
{
    (void)state;
    ch4_store_commit_info info;
    ch4_err err = {0};
    char sum[CH4_HASH_HEX];
    struct stat before, after;
    commit_sample(in_dir("a.h5"), 1, &info);
    stat(in_dir("a.h5"), &before);
    commit_sample(in_dir("a.h5"), 1, &info);
    assert_false(info.first);
    ch4_store_writer *w = sample_writer(in_dir("a.h5"), 2);
    assert_int_equal(ch4_store_commit(&w, NULL, &err), CH4_EEXIST);
    stat(in_dir("a.h5"), &after);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(ch4_store_check_file(in_dir("a.h5"), sum, NULL, &err), CH4_OK);
    assert_string_equal(sum, info.checksum);
    assert_int_equal(files_in(dir), 1);
}

/* Eight processes commit the same window at once: one file, exactly one winner, no rests. */
static void concurrent_commits_leave_one_file(void **state)
{
    (void)state;
    enum { N = 8 };
    int gate[2], first = 0;
    char go;
    assert_int_equal(pipe(gate), 0);
    fflush(NULL);
    for (int i = 0; i < N; i++) {
        if (fork() == 0) {
            ch4_store_commit_info info;
            ch4_store_writer *w = sample_writer(in_dir("a.h5"), 1);
            close(gate[1]);
            if (read(gate[0], &go, 1) != 0)
                _exit(9);
            _exit(ch4_store_commit(&w, &info, NULL) ? 2 : info.first);
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < N; i++) {
        int status;
        wait(&status);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        first += WEXITSTATUS(status);
    }
    assert_int_equal(first, 1);
    assert_int_equal(files_in(dir), 1);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    ch4_store_reader *r = NULL;
    ch4_err err = {0};
    commit_sample(in_dir("a.h5"), 1, NULL);
    struct stat st;
    stat(in_dir("a.h5"), &st);
    char *good = malloc((size_t)st.st_size + 1);
    FILE *f = fopen(in_dir("a.h5"), "rb");
    assert_int_equal(fread(good, 1, (size_t)st.st_size, f), st.st_size);
    fclose(f);
    /* a cut at and a flip in every byte of the header and many behind it */
    for (off_t i = 0; i < st.st_size; i += i < 600 ? 1 : 7) {
        for (int kind = 0; kind < 2; kind++) {
            f = fopen(in_dir("b.h5"), "wb");
            good[i] ^= (char)kind;
            fwrite(good, 1, (size_t)(kind ? st.st_size : i), f);
            good[i] ^= (char)kind;
            fclose(f);
            ch4_status s = ch4_store_open(&r, in_dir("b.h5"), &err);
            if (s != CH4_EFORMAT)
                fail_msg("%s at %lld: %s", kind ? "flip" : "cut", (long long)i, ch4_status_name(s));
            ch4_store_close(&r);
        }
    }
    free(good);
    assert_int_equal(ch4_store_open(&r, in_dir("none.h5"), &err), CH4_ENOENT);
    assert_int_equal(ch4_store_open(&r, dir, &err), CH4_EFORMAT);
}

/* A file whose checksum is right but whose content is made by someone else. */
static void commit_raw(const char *path, const char *h5_source)
{
    struct stat st;
    stat(h5_source, &st);
    char *all = calloc(1, 512 + (size_t)st.st_size), sum[CH4_HASH_HEX];
    FILE *f = fopen(h5_source, "rb");
    assert_int_equal(fread(all + 512, 1, (size_t)st.st_size, f), st.st_size);
    fclose(f);
    ch4_hash_bytes(sum, all + 512, (size_t)st.st_size);
    snprintf(all, 512, "chain4d run file 1\nbytes %lld\nxxh3 %s\n", (long long)st.st_size, sum);
    f = fopen(path, "wb");
    fwrite(all, 1, 512 + (size_t)st.st_size, f);
    fclose(f);
    free(all);
}

static void random_hdf5_bytes_are_an_error(void **state)
{
    (void)state;
    ch4_store_reader *r = NULL;
    ch4_err err = {0};
    FILE *f = fopen(in_dir("raw"), "wb");
    fwrite("\211HDF\r\n\032\n garbage that is no superblock at all ........................", 1, 70, f);
    fclose(f);
    commit_raw(in_dir("a.h5"), in_dir("raw"));
    assert_int_equal(ch4_store_open(&r, in_dir("a.h5"), &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "HDF5"));
}

/* A whole and valid HDF5 file with everything in it that no run file has. */
static void make_foreign_file(const char *path)
{
    hsize_t one[] = {4}, huge[] = {1ull << 40}, six[] = {1, 1, 1, 1, 1, 2}, chunk[] = {1 << 16};
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), g = H5Gcreate2(f, "/group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t s1 = H5Screate_simple(1, one, NULL), sh = H5Screate_simple(1, huge, NULL), s6 = H5Screate_simple(6, six, NULL), sn = H5Screate(H5S_NULL);
    hid_t chunked = H5Pcreate(H5P_DATASET_CREATE), external = H5Pcreate(H5P_DATASET_CREATE), nbit = H5Pcreate(H5P_DATASET_CREATE);
    hid_t text = H5Tcopy(H5T_C_S1), scalar = H5Screate(H5S_SCALAR);
    const char *word = "word";
    int small = 3;
    H5Tset_size(text, H5T_VARIABLE);
    H5Pset_chunk(chunked, 1, chunk);
    H5Pset_deflate(chunked, 1);
    H5Pset_external(external, "/etc/hostname", 0, 16);
    H5Pset_chunk(nbit, 1, one);
    H5Pset_nbit(nbit);
    const struct {
        const char *name;
        hid_t type, space, props;
    } sets[] = {{"/huge", H5T_IEEE_F32LE, sh, chunked},     {"/external", H5T_IEEE_F32LE, s1, external}, {"/nbit", H5T_STD_I32LE, s1, nbit},
                {"/big_endian", H5T_IEEE_F32BE, s1, H5P_DEFAULT}, {"/text", text, s1, H5P_DEFAULT},      {"/rank6", H5T_STD_U8LE, s6, H5P_DEFAULT},
                {"/null", H5T_STD_U8LE, sn, H5P_DEFAULT},   {"/plain", H5T_STD_U8LE, s1, H5P_DEFAULT}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        hid_t d = H5Dcreate2(f, sets[i].name, sets[i].type, sets[i].space, H5P_DEFAULT, sets[i].props, H5P_DEFAULT);
        assert_true(d >= 0);
        H5Dclose(d);
    }
    H5Lcreate_soft("/plain", f, "/soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/", f, "/loop", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("/etc/passwd", "/x", f, "/elsewhere", H5P_DEFAULT, H5P_DEFAULT);
    hid_t a = H5Acreate2(f, "text", text, scalar, H5P_DEFAULT, H5P_DEFAULT), b = H5Acreate2(f, "small", H5T_STD_I32LE, scalar, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, text, &word);
    H5Awrite(b, H5T_NATIVE_INT, &small);
    H5Aclose(a), H5Aclose(b), H5Gclose(g), H5Sclose(s1), H5Sclose(sh), H5Sclose(s6), H5Sclose(sn), H5Sclose(scalar);
    H5Pclose(chunked), H5Pclose(external), H5Pclose(nbit), H5Tclose(text), H5Fclose(f);
}

static void foreign_content_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        ch4_status status;
    } cases[] = {{"/huge", CH4_EFORMAT}, {"/external", CH4_EFORMAT}, {"/nbit", CH4_EFORMAT}, {"/big_endian", CH4_EFORMAT}, {"/text", CH4_EFORMAT},
                 {"/rank6", CH4_EFORMAT}, {"/null", CH4_EFORMAT}, {"/group", CH4_ENOENT}, {"/soft", CH4_ENOENT}, {"/loop/plain", CH4_ENOENT},
                 {"/elsewhere", CH4_ENOENT}, {"/../plain", CH4_ENOENT}, {"plain", CH4_ENOENT}, {"/plain", CH4_OK}};
    ch4_store_reader *r = NULL;
    ch4_err err = {0};
    ch4_tensor t;
    char text[16];
    int64_t i;
    make_foreign_file(in_dir("raw"));
    commit_raw(in_dir("a.h5"), in_dir("raw"));
    assert_int_equal(ch4_store_open(&r, in_dir("a.h5"), &err), CH4_OK);
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        ch4_status s = ch4_store_stat(r, cases[k].name, &t, &err);
        if (s != cases[k].status)
            fail_msg("%s: %s", cases[k].name, ch4_status_name(s));
    }
    assert_int_equal(ch4_store_get_text(r, "text", text, sizeof text, &err), CH4_EFORMAT);
    assert_int_equal(ch4_store_get_int(r, "small", &i, &err), CH4_EFORMAT);
    ch4_store_close(&r);
}

static void leftovers_are_swept(void **state)
{
    (void)state;
    int64_t n = 0;
    commit_sample(in_dir("a.h5"), 1, NULL);
    fclose(fopen(in_dir(".tmp-w0000.chain.h5.1.2"), "wb"));
    assert_int_equal(ch4_store_sweep(dir, &n, NULL), CH4_OK);
    assert_int_equal(n, 1);
    assert_int_equal(files_in(dir), 1);
    assert_int_equal(ch4_store_sweep(in_dir("none"), &n, NULL), CH4_ENOENT);
}

static void a_full_disk_leaves_nothing_and_can_go_on(void **state)
{
    (void)state;
    char mnt[96];
    ch4_err err = {0};
    snprintf(mnt, sizeof mnt, "%s", in_dir("small"));
    mkdir(mnt, 0700);
    if (geteuid() != 0 || mount("none", mnt, "tmpfs", 0, "size=128k")) {
        print_message("[  SKIPPED ] reason: no right to mount a small file system\n");
        skip();
    }
    char path[128];
    snprintf(path, sizeof path, "%s/big.h5", mnt);
    static uint8_t bytes[1 << 20];
    ch4_tensor big = CH4_VIEW(bytes, CH4_DTYPE_U8, 1 << 20);
    ch4_store_writer *w = NULL;
    assert_int_equal(ch4_store_create(&w, path, &err), CH4_OK);
    assert_int_equal(ch4_store_write(w, "/frames", &big, CH4_STORE_PLAIN, &err), CH4_OK);
    ch4_status full = ch4_store_commit(&w, NULL, &err);
    int64_t left = files_in(mnt);
    snprintf(path, sizeof path, "%s/small.h5", mnt);
    ch4_store_commit_info info = {0};
    w = sample_writer(path, 1);
    ch4_status small = ch4_store_commit(&w, &info, NULL);
    umount(mnt);
    assert_int_equal(full, CH4_ENOSPC);
    assert_non_null(strstr(err.msg, "No space left"));
    assert_int_equal(left, 0);
    assert_int_equal(small, CH4_OK);
    assert_true(info.first);
}

static void a_missing_folder_is_an_error(void **state)
{
    (void)state;
    ch4_err err = {0};
    ch4_store_writer *w = sample_writer(in_dir("none/a.h5"), 1);
    assert_int_equal(ch4_store_commit(&w, NULL, &err), CH4_ENOENT);
    assert_null(w);
}

/* --- attention ------------------------------------------------------------------------------------------------------------- */

static void reduce_keeps_the_largest_in_order(void **state)
{
    (void)state;
    const float rows[] = {1, 5, 5, 0, 5, 4, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6};
    uint16_t index[9], value[9];
    float mass[3];
    assert_int_equal(ch4_attention_reduce(index, value, mass, rows, 3, 6, 3, NULL, NULL), CH4_OK);
    const uint16_t expected[] = {1, 2, 4, 0, 1, 2, 3, 4, 5};
    assert_memory_equal(index, expected, sizeof expected);
    assert_true(mass[0] == 20 && mass[1] == 0 && mass[2] == 21);
    assert_int_equal(value[0], ch4_f32_to_f16(0.25f));
    assert_int_equal(value[3], 0);
    const float tie[] = {2, 1, 2, 2};
    assert_int_equal(ch4_attention_reduce(index, value, mass, tie, 1, 4, 2, NULL, NULL), CH4_OK);
    assert_true(index[0] == 0 && index[1] == 2);
    const float bad[] = {1, NAN};
    assert_int_equal(ch4_attention_reduce(index, value, mass, bad, 1, 2, 1, NULL, NULL), CH4_EINVAL);
    assert_int_equal(ch4_attention_reduce(index, value, mass, tie, 1, 4, 5, NULL, NULL), CH4_EINVAL);
}

/* Against sorting, over sizes around the block size, with one and two threads. */
static void reduce_agrees_with_sorting(void **state)
{
    (void)state;
    enum { R = 130, N = 97, K = 13 };
    static float rows[R * N], mass[2][R];
    static uint16_t index[2][R * K], value[2][R * K];
    ch4_rng rng = ch4_rng_at(3, 1);
    for (int i = 0; i < R * N; i++)
        rows[i] = (float)ch4_rng_below(&rng, 40);
    for (int threads = 1; threads <= 2; threads++) {
        ch4_pool *pool = NULL;
        assert_int_equal(ch4_pool_create(&pool, threads, NULL), CH4_OK);
        assert_int_equal(ch4_attention_reduce(index[threads - 1], value[threads - 1], mass[threads - 1], rows, R, N, K, pool, NULL), CH4_OK);
        ch4_pool_destroy(&pool);
    }
    assert_memory_equal(index[0], index[1], sizeof index[0]);
    assert_memory_equal(value[0], value[1], sizeof value[0]);
    for (int r = 0; r < R; r++) {
        for (int j = 0; j < N; j++) {
            int better = 0, kept = 0;
            for (int i = 0; i < N; i++)
                better += rows[r * N + i] > rows[r * N + j] || (rows[r * N + i] == rows[r * N + j] && i < j);
            for (int i = 0; i < K; i++)
                kept += index[0][r * K + i] == j;
            assert_int_equal(kept, better < K);
        }
    }
}

static void attention_round_trips(void **state)
{
    (void)state;
    enum { T = 2, N = 8 };
    float rows[T * N * N], mass[T * N], back[N * N];
    uint16_t index[T * N * N], value[T * N * N];
    ch4_rng rng = ch4_rng_at(5, 1);
    for (int i = 0; i < T * N * N; i++)
        rows[i] = (float)ch4_rng_uniform(&rng) * 1e-4f; /* raw entries far below the normal range of float16 */
    for (int k = 0; k <= N; k += N) {
        ch4_store_writer *w = NULL;
        ch4_store_reader *r = NULL;
        ch4_attention a = {.n_frames = T, .n_tokens = N, .k = k, .index = index, .value = value, .mass = mass, .frame_to_anchor = true, .anchor_slot = 1};
        ch4_attention b;
        char name[16];
        snprintf(name, sizeof name, "a%d.h5", k);
        if (k)
            assert_int_equal(ch4_attention_reduce(index, value, mass, rows, T * N, N, k, NULL, NULL), CH4_OK);
        else
            assert_int_equal(ch4_attention_halve(value, mass, rows, T * N, N, NULL), CH4_OK);
        assert_int_equal(ch4_store_create(&w, in_dir(name), NULL), CH4_OK);
        assert_int_equal(ch4_attention_write(w, &a, NULL), CH4_OK);
        assert_int_equal(ch4_store_commit(&w, NULL, NULL), CH4_OK);
        assert_int_equal(ch4_store_open(&r, in_dir(name), NULL), CH4_OK);
        assert_int_equal(ch4_attention_read(&b, r, NULL), CH4_OK);
        ch4_store_close(&r);
        assert_true(b.frame_to_anchor && b.anchor_slot == 1 && b.k == k);
        ch4_attention_expand(&b, 1, back);
        for (int i = 0; i < N * N; i++)
            assert_true(fabsf(back[i] - rows[N * N + i]) <= 1e-3f * rows[N * N + i]);
        ch4_attention_fini(&b);
    }
}

static void hostile_attention_is_refused(void **state)
{
    (void)state;
    uint16_t index[2][2][2] = {{{0, 1}, {1, 0}}, {{0, 1}, {0, 1}}}, value[8] = {0};
    float mass[4] = {1, 1, 1, 1};
    for (int kind = 0; kind < 4; kind++) {
        ch4_store_writer *w = NULL;
        ch4_store_reader *r = NULL;
        ch4_attention b;
        ch4_err err = {0};
        char name[16];
        snprintf(name, sizeof name, "h%d.h5", kind);
        index[0][1][0] = kind == 1 ? 7 : kind == 0 ? 1 : 0;
        index[0][1][1] = kind == 1 ? 8 : kind == 0 ? 0 : 1;
        value[3] = kind == 2 ? 0x7c00 : 0;
        mass[2] = kind == 3 ? NAN : 1;
        ch4_attention a = {.n_frames = 2, .n_tokens = 2, .k = 2, .index = &index[0][0][0], .value = value, .mass = mass};
        assert_int_equal(ch4_store_create(&w, in_dir(name), NULL), CH4_OK);
        assert_int_equal(ch4_attention_write(w, &a, NULL), CH4_OK);
        assert_int_equal(ch4_store_commit(&w, NULL, NULL), CH4_OK);
        assert_int_equal(ch4_store_open(&r, in_dir(name), NULL), CH4_OK);
        assert_int_equal(ch4_attention_read(&b, r, &err), CH4_EFORMAT);
        assert_non_null(strstr(err.msg, "out of range"));
        ch4_store_close(&r);
    }
}

static void datasets_are_listed_by_name(void **state)
{
    (void)state;
    const char *path = in_dir("list.h5");
    ch4_store_writer *w = sample_writer(path, 1);
    ch4_store_reader *r = NULL;
    ch4_store_entry e[8];
    int n = -1;
    assert_int_equal(ch4_store_commit(&w, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_store_open(&r, path, NULL), CH4_OK);
    assert_int_equal(ch4_store_list(r, e, 8, &n, NULL), CH4_OK);
    assert_int_equal(n, 3);
    assert_string_equal(e[0].name, "/attention/none");
    assert_string_equal(e[1].name, "/attention/value");
    assert_string_equal(e[2].name, "/latents");
    assert_true(e[2].shape.dtype == CH4_DTYPE_F32 && e[2].shape.rank == 3 && e[2].shape.shape[1] == 3);
    assert_true(e[1].shape.dtype == CH4_DTYPE_F16 && e[0].shape.shape[0] == 0);
    assert_int_equal(ch4_store_list(r, e, 2, &n, NULL), CH4_OK);
    assert_int_equal(n, 2);
    ch4_store_close(&r);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_written_is_read),
        T(wrong_expectations_are_named),
        T(misuse_is_refused),
        T(same_data_gives_the_same_bytes),
        T(the_first_commit_wins),
        T(concurrent_commits_leave_one_file),
        T(damaged_files_are_refused),
        T(random_hdf5_bytes_are_an_error),
        T(foreign_content_is_refused_by_name),
        T(datasets_are_listed_by_name),
        T(leftovers_are_swept),
        T(a_full_disk_leaves_nothing_and_can_go_on),
        T(a_missing_folder_is_an_error),
        T(reduce_keeps_the_largest_in_order),
        T(reduce_agrees_with_sorting),
        T(attention_round_trips),
        T(hostile_attention_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
