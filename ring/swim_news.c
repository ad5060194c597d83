#include "ring/swim_internal.h"

#include <assert.h>
#include <string.h>

#define MISFITS_MAX 8u /* news that are too large for what is left: then the packet is full */

uint32_t swim_retransmit_limit(const struct swim *swim)
{
    uint32_t doublings = (swim_log2(swim->member_count + 1) + 999) / 1000;
    uint32_t limit = swim->options.retransmit_factor * doublings;

    return limit < SWIM_RETRANSMIT_MAX ? limit : SWIM_RETRANSMIT_MAX;
}

static struct swim_queued *news_of(struct swim_member *member, enum swim_queue queue)
{
    return queue == SWIM_STATEMENTS ? &member->statement_news : &member->record_news;
}

static void unlink_news(struct swim *swim, struct swim_queued *news)
{
    enum swim_queue queue = (enum swim_queue)news->queue;

    if (!news->queued)
        return;
    if (news->previous)
        news_of(&swim->members[news->previous - 1], queue)->next = news->next;
    else
        swim->queues[queue][news->sent] = news->next;
    if (news->next)
        news_of(&swim->members[news->next - 1], queue)->previous = news->previous;
    news->queued = false;
}

static void link_news(struct swim *swim, struct swim_member *member, enum swim_queue queue,
                      uint8_t sent, uint64_t since_ms)
{
    struct swim_queued *news = news_of(member, queue);
    uint16_t *head = &swim->queues[queue][sent];
    uint16_t here = (uint16_t)(swim_slot(swim, member) + 1);

    assert(!news->queued);
    *news = (struct swim_queued){
        .since_ms = since_ms, .next = *head, .sent = sent, .queue = (uint8_t)queue, .queued = true};
    if (*head)
        news_of(&swim->members[*head - 1], queue)->previous = here;
    *head = here;
}

void swim_enqueue_record(struct swim *swim, struct swim_member *member, enum swim_queue queue)
{
    struct swim_queued *news = &member->record_news;

    assert(queue != SWIM_STATEMENTS);
    /* What is urgent stays so when a load comes on top of it. */
    if (news->queued && news->queue == SWIM_RECORDS)
        queue = SWIM_RECORDS;
    unlink_news(swim, news);
    link_news(swim, member, queue, 0, swim->clock_ms);
}

void swim_enqueue_statement(struct swim *swim, struct swim_member *member)
{
    unlink_news(swim, &member->statement_news);
    link_news(swim, member, SWIM_STATEMENTS, 0, swim->clock_ms);
}

void swim_dequeue_record(struct swim *swim, struct swim_member *member)
{
    unlink_news(swim, &member->record_news);
}

void swim_dequeue_statement(struct swim *swim, struct swim_member *member)
{
    unlink_news(swim, &member->statement_news);
}

struct swim_send *swim_begin(struct swim_effects *effects, uint16_t to, enum swim_packet_kind kind,
                             uint32_t nonce, uint16_t subject)
{
    struct swim_send *send;

    if (effects->send_count == SWIM_PACKETS_MAX)
        return NULL;
    send = &effects->sends[effects->send_count++];
    *send = (struct swim_send){.to = to,
                               .size = SWIM_PACKET_OVERHEAD,
                               .packet = {.kind = (uint8_t)kind,
                                          .nonce = nonce,
                                          .subject = subject,
                                          .items = &effects->items[effects->item_count]}};
    return send;
}

bool swim_add(struct swim_effects *effects, struct swim_send *send, uint32_t size_max,
              enum swim_item_kind kind, const struct swim_member *member)
{
    struct swim_item item = {.kind = (uint8_t)kind,
                             .member = member->id,
                             .standing = member->standing,
                             .incarnation = member->incarnation,
                             .sequence = member->sequence};
    size_t size;

    assert(send == &effects->sends[effects->send_count - 1]);
    if (kind == SWIM_ITEM_RECORD) {
        assert(member->record_size > 0);
        item.record = member->record;
        item.record_size = member->record_size;
        item.signature = member->signature;
    } else if (kind == SWIM_ITEM_STATEMENT) {
        assert(member->standing == SWIM_SUSPECT || member->standing == SWIM_DEAD);
        item.accuser_count = member->accuser_count;
        memcpy(item.accusers, member->accusers, sizeof item.accusers);
    } else if (kind == SWIM_ITEM_DIGEST && member->record_size == 0) {
        item.sequence = 0;
    }
    size = swim_item_size(&item);
    if (send->packet.item_count == SWIM_ITEMS_MAX || effects->item_count == SWIM_EFFECT_ITEMS_MAX ||
        send->size + size > size_max)
        return false;
    effects->items[effects->item_count++] = item;
    send->packet.item_count++;
    send->size += (uint32_t)size;
    return true;
}

/* What was put first: at most one item. */
static bool is_first(const struct swim_send *send, const struct swim_member *member,
                     enum swim_item_kind kind)
{
    return send->packet.item_count > 0 && send->packet.items[0].kind == kind &&
           send->packet.items[0].member == member->id;
}

/* The news sent `sent` times. *misfits counts down. */
static void fill_from(struct swim *swim, struct swim_effects *effects, struct swim_send *send,
                      enum swim_queue queue, uint32_t sent, uint32_t *misfits)
{
    enum swim_item_kind kind = queue == SWIM_STATEMENTS ? SWIM_ITEM_STATEMENT : SWIM_ITEM_RECORD;
    uint64_t lasts_ms = (uint64_t)swim_retransmit_limit(swim) * swim->options.period_ms;
    uint16_t at = swim->queues[queue][sent];

    while (at != 0 && *misfits > 0) {
        struct swim_member *member = &swim->members[at - 1];
        struct swim_queued *news = news_of(member, queue);

        at = news->next;
        if (swim->clock_ms - news->since_ms > lasts_ms) { /* whoever missed it learns by SYNC */
            unlink_news(swim, news);
            continue;
        }
        if (member->id == send->to || is_first(send, member, kind)) /* it knows */
            continue;
        if (!swim_add(effects, send, swim->options.packet_size_max, kind, member))
            --*misfits;
    }
}

/* The items from `first` on were taken from the queues: they have been sent once more. Those that
 * were sent least often come last, so that they stay the newest of theirs. */
static void count_sent(struct swim *swim, const struct swim_send *send, uint32_t first)
{
    uint32_t limit = swim_retransmit_limit(swim);

    for (uint32_t i = send->packet.item_count; i > first; i--) {
        const struct swim_item *item = &send->packet.items[i - 1];
        struct swim_member *member = swim_get(swim, item->member);
        struct swim_queued *news =
            item->kind == SWIM_ITEM_STATEMENT ? &member->statement_news : &member->record_news;
        uint32_t sent = news->sent + 1u;

        unlink_news(swim, news);
        if (sent < limit)
            link_news(swim, member, (enum swim_queue)news->queue, (uint8_t)sent, news->since_ms);
    }
}

bool swim_urgent(const struct swim *swim)
{
    for (size_t sent = 0; sent < SWIM_RETRANSMIT_MAX; sent++)
        if (swim->queues[SWIM_RECORDS][sent] || swim->queues[SWIM_STATEMENTS][sent])
            return true;
    return false;
}

void swim_fill(struct swim *swim, struct swim_effects *effects, struct swim_send *send)
{
    uint32_t limit = swim_retransmit_limit(swim);
    uint32_t first = send->packet.item_count;
    uint32_t misfits = MISFITS_MAX;

    for (uint32_t sent = 0; sent < limit && misfits > 0; sent++) {
        fill_from(swim, effects, send, SWIM_RECORDS, sent, &misfits);
        fill_from(swim, effects, send, SWIM_STATEMENTS, sent, &misfits);
    }
    for (uint32_t sent = 0; sent < limit && misfits > 0; sent++)
        fill_from(swim, effects, send, SWIM_ROUTINE, sent, &misfits);
    count_sent(swim, send, first);
}
