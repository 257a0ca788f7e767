#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct worker_arg {
    struct ch4_pool *pool;
    int index;
} worker_arg;

struct ch4_pool {
    int n_threads; /* with the caller */
    int n_started;
    pthread_t *thread;
    worker_arg *arg;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    uint64_t loop; /* number of the current loop: a worker runs each loop once */
    int running;   /* workers still inside the current loop */
    bool stop;
    void (*fn)(void *, int64_t, int);
    void *ctx;
    int64_t n_items;
    atomic_llong next;
};

static void work(ch4_pool *pool, int worker)
{
    for (;;) {
        int64_t item = atomic_fetch_add(&pool->next, 1);
        if (item >= pool->n_items)
            return;
        pool->fn(pool->ctx, item, worker);
    }
}

static void *worker_main(void *arg)
{
    worker_arg *self = arg;
    ch4_pool *pool = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->stop && pool->loop == seen)
            pthread_cond_wait(&pool->wake, &pool->lock);
        if (pool->stop)
            break;
        seen = pool->loop;
        pthread_mutex_unlock(&pool->lock);
        work(pool, self->index);
        pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static int available_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

ch4_status ch4_pool_create(ch4_pool **out, int n_threads, ch4_err *err)
{
    *out = NULL;
    if (n_threads < 0)
        return ch4_err_set(err, CH4_EINVAL, "number of threads is %d, must be 0 (all processors) or more", n_threads);
    if (n_threads == 0)
        n_threads = available_processors();
    ch4_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return ch4_err_set(err, CH4_ENOMEM, "thread pool");
    pool->n_threads = n_threads;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->thread = calloc((size_t)n_threads, sizeof *pool->thread);
    pool->arg = calloc((size_t)n_threads, sizeof *pool->arg);
    if (!pool->thread || !pool->arg) {
        ch4_pool_destroy(&pool);
        return ch4_err_set(err, CH4_ENOMEM, "thread pool");
    }
    for (int i = 1; i < n_threads; i++) {
        pool->arg[i] = (worker_arg){pool, i};
        int rc = pthread_create(&pool->thread[i], NULL, worker_main, &pool->arg[i]);
        if (rc != 0) {
            ch4_pool_destroy(&pool);
            return ch4_err_set_errno(err, rc, "cannot start thread %d of %d", i, n_threads);
        }
        pool->n_started++;
    }
    *out = pool;
    return CH4_OK;
}

void ch4_pool_destroy(ch4_pool **p)
{
    if (!p || !*p)
        return;
    ch4_pool *pool = *p;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i <= pool->n_started; i++)
        pthread_join(pool->thread[i], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->thread);
    free(pool->arg);
    free(pool);
    *p = NULL;
}

int ch4_pool_threads(const ch4_pool *pool)
{
    return pool ? pool->n_threads : 1;
}

void ch4_pool_run(ch4_pool *pool, int64_t n_items, void (*fn)(void *, int64_t, int), void *ctx)
{
    if (!pool || pool->n_started == 0 || n_items <= 1) {
        for (int64_t i = 0; i < n_items; i++)
            fn(ctx, i, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->fn = fn;
    pool->ctx = ctx;
    pool->n_items = n_items;
    atomic_store(&pool->next, 0);
    pool->running = pool->n_started;
    pool->loop++;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    work(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->running > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}
