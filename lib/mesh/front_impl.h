/* front: the priority queue of a shortest-path search, a binary heap of (distance, vertex), smallest distance first. */
#ifndef CH4_MESH_FRONT_IMPL_H
#define CH4_MESH_FRONT_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct front_entry {
    double d;
    int32_t v;
} front_entry;

typedef struct front {
    front_entry *entry;
    int64_t n, room;
} front;

static inline bool front_push(front *q, double d, int32_t v)
{
    if (q->n == q->room) {
        int64_t room = q->room ? 2 * q->room : 1024;
        front_entry *p = realloc(q->entry, (size_t)room * sizeof *p);
        if (!p)
            return false;
        q->entry = p;
        q->room = room;
    }
    int64_t i = q->n++;
    for (; i > 0 && q->entry[(i - 1) / 2].d > d; i = (i - 1) / 2)
        q->entry[i] = q->entry[(i - 1) / 2];
    q->entry[i] = (front_entry){d, v};
    return true;
}

static inline front_entry front_pop(front *q) /* n > 0 */
{
    front_entry top = q->entry[0], last = q->entry[--q->n];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < q->n; i = child) {
        if (child + 1 < q->n && q->entry[child + 1].d < q->entry[child].d)
            child++;
        if (q->entry[child].d >= last.d)
            break;
        q->entry[i] = q->entry[child];
    }
    q->entry[i] = last;
    return top;
}

#endif
