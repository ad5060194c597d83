/* Command: what an operation does, as a pure function of its arguments and the values it read.
 *
 * Evaluate, then replicate: the leader evaluates against applied state overlaid by pending writes,
 * and logs only the outcome, puts and deletes. So followers need no commands, a replay cannot come
 * out differently, and a later version may change a command without a format change.
 *
 * Use: command_check() at the door, once. command_keys() and command_needs() say what to look up.
 * command_evaluate() when it is all there. An outcome without writes logs nothing (a GET, a failed
 * NX, DEL of nothing, any status but OK): its reply waits for a read-index round instead.
 *
 * Invariant: an outcome writes each key at most once; of a PUT with repeated keys the last value
 * wins. DEL counts a repeated key once, EXISTS each time.
 *
 * SET with GET and a condition replies an array: the old value or nil, then one byte, '1' when it
 * was set and '0' when not. An INCRBY whose delta is no integer gets NOT_INTEGER at the door.
 *
 * Expiry: a key is there until its delete is logged, so the host takes the values that have
 * expired out, with logged deletes, before it asks here (shard_expiry.c). INCRBY and APPEND
 * keep a deadline, SET and PUT clear it but for KEEPTTL. Deadlines are Unix ms; a relative one
 * counts from command_input.time_ms, which is the leader's. EXPIRE and GETEX with one that has
 * passed delete the key. As values cannot be changed in place, a new deadline writes the value
 * again.
 */
#ifndef REPLICATION_COMMAND_H
#define REPLICATION_COMMAND_H

#include "ring/wire.h"
#include "storage/keydir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_VALUE_SIZE_MAX (16u << 20)
#define COMMAND_ENTRY_SIZE_MAX (18u << 20) /* it must go into one message to the followers */

struct command_options {
    uint32_t value_size_max; /* bytes; ≤ COMMAND_VALUE_SIZE_MAX */
    uint32_t entry_size_max; /* keys and values that one operation writes, bytes */
};

enum command_needs {
    COMMAND_NEEDS_NONE,      /* values[] is not read */
    COMMAND_NEEDS_EXISTENCE, /* values[].found: keydir and pending writes answer, no disk read */
    COMMAND_NEEDS_VALUE,     /* found, bytes, size, expiry_ms: the record is read */
};

/* Status of the operation as it came in: WIRE_STATUS_OK, MALFORMED (unknown operation or flags, NX
 * with XX, wrong number of arguments, nil or empty key, key over 65,535 B), TOO_LARGE, or
 * NOT_INTEGER (delta of INCRBY, a time). args: arg_count of them. */
uint8_t command_check(const struct command_options *options, const struct wire_op *op,
                      const struct wire_bytes *args);
/* How many keys; key i is args[i * *stride]. 0 for COUNT and SCAN. Only after command_check(). */
uint32_t command_keys(uint8_t operation, uint32_t arg_count, uint32_t *stride);
enum command_needs command_needs(uint8_t operation, uint8_t flags);

/* One a key. With NEEDS_EXISTENCE only `found` counts. */
struct command_value {
    const uint8_t *bytes;
    size_t size;
    uint64_t expiry_ms; /* 0: none */
    bool found;         /* false for absent and deleted keys */
};

struct command_input {
    const struct wire_op *op;
    const struct wire_bytes *args;
    const struct keydir_digest *digests; /* one a key: how repeated keys are seen */
    const struct command_value *values;  /* one a key; unread with NEEDS_NONE */
    uint64_t partition_keys;             /* COUNT: the reply */
    uint64_t time_ms;                    /* the leader's, Unix; all deadlines of values are above */
};

/* bytes borrow from args or from the outcome's scratch; not from values, whose memory the host may
 * need for the append. */
struct command_write {
    const uint8_t *bytes; /* put: the whole new value; NULL with remove */
    size_t size;
    uint64_t expiry_ms; /* 0: none */
    uint32_t key;       /* number of the key: args[key * stride], digests[key] */
    bool remove;        /* a tombstone */
};

/* Reused from one evaluation to the next so that it stops allocating. All it points to is valid
 * until the next command_evaluate() or as long as the input's memory, whichever ends first. */
struct command_outcome {
    struct wire_result reply; /* status and payload; id is the operation's */
    struct command_write *writes;
    uint32_t write_count; /* 0: nothing is to be logged */
    int64_t result;       /* for struct record_request, with write_count > 0 */
    uint32_t writes_capacity;
    uint32_t values_capacity;
    uint32_t seen_capacity;
    struct wire_bytes *values;
    uint32_t *seen;
    uint8_t *scratch;
    size_t scratch_capacity;
};

void command_outcome_init(struct command_outcome *outcome);
void command_outcome_deinit(struct command_outcome *outcome);

/* Of a SCAN that has passed command_check(), which the host itself answers. */
void command_scan_numbers(const struct wire_bytes *args, uint64_t *position, uint32_t *count);
/* Not for SCAN. The operation must have passed command_check(). 0, or -ENOMEM (nothing was
 * evaluated). The status may still be NOT_INTEGER, OVERFLOW or TOO_LARGE (APPEND): no writes then.
 */
int command_evaluate(const struct command_options *options, const struct command_input *input,
                     struct command_outcome *outcome);

/* Whether the i64 in the request id rebuilds the whole reply of an operation that logged writes.
 * Not for those that reply an old value (SET with GET, GETDEL, GETEX): their retries get UNKNOWN.
 */
bool command_result_kept(uint8_t operation, uint8_t flags);
/* Rebuilds the reply to a retry: status OK with the payload of the first time, or status UNKNOWN
 * when it was not kept. id is left alone. */
void command_reply_from_result(uint8_t operation, uint8_t flags, int64_t result,
                               struct wire_result *reply);

/* Redis's strict form of a 64-bit integer: digits with an optional '-', no leading zeros, no plus,
 * no spaces, no "-0". False when it is anything else or out of range. */
bool command_parse_integer(const void *bytes, size_t size, int64_t *out);

#endif
