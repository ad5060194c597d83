/* Store hosting: what tests of partitions that come and go share, over the harness of store_host.h.
 */
#ifndef TESTS_STORE_HOSTING_H
#define TESTS_STORE_HOSTING_H

#include "store_host.h"

bool hosting_is(const struct host *host, uint16_t partition);
/* store_host() with a checkpoint as the harness saves it. Its answer. */
int hosting_begin(struct host *host, uint16_t partition, uint32_t term);
/* Behind host_open(): which are gone. Nothing may have been told of those. */
void hosting_note(struct host *host);
/* What was appended to the partition until now is of a life that is over. */
void hosting_forget(struct host *host, uint16_t partition);
/* The partition comes, to its end; it goes, in the same way. */
void hosting_arrive(struct host *host, uint16_t partition, uint32_t term);
void hosting_leave(struct host *host, uint16_t partition);
/* Closes and opens again: all is as it was. */
void hosting_reopen(struct host *host);
/* Every partition has a cask: keys that were written long ago. */
void hosting_fill_casks(struct host *host);

#endif
