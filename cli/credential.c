#include "cli/credential.h"

enum exit_code credential_load(const struct arguments *arguments, enum link_role role,
                               struct ticket *ticket)
{
    const char *path = arguments_text(arguments, "ticket");
    char text[512];
    int r = ticket_load(ticket, path);

    if (r == 0 && ticket->id != 0 && ticket->role != role) {
        arguments_error(arguments, "%s: this ticket is for the role %s, not %s", path,
                        ticket_role_name(ticket->role), ticket_role_name((uint8_t)role));
        ticket_wipe(ticket);
        return EXIT_CODE_FAILED;
    }
    if (r == 0)
        return EXIT_CODE_OK;
    ticket_error_text(r, path, text, sizeof text);
    arguments_error(arguments, "%s", text);
    return EXIT_CODE_FAILED;
}
