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
    cr_assert_eq(ticket_load(&a, directory), TICKET_E_MALFORMED);
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
    static const char text[] = "ringcask-ticket-2 AAAA";
    cr_assert_eq(ticket_decode(&a, text, sizeof text - 1), TICKET_E_VERSION);
}

Test(ticket, every_error_has_one_line_with_the_path)
{
    static const int codes[] = {
        TICKET_E_OK,        TICKET_E_ABSENT,  TICKET_E_PERMISSIONS, TICKET_E_DENIED,
        TICKET_E_MALFORMED, TICKET_E_VERSION, TICKET_E_EXISTS,      -EIO};
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
