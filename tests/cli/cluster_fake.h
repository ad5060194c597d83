/* Cluster fake: takes the place of cli/cluster.c in tests that answer for the nodes themselves.
 * The node at 127.0.0.1:7000 + k is number k; all are up. */
#ifndef TESTS_CLI_CLUSTER_FAKE_H
#define TESTS_CLI_CLUSTER_FAKE_H

#include "cli/cluster.h"
#include "ring/wire.h"

/* Set by the test: what cluster_ask() does. No request is answered yet. */
extern void (*cluster_fake_ask)(struct cluster_request *requests, size_t count,
                                uint32_t timeout_ms);
/* Copies the body, and is the end of it. */
void cluster_fake_answer(struct cluster_request *request, struct wire_buffer *body);

#endif
