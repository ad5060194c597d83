#include "cli/address.h"
#include "cli/command.h"
#include "cli/credential.h"
#include "router/server_uv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#define PASSWORD_SIZE sizeof((struct router_options *)0)->password

static void on_ready(void *context, const char *address)
{
    (void)context;
    printf("ready resp=%s\n", address);
    fflush(stdout);
}

/* The first line of the file, which nobody else may read or write. */
static bool load_password(const struct arguments *arguments, const char *path,
                          char password[PASSWORD_SIZE])
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, password, PASSWORD_SIZE - 1);
    bool is_open = fd >= 0 && fstat(fd, &status) == 0 && (status.st_mode & 077) != 0;

    if (got < 0)
        arguments_error(arguments, "--password-file %s: %s; give a file that this user may read",
                        path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (got < 0)
        return false;
    password[got] = 0;
    if (is_open) {
        arguments_error(arguments, "%s: other users may read this password; run `chmod 600 %s`",
                        path, path);
        return false;
    }
    if (!strchr(password, '\n') && (size_t)got == PASSWORD_SIZE - 1) {
        arguments_error(arguments, "%s: a password has at most %zu bytes", path, PASSWORD_SIZE - 2);
        return false;
    }
    password[strcspn(password, "\r\n")] = 0;
    if (*password)
        return true;
    arguments_error(arguments, "%s: the first line is empty; put a password there", path);
    return false;
}

static bool parse(const struct arguments *arguments, struct address_list *seeds,
                  char resp[ADDRESS_SIZE])
{
    const char *resp_text = arguments_text(arguments, "resp");
    char bad[ADDRESS_SIZE];
    const char *why;

    if (address_resolve(resp_text, true, resp, &why) != 0) {
        arguments_error(arguments, "--resp %s: %s", resp_text, why);
        return false;
    }
    if (address_list_parse(seeds, arguments_text(arguments, "seeds"), bad, &why) != 0) {
        arguments_error(arguments, "--seeds %s: %s", bad, why);
        return false;
    }
    if (!arguments_text(arguments, "password-file") && !address_is_loopback(resp)) {
        arguments_error(arguments,
                        "--resp %s: others can reach this address; give --password-file, or use "
                        "127.0.0.1",
                        resp_text);
        return false;
    }
    return true;
}

static enum exit_code run(const struct server_uv_options *options)
{
    switch (server_uv_run(options)) {
    case SERVER_UV_E_OK:
        return EXIT_CODE_OK;
    case SERVER_UV_E_USAGE:
        return EXIT_CODE_USAGE;
    case -EADDRINUSE:
        return EXIT_CODE_CONFLICT;
    default:
        return EXIT_CODE_FAILED;
    }
}

int command_router(const struct arguments *arguments)
{
    const char *path = arguments_text(arguments, "password-file");
    char resp[ADDRESS_SIZE], password[PASSWORD_SIZE];
    const char *seeds[ADDRESS_LIST_MAX];
    struct address_list list;
    struct ticket ticket;
    struct server_uv_options options = {
        .ticket = &ticket, .seeds = seeds, .resp = resp, .on_ready = on_ready};
    enum exit_code code;

    if (!parse(arguments, &list, resp))
        return EXIT_CODE_USAGE;
    if (path && !load_password(arguments, path, password))
        return EXIT_CODE_FAILED;
    code = credential_load(arguments, LINK_ROLE_ROUTER, &ticket);
    if (code == EXIT_CODE_OK) {
        for (size_t i = 0; i < list.count; i++)
            seeds[options.seed_count++] = list.items[i];
        options.password = path ? password : NULL;
        code = run(&options);
        ticket_wipe(&ticket);
    }
    sodium_memzero(password, sizeof password);
    return code;
}
