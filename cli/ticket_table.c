#include "cli/ticket_table.h"

#include "cli/clock.h"
#include "replication/node_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

static const struct output_column field_version = {"version", "version", OUTPUT_NUMBER};
static const struct output_column field_secret = {"secret", "secret", OUTPUT_NUMBER};
static const struct output_column field_rotation = {"rotation", "rotation", OUTPUT_TEXT};
static const struct output_column field_ticket = {"ticket", NULL, OUTPUT_TEXT};
static const struct output_column field_sentence = {"verdict", NULL, OUTPUT_TEXT};
static const struct output_column columns[] = {
    {"id", "ID", OUTPUT_NUMBER},       {"role", "ROLE", OUTPUT_TEXT},
    {"state", "STATE", OUTPUT_TEXT},   {"uses", "USES", OUTPUT_NUMBER},
    {"uses_max", "OF", OUTPUT_NUMBER}, {"age_ms", "AGE", OUTPUT_TIME},
    {"left_ms", "LEFT", OUTPUT_TIME},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

static const char *state_of(const struct tickets_record *record, uint64_t now_ms)
{
    if (record->revoked_ms != 0)
        return "revoked";
    if (record->expires_ms != 0 && now_ms >= record->expires_ms)
        return "expired";
    return record->uses_max > 0 && record->uses == record->uses_max ? "spent" : "good";
}

void ticket_table_put(struct output *output, const struct tickets_record *records, uint32_t count)
{
    uint64_t now_ms = clock_wall_ms();

    output_table(output, "tickets", columns, COLUMN_COUNT);
    for (uint32_t i = 0; i < count; i++) {
        const struct tickets_record *record = &records[i];
        uint64_t left_ms = record->expires_ms > now_ms ? record->expires_ms - now_ms : 0;
        uint64_t age_ms = now_ms > record->created_ms ? now_ms - record->created_ms : 0;
        bool counted = record->uses_max > 0;

        output_row(output, (const struct output_value[COLUMN_COUNT]){
                               {.number = record->id},
                               {.text = ticket_role_name(record->role)},
                               {.text = state_of(record, now_ms)},
                               {.absent = !counted, .number = record->uses},
                               {.absent = !counted, .number = record->uses_max},
                               {.number = age_ms},
                               {.absent = record->expires_ms == 0, .number = left_ms}});
    }
}

void ticket_secret_put(struct output *output, uint32_t generation, uint8_t phase)
{
    static const char *const phases[] = {[TICKETS_STEADY] = "none",
                                         [TICKETS_PREPARED] = "prepared",
                                         [TICKETS_RETIRING] = "the old secret opens still"};

    output_field(output, &field_secret, (struct output_value){.number = generation});
    output_field(output, &field_rotation, (struct output_value){.text = phases[phase]});
}

void ticket_line_put(struct output *output, const char *line)
{
    char text[TICKET_TEXT_SIZE];

    snprintf(text, sizeof text, "%.*s", (int)strcspn(line, "\n"), line);
    output_field(output, &field_ticket, (struct output_value){.text = text});
    sodium_memzero(text, sizeof text);
}

void ticket_sentence_put(struct output *output, const char *sentence)
{
    output_field(output, &field_sentence, (struct output_value){.text = sentence});
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

bool ticket_view_is_for(const char *path)
{
    return strcmp(name_of(path), node_file_tickets.name) == 0;
}

/* 0, -EBADMSG, -EPROTO or -errno. */
static int load(const char *path, struct tickets *tickets)
{
    char folder[PATH_MAX];
    struct node_file file;
    struct vfs *vfs;
    int r;

    if (snprintf(folder, sizeof folder, "%.*s.", (int)(name_of(path) - path), path) >=
        (int)sizeof folder)
        return -ENAMETOOLONG;
    r = vfs_posix_open(&vfs, folder);
    if (r != 0)
        return r;
    r = node_file_read(vfs, &node_file_tickets, &file);
    vfs_posix_close(vfs);
    if (r != 0)
        return r;
    r = tickets_decode(file.blob, file.size, tickets);
    sodium_memzero(file.blob, file.size);
    free(file.blob);
    return r != 0 ? -EBADMSG : 0;
}

static int print(const struct tickets *tickets, enum output_format format)
{
    struct output *output = output_new(format);
    int r = -ENOMEM;

    if (output) {
        output_field(output, &field_version, (struct output_value){.number = tickets->version});
        ticket_secret_put(output, tickets->offered.generation, tickets->phase);
        ticket_table_put(output, tickets->records, tickets->count);
        r = output_print(output, stdout);
    }
    output_free(output);
    return r;
}

enum exit_code ticket_view(const struct arguments *arguments, const char *path,
                           enum output_format format)
{
    struct tickets *tickets = calloc(1, sizeof *tickets);
    int r = tickets ? load(path, tickets) : -ENOMEM;

    if (r == 0)
        r = print(tickets, format);
    if (tickets)
        tickets_wipe(tickets);
    free(tickets);
    if (r == 0)
        return EXIT_CODE_OK;
    arguments_error(arguments, "%s: %s", path,
                    r == -EPROTO    ? "of a newer format; use the newer version"
                    : r == -EBADMSG ? "damaged"
                                    : strerror(-r));
    return r == -EPROTO ? EXIT_CODE_CONFLICT : EXIT_CODE_FAILED;
}
