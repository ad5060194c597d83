#include "bench/reply.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *bytes;
    uint8_t kind;
} replies[] = {
    {"+OK\r\n", REPLY_OK},
    {":42\r\n", REPLY_OK},
    {":-1\r\n", REPLY_OK},
    {"$5\r\nhello\r\n", REPLY_OK},
    {"$0\r\n\r\n", REPLY_OK},
    {"$2\r\n\r\n\r\n", REPLY_OK},
    {"$-1\r\n", REPLY_NIL},
    {"*-1\r\n", REPLY_NIL},
    {"_\r\n", REPLY_NIL},
    {"*0\r\n", REPLY_OK},
    {"*3\r\n$1\r\na\r\n$-1\r\n*1\r\n:7\r\n", REPLY_OK},
    {"-TRYAGAIN no leader\r\n", REPLY_ERROR},
    {"-ERR\r\n", REPLY_ERROR},
};

Test(reply, whole_replies_have_their_size_and_kind)
{
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        size_t size = strlen(replies[i].bytes);
        char bytes[128];
        struct reply reply;

        snprintf(bytes, sizeof bytes, "%s+next\r\n", replies[i].bytes);
        cr_assert_eq(reply_parse(bytes, strlen(replies[i].bytes) + 7, &reply), (int64_t)size);
        cr_assert_eq(reply.kind, replies[i].kind, "%zu", i);
    }
}

Test(reply, cut_ones_ask_for_more)
{
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
        for (size_t size = 0; size < strlen(replies[i].bytes); size++) {
            struct reply reply;

            cr_assert_eq(reply_parse(replies[i].bytes, size, &reply), 0, "%zu cut at %zu", i, size);
        }
}

Test(reply, prefix_of_an_error_is_its_first_word)
{
    struct reply reply;

    cr_assert_gt(reply_parse("-TRYAGAIN no leader\r\n", 21, &reply), 0);
    cr_assert_eq(reply.text_size, 8);
    cr_assert_arr_eq(reply.text, "TRYAGAIN", 8);
    cr_assert_gt(reply_parse("-ERR\r\n", 6, &reply), 0);
    cr_assert_eq(reply.text_size, 3);
}

Test(reply, what_is_no_resp_is_refused)
{
    static const char *wrong[] = {"HTTP/1.1\r\n", "$x\r\n", ":\r\n",
                                  "$1x\r\n",      ":12\n",  "$99999999999999999999\r\n"};
    struct reply reply;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert_eq(reply_parse(wrong[i], strlen(wrong[i]), &reply), -1, "%s", wrong[i]);
}

Test(reply, arrays_are_not_followed_without_end)
{
    char bytes[256] = "";
    struct reply reply;

    for (unsigned i = 0; i < 40; i++)
        strcat(bytes, "*1\r\n");
    cr_assert_eq(reply_parse(bytes, strlen(bytes), &reply), -1);
}
