/* The tensors of the published networks, as the loaders ask for them: the text of docs/tensors.md. */
#ifndef CH4_TOOLS_MODEL_TABLES_H
#define CH4_TOOLS_MODEL_TABLES_H

#include <stdio.h>

#include "base/err.h"

/* Markdown: per network one row for each name, where blocks that have the same tensors share a row. CH4_ENOMEM. */
ch4_status ch4_model_tables_print(FILE *out, ch4_err *err);

#endif
