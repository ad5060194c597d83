#include "cli/top_view.h"

#include <criterion/criterion.h>
#include <string.h>

static struct top_member members[2];
static struct top_view view;

static void begin(void)
{
    memset(members, 0, sizeof members);
    members[0].id = 3;
    members[1].id = 7;
    top_view_init(&view, members, 2);
}

static void answer(size_t member, const struct wire_top *top,
                   const struct wire_top_partition *partitions, const struct wire_top_key *keys,
                   size_t key_count)
{
    struct wire_buffer body = {0};

    wire_put_top_reply(&body, top);
    for (uint32_t i = 0; i < top->partition_count; i++)
        wire_put_top_partition(&body, &partitions[i]);
    for (size_t i = 0; i < key_count; i++)
        wire_put_top_key(&body, &keys[i]);
    cr_assert_eq(top_view_take(&view, member, body.data, body.size), TOP_VIEW_E_OK);
    wire_buffer_deinit(&body);
}

static struct wire_top_key key(const char *text, uint32_t key_size, uint64_t count)
{
    return (struct wire_top_key){{(const uint8_t *)text, strlen(text)}, key_size, count, 1};
}

Test(top_view, the_busiest_comes_first_whoever_leads_it)
{
    const struct wire_top_partition first[] = {{4, 10, 100}, {8, 300, 5}};
    const struct wire_top_partition second[] = {{5, 10, 200}, {0xFFFF, 0, 0}};
    const struct wire_top_key keys[] = {key("a", 1, 9), key("b", 1, 4)}, other = key("c", 1, 5);

    begin();
    answer(0, &(struct wire_top){.may_lead = true, .partition_count = 2, .seen = 13}, first, keys,
           2);
    answer(1, &(struct wire_top){.may_lead = true, .partition_count = 2, .seen = 5}, second, &other,
           1);
    top_view_sort(&view);
    cr_assert_eq(view.partition_count, 4);
    cr_assert(view.partitions[0].partition == 8 && view.partitions[0].leader == 3);
    cr_assert(view.partitions[1].partition == 5 && view.partitions[1].leader == 7);
    cr_assert(view.partitions[2].partition == 4 && view.partitions[3].partition == 0xFFFF);
    cr_assert(view.key_count == 3 && view.seen == 18);
    cr_assert(view.keys[0].bytes[0] == 'a' && view.keys[1].bytes[0] == 'c');
    cr_assert(members[0].leaders == 2 && members[0].operations == 310 && members[0].bytes == 105);
    top_view_deinit(&view);
}

Test(top_view, a_member_is_as_the_worst_of_its_shards)
{
    begin();
    cr_assert_str_eq(top_member_state(&members[0]), "unreachable");
    answer(0, &(struct wire_top){.may_lead = true, .sync_us = 500}, NULL, NULL, 0);
    cr_assert_str_eq(top_member_state(&members[0]), "leads");
    answer(0, &(struct wire_top){.may_lead = false, .sync_us = 300}, NULL, NULL, 0);
    cr_assert_str_eq(top_member_state(&members[0]), "leads nothing");
    cr_assert_eq(members[0].sync_us, 500);
    answer(0, &(struct wire_top){.may_lead = true, .slow = true, .sync_us = 90000}, NULL, NULL, 0);
    cr_assert_str_eq(top_member_state(&members[0]), "slow disk");
    cr_assert_not(members[0].may_lead);
    cr_assert_eq(members[0].sync_us, 90000);
    answer(0, &(struct wire_top){.drained = true}, NULL, NULL, 0);
    cr_assert_str_eq(top_member_state(&members[0]), "drained");
    top_view_deinit(&view);
}

Test(top_view, keys_do_not_steer_the_terminal)
{
    char text[TOP_KEY_TEXT_SIZE], full[WIRE_TOP_KEY_SIZE_MAX + 1] = {0};
    const struct wire_top_key keys[] = {key("a\x1b[2J\\ \xff", 8, 2), key("begin", 900, 1)};
    struct wire_top_key longest;

    begin();
    memset(full, 1, WIRE_TOP_KEY_SIZE_MAX);
    longest = key(full, 1000, 0);
    answer(0, &(struct wire_top){0}, NULL, keys, 2);
    answer(0, &(struct wire_top){0}, NULL, &longest, 1);
    top_key_text(&view.keys[0], text);
    cr_assert_str_eq(text, "a\\x1b[2J\\x5c\\x20\\xff");
    top_key_text(&view.keys[1], text);
    cr_assert_str_eq(text, "begin...");
    top_key_text(&view.keys[2], text);
    cr_assert_eq(strlen(text), TOP_KEY_TEXT_SIZE - 1);
    top_view_deinit(&view);
}

Test(top_view, what_is_cut_or_not_msgpack_is_refused)
{
    const struct wire_top_partition partition = {4, 10, 100};
    const struct wire_top_key asked = key("a", 1, 9);
    struct wire_buffer body = {0};

    wire_put_top_reply(&body, &(struct wire_top){.partition_count = 1});
    wire_put_top_partition(&body, &partition);
    wire_put_top_key(&body, &asked);
    for (size_t size = 0; size < body.size; size++) {
        int r;

        begin();
        r = top_view_take(&view, 0, body.data, size);
        cr_assert(r == TOP_VIEW_E_MALFORMED || (r == 0 && view.key_count == 0), "%zu bytes", size);
        top_view_deinit(&view);
    }
    begin();
    cr_assert_eq(top_view_take(&view, 0, (const uint8_t *)"garbage", 7), TOP_VIEW_E_MALFORMED);
    top_view_deinit(&view);
    wire_buffer_deinit(&body);
}
