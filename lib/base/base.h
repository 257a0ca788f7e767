/* lib/base: what every part of chain4d stands on. Knows nothing of tensors, files of a run, sockets or models. */
#ifndef CH4_BASE_H
#define CH4_BASE_H

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "base/size.h"
#include "base/version.h"

#endif
