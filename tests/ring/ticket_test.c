#include "ring/link.h"
#include "ring/ticket.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];
static char path[128];

static void setup(void)
{
    cr_assert(sodium_init() >= 0);
    strcpy(directory, "/tmp/ticket-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/t", directory);
}

static void teardown(void)
{
    unlink(path);
    rmdir(directory);
}
TestSuite(ticket, .init = setup, .fini = teardown);

static void write_file(const char *bytes, size_t size, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

Test(ticket, saved_one_loads_again_and_is_private)
{
    struct ticket a, b;
    ticket_generate(&a);
    cr_assert_eq(ticket_save(&a, path), 0);
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 07777, 0600);
    cr_assert_eq(ticket_load(&b, path), 0);
    cr_assert_eq(memcmp(&a, &b, sizeof a), 0);
}

Test(ticket, save_never_replaces_a_file)
{
    struct ticket a, b;
    ticket_generate(&a);
    ticket_generate(&b);
    cr_assert_eq(ticket_save(&a, path), 0);
    cr_assert_eq(ticket_save(&b, path), TICKET_E_EXISTS);
    cr_assert_eq(ticket_load(&b, path), 0);
    cr_assert_eq(memcmp(&a, &b, sizeof a), 0);
}

Test(ticket, any_bit_for_group_or_others_is_refused)
{
    struct ticket a, b;
    ticket_generate(&a);
    cr_assert_eq(ticket_save(&a, path), 0);
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        cr_assert_eq(chmod(path, modes[i]), 0);
        cr_assert_eq(ticket_load(&b, path), TICKET_E_PERMISSIONS, "mode %o", modes[i]);
    }
    cr_assert_eq(chmod(path, 0400), 0);
    cr_assert_eq(ticket_load(&b, path), 0);
}

Test(ticket, absent_file_directory_and_oversize_are_told_apart)
{
    struct ticket a;
    char long_file[TICKET_FILE_SIZE_MAX + 100];
    cr_assert_eq(ticket_load(&a, path), TICKET_E_ABSENT);
    cr_assert_eq(ticket_load(&a, directory), -EISDIR);
    memset(long_file, '\n', sizeof long_file);
    write_file(long_file, sizeof long_file, 0600);
    cr_assert_eq(ticket_load(&a, path), TICKET_E_MALFORMED);
    write_file("", 0, 0600);
    cr_assert_eq(ticket_load(&a, path), TICKET_E_MALFORMED);
}

Test(ticket, a_pipe_in_its_place_does_not_block)
{
    struct ticket a;
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(ticket_load(&a, path), TICKET_E_MALFORMED);
}

Test(ticket, save_where_there_is_no_directory_fails_with_errno)
{
    struct ticket a;
    ticket_generate(&a);
    cr_assert_eq(ticket_save(&a, "/tmp/no/such/directory/t"), -ENOENT);
}

Test(ticket, text_round_trip_with_blanks_around)
{
    struct ticket a, b;
    char text[TICKET_TEXT_SIZE], padded[TICKET_TEXT_SIZE + 16];
    ticket_generate(&a);
    ticket_encode(&a, text);
    cr_assert_eq(text[strlen(text) - 1], '\n');
    int size = snprintf(padded, sizeof padded, " \t%s\r\n ", text);
    cr_assert_eq(ticket_decode(&b, padded, (size_t)size), 0);
    cr_assert_eq(memcmp(&a, &b, sizeof a), 0);
}

Test(ticket, every_damaged_or_missing_character_is_found)
{
    struct ticket a, b;
    char text[TICKET_TEXT_SIZE], bad[TICKET_TEXT_SIZE];
    ticket_generate(&a);
    ticket_encode(&a, text);
    size_t size = strlen(text) - 1;
    for (size_t i = 0; i < size; i++) {
        memcpy(bad, text, size);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        if (text[i] == ' ')
            continue; /* checked below */
        cr_assert_eq(ticket_decode(&b, bad, size), TICKET_E_MALFORMED, "at %zu", i);
        cr_assert_eq(ticket_decode(&b, text, i), TICKET_E_MALFORMED, "cut at %zu", i);
    }
    memcpy(bad, text, size);
    *strchr(bad, ' ') = '-';
    cr_assert_eq(ticket_decode(&b, bad, size), TICKET_E_MALFORMED);
    memcpy(bad, text, size);
    bad[size] = 'x';
    cr_assert_eq(ticket_decode(&b, bad, size + 1), TICKET_E_MALFORMED);
}

Test(ticket, newer_version_is_named_as_such)
{
    struct ticket a;
    static const char text[] = "ringcask-ticket-3 AAAA";
    cr_assert_eq(ticket_decode(&a, text, sizeof text - 1), TICKET_E_VERSION);
}

static struct ticket for_role(uint32_t id, uint8_t role)
{
    struct ticket ticket;
    ticket_generate(&ticket);
    ticket.id = id;
    ticket.role = role;
    return ticket;
}

Test(ticket, one_for_a_role_keeps_its_id_and_role)
{
    for (uint8_t role = LINK_ROLE_NODE; role <= LINK_ROLE_ADMIN; role++) {
        struct ticket a = for_role(role == LINK_ROLE_ADMIN ? UINT32_MAX : role, role), b;
        char text[TICKET_TEXT_SIZE];
        ticket_encode(&a, text);
        cr_assert_eq(strncmp(text, "ringcask-ticket-2 ", 18), 0);
        cr_assert_eq(ticket_decode(&b, text, strlen(text)), 0);
        cr_assert_eq(memcmp(&a, &b, sizeof a), 0);
        cr_assert_eq(ticket_role(ticket_role_name(role)), role);
    }
    cr_assert_eq(ticket_role("any"), 0);
    cr_assert_eq(ticket_role("king"), 0);
}

Test(ticket, one_of_a_role_does_not_pass_for_the_founding_s)
{
    struct ticket a = for_role(7, LINK_ROLE_ROUTER), b;
    char text[TICKET_TEXT_SIZE];
    ticket_encode(&a, text);
    text[strlen("ringcask-ticket-")] = '1';
    cr_assert_eq(ticket_decode(&b, text, strlen(text)), TICKET_E_MALFORMED);
    ticket_generate(&a);
    ticket_encode(&a, text);
    text[strlen("ringcask-ticket-")] = '2';
    cr_assert_eq(ticket_decode(&b, text, strlen(text)), TICKET_E_MALFORMED);
}

/* Written with Python's hashlib and base64, from docs/format-link.md: without an id, or with a role
 * that there is not, but a checksum that fits. */
Test(ticket, id_and_role_must_be_some)
{
    struct ticket a;
    static const char *const texts[] = {
        "ringcask-ticket-2 "
        "AgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMAAAAAAC6spuMA",
        "ringcask-ticket-2 "
        "AgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMAcAAAAEbq6DOA",
    };
    static const char good[] =
        "ringcask-ticket-2 "
        "AgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMAcAAAACWddKaQ";
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert_eq(ticket_decode(&a, texts[i], strlen(texts[i])), TICKET_E_MALFORMED);
    cr_assert_eq(ticket_decode(&a, good, sizeof good - 1), 0);
    cr_assert_eq(a.id, 7);
    cr_assert_eq(a.role, LINK_ROLE_ROUTER);
    cr_assert_eq(a.cluster[0], 1);
    cr_assert_eq(a.psk[31], 48);
}

Test(ticket, every_error_has_one_line_with_the_path)
{
    static const int codes[] = {TICKET_E_OK,
                                TICKET_E_ABSENT,
                                TICKET_E_PERMISSIONS,
                                TICKET_E_DENIED,
                                TICKET_E_MALFORMED,
                                TICKET_E_VERSION,
                                TICKET_E_EXISTS,
                                -EIO,
                                -EISDIR};
    char text[256];
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        ticket_error_text(codes[i], "/x/y", text, sizeof text);
        cr_assert_eq(strncmp(text, "/x/y: ", 6), 0, "%s", text);
        cr_assert_null(strchr(text, '\n'));
        cr_assert(strlen(text) < 200);
    }
    ticket_error_text(TICKET_E_PERMISSIONS, "/x/y", text, sizeof text);
    cr_assert_not_null(strstr(text, "chmod 600 /x/y"));
}
