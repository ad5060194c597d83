/* Engine table: what engine_run() and engine_own() have found, for people and as lines of JSON,
 * with the bounds that the project sets itself and where a peer wins.
 */
#ifndef BENCH_ENGINE_TABLE_H
#define BENCH_ENGINE_TABLE_H

#include "bench/engine_own.h"

#include <stdio.h>

#define ENGINE_TABLE_PEERS_MAX 8u

struct engine_table {
    struct engine_run_options options;
    double load; /* of the machine before it began: what is above 0 is other work */
    const struct peer *peers[ENGINE_TABLE_PEERS_MAX]; /* that were run; ours need not be one */
    struct engine_run runs[ENGINE_TABLE_PEERS_MAX];
    size_t count;
    bool has_own;
    struct engine_own own;
};

void engine_table_print(const struct engine_table *table, FILE *out);
/* One line a peer, and one for what was asked of ours alone. */
void engine_table_json(const struct engine_table *table, FILE *out);

#endif
