/* Engine run: what one peer is put through, each phase in a process of its own, so that memory and
 * bytes written are that peer's alone and a kill is a real one.
 *
 *   fill    N keys in random order, not synced; then reads of random keys; then a clean close
 *   synced  opens (timed: clean), overwrites random keys from many threads, each write durable
 *   wear    opens, overwrites random keys, not synced, `wear` times N, with a read after every
 *           eighth; settles, is then killed
 *   open    opens (timed: after the kill), checks that all keys are there
 */
#ifndef BENCH_ENGINE_RUN_H
#define BENCH_ENGINE_RUN_H

#include "bench/peer.h"

struct engine_run_options {
    uint64_t keys;
    uint32_t value_size;
    uint32_t batch;   /* puts of one atomic batch */
    uint32_t threads; /* of the synced phase */
    uint32_t seconds; /* of the synced phase and of the reads */
    double wear;
    const char *folder; /* where the peer's folder is made, and removed when it is done */
};

struct engine_run {
    double fill_rate; /* keys a second */
    double fill_p99_us;
    double fill_cpu_us; /* processor time of the whole process a key, background work included */
    double read_rate;
    double read_cpu_us;
    double read_p50_us, read_p99_us;
    double memory_key; /* anonymous bytes of the process a key, behind fill and reads */
    double synced_rate;
    double synced_cpu_us;
    double synced_p50_us, synced_p99_us;
    double wear_rate, wear_p99_us;
    double wear_read_p99_us; /* of reads between the overwrites, while space is reclaimed */
    double amplification;    /* bytes given to write(2) and its kin a byte of keys and values */
    double disk_key;         /* bytes on the disk a byte of live keys and values, at the end */
    double open_clean_ms, open_killed_ms;
};

void engine_run_key(uint64_t id, char key[PEER_KEY_SIZE]);
/* Bytes this process has handed to the kernel: what reaches the disk is counted by whole folios
 * there, which says more of the file system than of the store. */
uint64_t engine_run_written(void);
/* Removes a folder and what is in it. */
void engine_run_remove(const char *folder);
/* 0, or -1 with a line on standard error. */
int engine_run(const struct peer *peer, const struct engine_run_options *options,
               struct engine_run *run);

#endif
