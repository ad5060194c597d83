#include "cluster_fake.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void (*cluster_fake_ask)(struct cluster_request *requests, size_t count, uint32_t timeout_ms);

void cluster_fake_answer(struct cluster_request *request, struct wire_buffer *body)
{
    cr_assert_not(body->failed);
    request->answered = true;
    request->reply = malloc(body->size + 1);
    request->reply_size = body->size;
    if (body->size > 0)
        memcpy(request->reply, body->data, body->size);
    wire_buffer_deinit(body);
}

int cluster_dial(struct cluster *cluster, const char *address, const uint8_t *key)
{
    (void)cluster;
    (void)key;
    return atoi(strchr(address, ':') + 1) - 7000;
}

void cluster_wait(struct cluster *cluster, uint32_t timeout_ms)
{
    (void)cluster;
    (void)timeout_ms;
}

bool cluster_is_up(struct cluster *cluster, int node)
{
    (void)cluster;
    (void)node;
    return true;
}

void cluster_why(struct cluster *cluster, int node, char *text, size_t size)
{
    (void)cluster;
    snprintf(text, size, "%d is down", node);
}

void cluster_ask(struct cluster *cluster, struct cluster_request *requests, size_t count,
                 uint32_t timeout_ms)
{
    (void)cluster;
    for (size_t i = 0; i < count; i++) {
        requests[i].answered = false;
        requests[i].reply = NULL;
        requests[i].reply_size = 0;
    }
    cluster_fake_ask(requests, count, timeout_ms);
}

void cluster_request_deinit(struct cluster_request *request)
{
    free(request->reply);
    request->reply = NULL;
}
