#include "nn/nn.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "nn/nn_impl.h"

static const ch4_nn_ops *const backends[] = {&ch4_nn_ops_ref, &ch4_nn_ops_cpu};

const ch4_nn_ops *ch4_nn_find(const char *name)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
        if (strcmp(backends[i]->name, name) == 0)
            return backends[i];
    return NULL;
}

ch4_status ch4_nn_open(ch4_nn **out, const char *backend, int n_threads, ch4_err *err)
{
    *out = NULL;
    const ch4_nn_ops *ops = ch4_nn_find(backend);
    if (!ops)
        return ch4_err_set(err, CH4_EUNSUP, "backend \"%s\" is not built; this build has ref, cpu", backend);
    ch4_nn *nn = NULL;
    ch4_status st = ch4_calloc(&nn, 1, sizeof *nn, "nn", err);
    if (st)
        return st;
    nn->ops = ops;
    st = ops->open(nn, n_threads, err);
    if (st)
        ch4_nn_close(&nn);
    *out = nn;
    return st;
}

void ch4_nn_close(ch4_nn **nn)
{
    if (!*nn)
        return;
    (*nn)->ops->close(*nn);
    free(*nn);
    *nn = NULL;
}
