#include "cli/admin.h"

#include <stdio.h>
#include <unistd.h>

int admin_ticket(const struct arguments *arguments)
{
    struct ticket ticket;
    char text[TICKET_TEXT_SIZE];

    (void)arguments;
    ticket_generate(&ticket);
    ticket_encode(&ticket, text);
    ticket_wipe(&ticket);
    fputs(text, stdout);
    fprintf(stderr,
            "Whoever holds this line may read and write the cluster. Keep it in a file that only "
            "its owner reads:\n    (umask 077; ring-admin ticket > cluster.ticket)\n");
    return EXIT_CODE_OK;
}
