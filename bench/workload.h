/* Workload: chooses the next operation and its key, as YCSB does (Cooper et al., SoCC 2010).
 *
 *   a  50 % read, 50 % update    zipfian     d  95 % read, 5 % insert       latest
 *   b  95 % read,  5 % update    zipfian     f  50 % read, 50 % read-modify-write  zipfian
 *   c  100 % read                zipfian     get, set: one kind only        uniform
 * E scans ranges in key order, which a hashed key space does not have.
 *
 * Zipfian: Gray et al., SIGMOD 1994, theta 0.99; ranks are scattered over the key space by a hash,
 * so that hot keys are not neighbours. Latest: the same ranks counted back from the newest key.
 *
 * Keys are numbers: 0 … keys-1 are there after the fill. Threads insert disjoint numbers above
 * them; `latest` knows the inserts of its own thread only, and of these only what has been
 * acknowledged with all before it.
 * Owner: one thread each; chance is the caller's seed, so that a run can be repeated.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum workload_kind { WORKLOAD_READ, WORKLOAD_UPDATE, WORKLOAD_INSERT, WORKLOAD_MODIFY };
#define WORKLOAD_KIND_COUNT  4u
#define WORKLOAD_PENDING_MAX (1u << 16) /* inserts in flight, a power of two */

enum workload_distribution { WORKLOAD_UNIFORM, WORKLOAD_ZIPFIAN, WORKLOAD_LATEST };

struct workload_options {
    const char *name; /* a row of the table above */
    int distribution; /* enum workload_distribution, or -1: the table's */
    uint64_t keys;    /* there at the start; at least 1 */
    uint32_t thread;  /* 0 … threads-1 */
    uint32_t threads;
    uint64_t seed;
};

struct workload {
    uint8_t shares[WORKLOAD_KIND_COUNT]; /* percent */
    uint8_t distribution;
    uint64_t keys;
    uint32_t thread, threads;
    uint64_t inserts;                          /* chosen by this thread so far */
    uint64_t acknowledged;                     /* the first so many of them are known to be there */
    uint8_t pending[WORKLOAD_PENDING_MAX / 8]; /* bits, by number: acknowledged out of order */
    uint64_t chance;
    double zeta, zeta_two, alpha, eta; /* of the zipfian ranks over `keys` */
};

struct workload_choice {
    uint8_t kind; /* enum workload_kind */
    uint64_t key;
};

/* False: no such workload. O(keys) for zipfian and latest. */
bool workload_init(struct workload *workload, const struct workload_options *options);
struct workload_choice workload_next(struct workload *workload);
/* The insert of that key was answered with success. */
void workload_inserted(struct workload *workload, uint64_t key);
const char *workload_kind_name(uint8_t kind);
const char *workload_distribution_name(uint8_t distribution);
/* -1: no such distribution. */
int workload_distribution_of(const char *name);
/* 64 random bits; splitmix64. */
uint64_t workload_chance(struct workload *workload);

#endif
