#include "tools/calibrate/yaml_edit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

/* --- lines ------------------------------------------------------------------------------------------------------------------------------------- */

static const char *line_end(const char *p)
{
    const char *end = strchr(p, '\n');
    return end ? end : p + strlen(p);
}

static const char *next_line(const char *p)
{
    p = line_end(p);
    return *p ? p + 1 : p;
}

static size_t indent(const char *p) { return strspn(p, " "); }

/* A line with neither key nor value. */
static bool is_empty(const char *p)
{
    p += indent(p);
    return *p == '\n' || *p == '#' || *p == '\0';
}

/* Behind the colon of `key:` at p, or NULL. */
static const char *after_key(const char *p, const char *key)
{
    size_t n = strlen(key);
    p += indent(p);
    return strncmp(p, key, n) == 0 && p[n] == ':' && (p[n + 1] == ' ' || p[n + 1] == '\n' || p[n + 1] == '\0') ? p + n + 1 : NULL;
}

/* End of the value that begins at p: before the blanks in front of a comment or the end of the line. */
static const char *value_end(const char *p)
{
    char quote = 0;
    const char *end = p;
    for (; *p && *p != '\n'; p++) {
        if (quote && *p == quote) quote = 0;
        else if (!quote && (*p == '"' || *p == '\'')) quote = *p;
        else if (!quote && *p == '#' && p[-1] == ' ') break;
        if (*p != ' ') end = p + 1;
    }
    return end;
}

/* text with [from, to) exchanged for the parts put together. */
static ch4_status splice(char **text, const char *from, const char *to, const char *const *part, int n, ch4_err *err)
{
    size_t head = (size_t)(from - *text), middle = 0;
    char *out = NULL;
    for (int i = 0; i < n; i++) middle += strlen(part[i]);
    ch4_status st = ch4_calloc(&out, head + middle + strlen(to) + 1, 1, "text", err);
    if (st) return st;
    memcpy(out, *text, head);
    for (int i = 0; i < n; i++) strcat(out + head, part[i]);
    strcat(out + head, to);
    free(*text);
    *text = out;
    return CH4_OK;
}

/* --- values -------------------------------------------------------------------------------------------------------------------------------------- */

static ch4_status exchange(char **text, const char *behind, const char *section, const char *key, const char *value, ch4_err *err)
{
    const char *begin = behind + strspn(behind, " "), *end = value_end(begin), *comment = end + strspn(end, " ");
    char blanks[256] = "";
    if (begin == end || strchr("|>&*{", *begin)) return ch4_err_set(err, CH4_EUNSUP, "%s.%s is not written as one value on its line: change it by hand", section, key);
    if (*comment == '#') {
        size_t room = (size_t)(comment - begin), n = room > strlen(value) ? room - strlen(value) : 1;
        n = n < sizeof(blanks) ? n : sizeof(blanks) - 1;
        memset(blanks, ' ', n);
        blanks[n] = '\0';
        end = comment;
    }
    return splice(text, begin, end, (const char *const[]){value, blanks}, 2, err);
}

/* Behind the last line of the section that holds something. */
static const char *section_tail(const char *begin)
{
    const char *tail = begin;
    for (const char *p = begin; *p && (is_empty(p) || indent(p) > 0); p = next_line(p))
        if (!is_empty(p)) tail = next_line(p);
    return tail;
}

static ch4_status add_key(char **text, const char *section_line, const char *key, const char *value, ch4_err *err)
{
    const char *first = next_line(section_line), *tail = section_tail(first);
    char blanks[64] = "  ";
    while (*first && is_empty(first)) first = next_line(first);
    if (first < tail && indent(first) < sizeof(blanks)) {
        memset(blanks, ' ', indent(first));
        blanks[indent(first)] = '\0';
    }
    const char *newline = tail > *text && tail[-1] != '\n' ? "\n" : "";
    return splice(text, tail, tail, (const char *const[]){newline, blanks, key, ": ", value, "\n"}, 6, err);
}

ch4_status ch4_yaml_set(char **text, const char *section, const char *key, const char *value, ch4_err *err)
{
    const char *line = *text, *behind;
    while (*line && (indent(line) > 0 || !after_key(line, section))) line = next_line(line);
    if (!*line) {
        const char *newline = line > *text && line[-1] != '\n' ? "\n" : "";
        return splice(text, line, line, (const char *const[]){newline, section, ":\n  ", key, ": ", value, "\n"}, 7, err);
    }
    behind = after_key(line, section);
    behind += strspn(behind, " ");
    if (*behind != '\n' && *behind != '#' && *behind != '\0')
        return ch4_err_set(err, CH4_EUNSUP, "%s is not written in block style: change %s.%s to %s by hand", section, section, key, value);
    for (const char *p = next_line(line); *p && (is_empty(p) || indent(p) > 0); p = next_line(p))
        if (!is_empty(p) && (behind = after_key(p, key))) return exchange(text, behind, section, key, value, err);
    return add_key(text, line, key, value, err);
}

void ch4_yaml_print_changes(FILE *out, const char *before, const char *after)
{
    while (*before || *after) {
        int n = (int)(line_end(before) - before), m = (int)(line_end(after) - after);
        bool same = n == m && memcmp(before, after, (size_t)n) == 0, added;
        /* Keys are never removed: a line of `after` that is not an exchanged value was added. */
        int key = (int)strcspn(after, ":\n");
        added = !same && (!*before || n < key || memcmp(before, after, (size_t)key) != 0);
        if (!same && !added) fprintf(out, "- %.*s\n", n, before);
        if (!same) fprintf(out, "+ %.*s\n", m, after);
        if (!added) before = next_line(before);
        after = next_line(after);
    }
}

/* --- files --------------------------------------------------------------------------------------------------------------------------------------- */

ch4_status ch4_yaml_load(char **text, const char *path, ch4_err *err)
{
    struct stat sb;
    FILE *f = fopen(path, "rbe");
    *text = NULL;
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    ch4_status st = fstat(fileno(f), &sb) ? ch4_err_set_errno(err, errno, "%s", path) : CH4_OK;
    if (!st && sb.st_size > 1 << 20) st = ch4_err_set(err, CH4_EFORMAT, "%s: more than 1 MiB", path);
    if (!st) st = ch4_calloc(text, (size_t)sb.st_size + 1, 1, path, err);
    if (!st && fread(*text, 1, (size_t)sb.st_size, f) != (size_t)sb.st_size) st = ch4_err_set(err, CH4_EIO, "%s: short read", path);
    if (!st && strlen(*text) != (size_t)sb.st_size) st = ch4_err_set(err, CH4_EFORMAT, "%s: a zero byte", path);
    fclose(f);
    if (st) {
        free(*text);
        *text = NULL;
    }
    return st;
}

ch4_status ch4_yaml_save(const char *path, const char *text, ch4_err *err)
{
    char name[4096];
    struct stat sb;
    if (snprintf(name, sizeof(name), "%s.XXXXXX", path) >= (int)sizeof(name)) return ch4_err_set(err, CH4_EINVAL, "%.60s...: path too long", path);
    if (stat(path, &sb)) return ch4_err_set_errno(err, errno, "%s", path);
    int fd = mkstemp(name);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!f) return ch4_err_set_errno(err, errno, "%s", name);
    bool bad = fputs(text, f) < 0 || fflush(f) || fchmod(fd, sb.st_mode & 07777) || fsync(fd);
    int why = errno;
    if (fclose(f) && !bad) bad = true, why = errno;
    if (!bad && rename(name, path)) bad = true, why = errno;
    if (bad) unlink(name);
    return bad ? ch4_err_set_errno(err, why, "%s", name) : CH4_OK;
}
