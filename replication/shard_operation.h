/* Shard, an operation's way: from a client's frame to its result. Included by shard_internal.h,
 * which has the structs; nothing else includes it. */
#ifndef REPLICATION_SHARD_OPERATION_H
#define REPLICATION_SHARD_OPERATION_H

#include "replication/shard.h"
#include "ring/wire.h"

struct replica;
struct shard_client;
struct shard_operation;
struct shard_place;
struct shard_read;
struct shard_request;
struct shard_waiter;

/* shard_client.c */
struct shard_client *shard_client(const struct shard *shard, uint64_t link);
void shard_client_open(struct shard *shard, struct shard_address from);
void shard_client_close(struct shard *shard, uint64_t link);
void shard_client_result(struct shard *shard, uint64_t link, const struct wire_result *result);
/* Answers an operation that was not proposed, and closes its lane_epoch. */
void shard_client_refuse(struct shard *shard, uint64_t link, const struct wire_op *op,
                         uint8_t status, int64_t payload);
bool shard_client_lane_refused(const struct shard *shard, uint64_t link, uint16_t partition,
                               uint32_t lane_epoch);
void shard_client_status(struct shard *shard, struct shard_address from,
                         const struct link_message *message);
/* A flush is asked for, or how far it is. Nothing is kept of who asked. */
void shard_client_flush(struct shard *shard, struct shard_address from,
                        const struct link_message *message);
void shard_client_scrub(struct shard *shard, struct shard_address from,
                        const struct link_message *message);
/* Counts against admission from here until it is freed. NULL: no memory (fatal is set). */
struct shard_waiter *shard_waiter_new(struct shard *shard, size_t charge);
/* The answer that it holds counts as well: values may be large where their requests were small. */
void shard_waiter_charge(struct shard *shard, struct shard_waiter *waiter, size_t size);
void shard_waiter_free(struct shard *shard, struct shard_waiter *waiter);
/* Hands it to the replica; answers at once when it waits for nothing. */
void shard_waiter_add(struct shard *shard, struct replica *replica, struct shard_waiter *waiter);
void shard_waiters_release(struct shard *shard, struct replica *replica);
/* Leadership ended: every answer that waits becomes LOST or NOT_LEADER. */
void shard_waiters_fail(struct shard *shard, struct replica *replica);
void shard_waiters_free(struct shard *shard);

/* shard_operation.c */
void shard_find_place(const struct shard *shard, const struct replica *replica,
                      const struct keydir_digest *digest, struct shard_place *place);
void shard_operations_frame(struct shard *shard, uint64_t link, const struct link_message *message);
/* False: it must wait for the disk (and its reads were started when request->waiting is set). */
bool shard_evaluate(struct shard *shard, struct replica *replica,
                    const struct shard_request *request);
/* What the replica itself says: OK when it may evaluate now. payload: of the result. */
uint8_t shard_replica_status(const struct shard *shard, const struct replica *replica,
                             int64_t *payload);
/* Ends it unproposed. */
void shard_request_refuse(struct shard *shard, struct replica *replica,
                          const struct shard_request *request, uint8_t status, int64_t payload);
/* The disk failed to give what it needs: refused, and another replica is asked to lead. */
void shard_request_unread(struct shard *shard, struct replica *replica,
                          const struct shard_request *request);

/* shard_value.c */
enum values_e {
    VALUES_OK,
    VALUES_ON_DISK,
    VALUES_FAILED, /* the disk gave an error, not bytes */
    VALUES_CORRUPT,
    VALUES_GONE, /* what was read has been written over meanwhile */
    VALUES_TOO_LARGE,
    VALUES_NO_MEMORY,
};
/* Room for size bytes in the shard's scratch; what is there stays. False: no memory. */
bool shard_scratch_room(struct shard *shard, size_t size);
/* Looks the keys up and reads what the operation needs of them: fills shard->values. *observed:
 * newest pending entry that was looked at. Returns enum values_e; ON_DISK: reads were started when
 * request->waiting is set. */
int shard_gather(struct shard *shard, struct replica *replica, const struct shard_request *request,
                 uint64_t *observed);

/* shard_park.c */
/* Lets it wait in the queues of its keys and of its lane: what the same router sends to the same
 * partition behind it must not overtake it. */
void shard_park(struct shard *shard, struct replica *replica, const struct shard_request *request);
/* Runs what has come to the head of its queues. */
void shard_run_ready(struct shard *shard);
void shard_operation_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                          size_t size);
void shard_operations_fail(struct shard *shard, struct replica *replica);
void shard_operations_expire(struct shard *shard);
void shard_operations_free(struct shard *shard);

/* Proposes the outcome, or arranges the round that a reply without writes needs. observed: newest
 * pending entry that it was made from. */
void shard_conclude(struct shard *shard, struct replica *replica,
                    const struct shard_request *request, uint64_t observed);

/* shard_scan.c */
/* How many there are when all that is pending has been applied. */
uint64_t shard_count_keys(const struct shard *shard, const struct replica *replica);
/* As shard_evaluate(). */
bool shard_scan(struct shard *shard, struct replica *replica, const struct shard_request *request);

#endif
