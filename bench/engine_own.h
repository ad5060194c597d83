/* Engine own: what is asked of our engine alone - what reclaiming costs those who read and write
 * meanwhile, what it writes once things are steady, what compression and encryption cost.
 *
 *   worn     N keys, then N random overwrites, with nothing reclaimed
 *   before   opens them; threads put and get random keys, each put synced; nothing is reclaimed yet
 *   during   the same while the dead half is reclaimed
 *   steady   overwrites, 2 N to get there, then N that are measured
 *   values   N / 5 values of JSON, as they are, compressed, encrypted: filled without syncs, read,
 *            overwritten by the threads with syncs; as they are also read from mapped files
 */
#ifndef BENCH_ENGINE_OWN_H
#define BENCH_ENGINE_OWN_H

#include "bench/engine_run.h"

enum engine_own_kind { ENGINE_OWN_PLAIN, ENGINE_OWN_COMPRESSED, ENGINE_OWN_ENCRYPTED };
#define ENGINE_OWN_KINDS 3u

struct engine_own_values {
    double fill_rate, read_rate, synced_rate; /* a second */
};

struct engine_own {
    double write_p99_us, read_p99_us;             /* before */
    double flush_write_p99_us, flush_read_p99_us; /* during */
    double flush_moved;                           /* bytes reclaimed meanwhile, a second */
    double amplification;                         /* bytes written a byte put, steady */
    double use;                                   /* live records' share of the files then */
    double value_size;                            /* of the JSON, mean */
    double mapped_read_rate;                      /* with map_files, as it is */
    double compression;                           /* how many times smaller it is kept */
    struct engine_own_values values[ENGINE_OWN_KINDS];
};

/* 0, or -1 with a line on standard error. */
int engine_own(const struct engine_run_options *options, struct engine_own *own);

#endif
