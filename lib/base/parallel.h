/* ch4_pool: a fixed set of threads for data-parallel loops.
 *
 * A loop is cut into items by its caller, never by the number of threads, so results do not depend on how many threads
 * run it. The calling thread works too: a pool of 1 starts no thread. One loop at a time per pool; not reentrant. */
#ifndef CH4_BASE_PARALLEL_H
#define CH4_BASE_PARALLEL_H

#include <stdint.h>

#include "base/err.h"

typedef struct ch4_pool ch4_pool;

/* n_threads >= 1; 0 means one per processor this process may run on. */
ch4_status ch4_pool_create(ch4_pool **out, int n_threads, ch4_err *err);
void       ch4_pool_destroy(ch4_pool **pool);
int        ch4_pool_threads(const ch4_pool *pool); /* NULL counts as 1 */

/* Calls fn(ctx, item, worker) once for each item in [0,n_items); returns when all are done. worker is in
 * [0, ch4_pool_threads) and names the scratch space that the call may use. pool == NULL runs serially. */
void ch4_pool_run(ch4_pool *pool, int64_t n_items, void (*fn)(void *ctx, int64_t item, int worker), void *ctx);

#endif
