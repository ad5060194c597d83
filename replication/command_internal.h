/* What the files of the command core share: replication/command.c and command_expiry.c. */
#ifndef REPLICATION_COMMAND_INTERNAL_H
#define REPLICATION_COMMAND_INTERNAL_H

#include "replication/command.h"

/* command.c. Room for that many writes: 0 or -ENOMEM. */
int command_reserve_writes(struct command_outcome *outcome, uint32_t count);
/* Room for that many in outcome->values. */
int command_reserve_values(struct command_outcome *outcome, uint32_t count);
/* For so many bytes; what was there is lost. 0 or -ENOMEM. */
int command_reserve_scratch(struct command_outcome *outcome, size_t size);
/* Room was reserved. bytes NULL: a tombstone. */
void command_add_write(struct command_outcome *outcome, uint32_t key, const uint8_t *bytes,
                       size_t size, uint64_t expiry_ms);
void command_reply_integer(struct command_outcome *outcome, int64_t integer);
/* nil has no data; an empty value has some. */
struct wire_bytes command_bytes_of(const struct command_value *value);

/* command_expiry.c. Whether the flags go together, and with the number of arguments. */
bool command_flags_sound(const struct wire_op *op);
/* Of an operation with a time: OK, NOT_INTEGER, or MALFORMED (SET, GETEX: not above zero). */
uint8_t command_check_time(const struct wire_op *op, const struct wire_bytes *args);
/* Unix ms; at the latest INT64_MAX. */
int64_t command_deadline(const struct command_input *input, const struct wire_bytes *time);
/* SCAN: OK or MALFORMED. */
uint8_t command_check_scan(const struct wire_bytes *args);
/* TTL, EXPIRE, PERSIST, GETEX. */
int command_evaluate_expiry(const struct command_input *input, struct command_outcome *outcome);

#endif
