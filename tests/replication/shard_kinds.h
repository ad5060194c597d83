/* Values of several kinds for a cluster of the tests, so that one of its partitions gets
 * compression dictionaries. All functions assert what they expect.
 */
#ifndef TESTS_REPLICATION_SHARD_KINDS_H
#define TESTS_REPLICATION_SHARD_KINDS_H

#include "shard_cluster.h"

#define KEYS  150 /* of each kind */
#define KINDS 7

/* All keys are of one partition, whose dictionaries the functions below are about. */
void kinds_key(char key[32], int number);
/* Values of one kind have little in common with those of another. */
void kinds_value(char value[64], int kind, int number);
void kinds_write_one(struct cluster *cluster, const char *key, const char *value);
/* All values of a kind, under keys of its own. */
void kinds_write(struct cluster *cluster, int kind);
void kinds_expect(struct cluster *cluster, int kind);
/* The newest dictionary of the partition on the first node. */
uint32_t kinds_newest(struct cluster *cluster, uint16_t partition);
/* So many on each node, and the same content. */
void kinds_expect_dictionaries(struct cluster *cluster, uint16_t partition, uint32_t count);
/* How many records in the partition's log on that node have that codec. */
uint32_t kinds_records_with(struct cluster *cluster, int node, uint16_t partition, uint8_t codec);
void kinds_restart(struct cluster *cluster, uint16_t partition);

#endif
