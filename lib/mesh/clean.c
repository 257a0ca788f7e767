#include "mesh/clean.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/kdtree.h"
#include "mesh/vec_impl.h"

static const double MIN_ALTITUDE = 1e-8;

ch4_clean_options ch4_clean_defaults(void)
{
    return (ch4_clean_options){.merge = 1e-8, .floaters = 0.02};
}

/* A record of up to three 64-bit words with its origin, for finding equal records by sorting. */
typedef struct record {
    uint64_t key[3];
    int32_t from;
} record;

static int compare_record(const void *a, const void *b)
{
    const record *x = a, *y = b;
    for (int k = 0; k < 3; k++)
        if (x->key[k] != y->key[k])
            return x->key[k] < y->key[k] ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

static bool same_key(const record *a, const record *b)
{
    return memcmp(a->key, b->key, sizeof a->key) == 0;
}

/* rep[v]: lowest vertex at the same rounded position. */
static ch4_status merge_vertices(int32_t *rep, const float *vert, int64_t n_vert, double merge, ch4_err *err)
{
    record *r = NULL;
    ch4_status st = ch4_calloc(&r, (size_t)n_vert, sizeof *r, "vertex merging", err);
    if (st != CH4_OK)
        return st;
    for (int64_t v = 0; v < n_vert; v++) {
        for (int k = 0; k < 3; k++) {
            double x = vert[3 * v + k];
            x = (merge > 0 ? nearbyint(x / merge) : x) + 0.0; /* + 0: -0 and 0 are one place */
            memcpy(&r[v].key[k], &x, sizeof x);
        }
        r[v].from = (int32_t)v;
    }
    qsort(r, (size_t)n_vert, sizeof *r, compare_record);
    for (int64_t i = 0, first = 0; i < n_vert; i++) {
        if (!same_key(&r[first], &r[i]))
            first = i;
        rep[r[i].from] = r[first].from;
    }
    free(r);
    return CH4_OK;
}

static bool degenerate(const float *vert, const int32_t t[3])
{
    if (t[0] == t[1] || t[1] == t[2] || t[2] == t[0])
        return true;
    v3 a = v3_at(vert, t[0]), b = v3_at(vert, t[1]), c = v3_at(vert, t[2]);
    double longest = fmax(v3_norm(v3_sub(b, a)), fmax(v3_norm(v3_sub(c, b)), v3_norm(v3_sub(a, c))));
    return !(v3_norm(v3_cross(v3_sub(b, a), v3_sub(c, a))) > MIN_ALTITUDE * longest);
}

/* Clears keep[f] for all but the first of the kept faces with the same three vertices. */
static ch4_status drop_duplicates(uint8_t *keep, const int32_t *face, int64_t n_face, ch4_err *err)
{
    record *r = NULL;
    int64_t n = 0;
    ch4_status st = ch4_calloc(&r, (size_t)n_face, sizeof *r, "duplicate faces", err);
    if (st != CH4_OK)
        return st;
    for (int64_t f = 0; f < n_face; f++) {
        if (!keep[f])
            continue;
        int32_t a = face[3 * f], b = face[3 * f + 1], c = face[3 * f + 2];
        int32_t lo = a < b ? a : b, hi = a < b ? b : a;
        r[n++] = (record){{(uint64_t)(lo < c ? lo : c), (uint64_t)(c < lo ? lo : c > hi ? hi : c), (uint64_t)(hi > c ? hi : c)}, (int32_t)f};
    }
    qsort(r, (size_t)n, sizeof *r, compare_record);
    for (int64_t i = 1; i < n; i++)
        if (same_key(&r[i - 1], &r[i]))
            keep[r[i].from] = 0;
    free(r);
    return CH4_OK;
}

static int32_t root_of(int32_t *parent, int32_t f)
{
    while (parent[f] != f) {
        parent[f] = parent[parent[f]];
        f = parent[f];
    }
    return f;
}

/* Joins the kept faces over shared edges and clears keep[f] in components that are too small. */
static ch4_status drop_floaters(uint8_t *keep, const int32_t *face, int64_t n_face, double share, ch4_err *err)
{
    record *edge = NULL;
    int32_t *parent = NULL;
    int64_t *size = NULL, n = 0, largest = 0;
    ch4_status st = ch4_calloc(&edge, (size_t)n_face, 3 * sizeof *edge, "components", err);
    if (st == CH4_OK)
        st = ch4_calloc(&parent, (size_t)n_face, sizeof *parent, "components", err);
    if (st == CH4_OK)
        st = ch4_calloc(&size, (size_t)n_face, sizeof *size, "components", err);
    if (st != CH4_OK)
        goto out;
    for (int64_t f = 0; f < n_face; f++) {
        parent[f] = (int32_t)f;
        for (int k = 0; keep[f] && k < 3; k++) {
            int32_t a = face[3 * f + k], b = face[3 * f + (k + 1) % 3];
            edge[n++] = (record){{(uint64_t)(a < b ? a : b), (uint64_t)(a < b ? b : a), 0}, (int32_t)f};
        }
    }
    qsort(edge, (size_t)n, sizeof *edge, compare_record);
    for (int64_t i = 1; i < n; i++)
        if (same_key(&edge[i - 1], &edge[i])) {
            int32_t a = root_of(parent, edge[i - 1].from), b = root_of(parent, edge[i].from);
            parent[a > b ? a : b] = a > b ? b : a;
        }
    for (int64_t f = 0; f < n_face; f++)
        if (keep[f])
            largest = ch4_max_i64(largest, ++size[root_of(parent, (int32_t)f)]);
    int64_t least = (int64_t)(share * (double)largest);
    for (int64_t f = 0; f < n_face; f++)
        if (keep[f] && size[root_of(parent, (int32_t)f)] < least)
            keep[f] = 0;
out:
    free(edge);
    free(parent);
    free(size);
    return st;
}

/* Writes kept faces and the vertices they use; index[v] becomes the new number of representative v, -1 where it is not used. */
static ch4_status compact(ch4_mesh *out, int32_t *index, const float *vert, int64_t n_vert, const int32_t *face, const uint8_t *keep,
                          int64_t n_face, ch4_err *err)
{
    int64_t nv = 0, nf = 0;
    for (int64_t v = 0; v < n_vert; v++)
        index[v] = -1;
    for (int64_t f = 0; f < n_face; f++)
        if (keep[f]) {
            nf++;
            for (int k = 0; k < 3; k++)
                index[face[3 * f + k]] = 0;
        }
    for (int64_t v = 0; v < n_vert; v++)
        if (index[v] == 0)
            index[v] = (int32_t)nv++;
    ch4_status st = ch4_mesh_init(out, nv, nf, err);
    if (st != CH4_OK)
        return st;
    for (int64_t v = 0; v < n_vert; v++)
        if (index[v] >= 0)
            memcpy(out->vert + 3 * (int64_t)index[v], vert + 3 * v, 3 * sizeof *vert);
    for (int64_t f = 0, w = 0; f < n_face; f++)
        if (keep[f])
            for (int k = 0; k < 3; k++)
                out->face[w++] = index[face[3 * f + k]];
    return CH4_OK;
}

static ch4_status fill_map(int32_t *map, const ch4_mesh *out, const float *vert, int64_t n_vert, const int32_t *rep, const int32_t *index,
                           ch4_err *err)
{
    ch4_kdtree *tree = NULL;
    ch4_status st = CH4_OK;
    for (int64_t v = 0; st == CH4_OK && v < n_vert; v++) {
        map[v] = index[rep[v]];
        if (map[v] >= 0)
            continue;
        if (!tree)
            st = ch4_kdtree_create(&tree, out->vert, out->n_vert, err);
        if (st == CH4_OK) {
            v3 p = v3_at(vert, v);
            map[v] = (int32_t)ch4_kdtree_nearest(tree, (double[3]){p.x, p.y, p.z}, NULL);
        }
    }
    ch4_kdtree_destroy(&tree);
    return st;
}

ch4_status ch4_mesh_clean(ch4_mesh *out, int32_t *map, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face,
                          const ch4_clean_options *opt, ch4_err *err)
{
    int32_t *rep = NULL, *index = NULL, *merged = NULL;
    uint8_t *keep = NULL;
    memset(out, 0, sizeof *out);
    ch4_status st = ch4_calloc(&rep, (size_t)n_vert, sizeof *rep, "mesh cleaning", err);
    if (st == CH4_OK)
        st = ch4_calloc(&index, (size_t)n_vert, sizeof *index, "mesh cleaning", err);
    if (st == CH4_OK)
        st = ch4_calloc(&merged, (size_t)n_face, 3 * sizeof *merged, "mesh cleaning", err);
    if (st == CH4_OK)
        st = ch4_calloc(&keep, (size_t)n_face, 1, "mesh cleaning", err);
    if (st == CH4_OK)
        st = merge_vertices(rep, vert, n_vert, opt->merge, err);
    if (st != CH4_OK)
        goto out;
    for (int64_t f = 0; f < n_face; f++) {
        for (int k = 0; k < 3; k++)
            merged[3 * f + k] = rep[face[3 * f + k]];
        keep[f] = !degenerate(vert, merged + 3 * f);
    }
    st = drop_duplicates(keep, merged, n_face, err);
    if (st == CH4_OK && opt->floaters > 0)
        st = drop_floaters(keep, merged, n_face, opt->floaters, err);
    if (st == CH4_OK)
        st = compact(out, index, vert, n_vert, merged, keep, n_face, err);
    if (st == CH4_OK && map)
        st = fill_map(map, out, vert, n_vert, rep, index, err);
out:
    free(rep);
    free(index);
    free(merged);
    free(keep);
    if (st != CH4_OK)
        ch4_mesh_fini(out);
    return st;
}
