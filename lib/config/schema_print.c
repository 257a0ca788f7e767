/* Values to text: the resolved file and the help. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/schema_impl.h"

static void print_text(FILE *out, const char *s)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)s; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 32 || *c == 127)
            fprintf(out, "\\x%02x", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

/* The fewest digits that read back as the same number. */
static void print_real(FILE *out, double x)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    fputs(text, out);
}

static void print_choice(FILE *out, const char *choices, unsigned index)
{
    for (; index > 0; index--)
        choices += strcspn(choices, "|") + 1;
    fprintf(out, "%.*s", (int)strcspn(choices, "|"), choices);
}

static void print_value(FILE *out, const ch4_opt *opt, const void *field)
{
    const ch4_ints *ints = field;
    const ch4_reals *reals = field;
    const ch4_strs *strs = field;
    switch (opt->type) {
    case CH4_OPT_BOOL:
        fputs(*(const bool *)field ? "true" : "false", out);
        return;
    case CH4_OPT_INT:
        fprintf(out, "%lld", (long long)*(const int64_t *)field);
        return;
    case CH4_OPT_REAL:
        print_real(out, *(const double *)field);
        return;
    case CH4_OPT_STR:
        print_text(out, *(char *const *)field);
        return;
    case CH4_OPT_CHOICE:
        print_choice(out, opt->choices, *(const unsigned *)field);
        return;
    case CH4_OPT_INTS:
    case CH4_OPT_REALS:
    case CH4_OPT_STRS:
        break;
    }
    fputc('[', out);
    for (int64_t i = 0; i < ints->n; i++) {
        fputs(i ? ", " : "", out);
        if (opt->type == CH4_OPT_INTS)
            fprintf(out, "%lld", (long long)ints->v[i]);
        else if (opt->type == CH4_OPT_REALS)
            print_real(out, reals->v[i]);
        else
            print_text(out, strs->v[i]);
    }
    fputc(']', out);
}

/* Opens the sections that `path` lies in and `previous` does not; returns the depth of the option itself. */
static int open_sections(FILE *out, const char *path, const char *previous)
{
    int depth = 0;
    bool same = true;
    for (const char *p = path, *dot; (dot = strchr(p, '.')); p = dot + 1, depth++) {
        same = same && strncmp(path, previous, (size_t)(dot - path) + 1) == 0;
        if (!same)
            fprintf(out, "%s%*s%.*s:\n", depth ? "" : "\n", 2 * depth, "", (int)(dot - p), p);
    }
    return depth;
}

ch4_status ch4_schema_print(const ch4_schema *schema, const void *obj, FILE *out, ch4_err *err)
{
    const char *previous = "";
    fprintf(out, "# %s\n", schema->title);
    for (size_t i = 0; i < schema->n_opts; i++) {
        const ch4_opt *opt = &schema->opts[i];
        char range[256];
        int depth = open_sections(out, opt->path, previous);
        const char *dot = strrchr(opt->path, '.');
        previous = opt->path;
        schema_describe_range(opt, range, sizeof range);
        fprintf(out, "%*s%s: ", 2 * depth, "", dot ? dot + 1 : opt->path);
        print_value(out, opt, (const char *)obj + opt->offset);
        fprintf(out, "  # %s%s%s%s\n", opt->help, range[0] ? " (" : "", range, range[0] ? ")" : "");
    }
    errno = 0;
    if (fflush(out) || ferror(out))
        return ch4_err_set_errno(err, errno ? errno : EIO, "the options cannot be written");
    return CH4_OK;
}

ch4_status ch4_schema_save(const ch4_schema *schema, const void *obj, const char *path, ch4_err *err)
{
    char temp[4096];
    ch4_status status;
    if (snprintf(temp, sizeof temp, "%s.tmp.%ld", path, (long)getpid()) >= (int)sizeof temp)
        return ch4_err_set(err, CH4_EINVAL, "%s: path too long", path);
    FILE *f = fopen(temp, "wb");
    if (!f)
        return ch4_err_set_errno(err, errno, "%s", temp);
    status = ch4_schema_print(schema, obj, f, err);
    if (status)
        ch4_err_wrap(err, status, "%s", path);
    if (status == CH4_OK && fsync(fileno(f)))
        status = ch4_err_set_errno(err, errno, "%s", temp);
    if (fclose(f) && status == CH4_OK)
        status = ch4_err_set_errno(err, errno, "%s", temp);
    if (status == CH4_OK && rename(temp, path))
        status = ch4_err_set_errno(err, errno, "%s", path);
    if (status)
        unlink(temp);
    return status;
}

void ch4_schema_help(const ch4_schema *schema, const char *prefix, FILE *out)
{
    size_t n = prefix ? strlen(prefix) : 0;
    for (size_t i = 0; i < schema->n_opts; i++) {
        const ch4_opt *opt = &schema->opts[i];
        char range[256];
        if (n && strncmp(opt->path, prefix, n) != 0)
            continue;
        schema_describe_range(opt, range, sizeof range);
        fprintf(out, "  %-26s %s\n  %-26s   default %s%s%s\n", opt->path, opt->help, "",
                !opt->def ? "none, must be given" : *opt->def ? opt->def : "\"\"", range[0] ? ", allowed " : "", range);
    }
}
