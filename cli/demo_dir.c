#include "cli/demo_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODES_MAX     9u
#define LOG_TAIL_SIZE 2048

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static enum exit_code fail(const char *path, const char *why, enum exit_code code)
{
    fprintf(stderr, "ringcask demo: %s: %s\n", path, why);
    return code;
}

static enum exit_code make(struct demo_dir *dir, const char *path)
{
    const char *base = getenv("TMPDIR");
    char relative[PATH_MAX];

    if (!path) {
        snprintf(dir->path, sizeof dir->path, "%s/ringcask-demo-XXXXXX",
                 base && *base ? base : "/tmp");
        if (!mkdtemp(dir->path))
            return fail(dir->path, strerror(errno), EXIT_CODE_FAILED);
        dir->temporary = true;
        return EXIT_CODE_OK;
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(path, strerror(errno), EXIT_CODE_FAILED);
    if (!realpath(path, relative))
        return fail(path, strerror(errno), EXIT_CODE_FAILED);
    memcpy(dir->path, relative, sizeof dir->path);
    return EXIT_CODE_OK;
}

enum exit_code demo_dir_open(struct demo_dir *dir, const char *path)
{
    char lock[PATH_MAX];
    enum exit_code code;

    *dir = (struct demo_dir){.lock = -1};
    code = make(dir, path);
    if (code != EXIT_CODE_OK)
        return code;
    demo_dir_path(dir, "demo", ".lock", lock);
    dir->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (dir->lock < 0)
        return fail(lock, strerror(errno), EXIT_CODE_FAILED);
    if (flock(dir->lock, LOCK_EX | LOCK_NB) != 0)
        return fail(dir->path, "another demo runs in this directory; stop it or choose another",
                    EXIT_CODE_CONFLICT);
    return EXIT_CODE_OK;
}

void demo_dir_close(struct demo_dir *dir)
{
    if (dir->temporary)
        (void)nftw(dir->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (dir->lock >= 0)
        close(dir->lock);
    dir->lock = -1;
}

void demo_dir_path(const struct demo_dir *dir, const char *name, const char *suffix,
                   char out[PATH_MAX])
{
    /* A path that does not fit fails where it is opened. */
    if (snprintf(out, PATH_MAX, "%s/%s%s", dir->path, name, suffix) >= PATH_MAX)
        out[PATH_MAX - 1] = 0;
}

enum exit_code demo_dir_ticket(const struct demo_dir *dir, struct ticket *ticket)
{
    char path[PATH_MAX], text[PATH_MAX + 256];
    int r;

    demo_dir_path(dir, "cluster", ".ticket", path);
    r = ticket_load(ticket, path);
    if (r == TICKET_E_ABSENT) {
        ticket_generate(ticket);
        r = ticket_save(ticket, path);
    }
    if (r == 0)
        return EXIT_CODE_OK;
    ticket_error_text(r, path, text, sizeof text);
    fprintf(stderr, "ringcask demo: %s\n", text);
    return EXIT_CODE_FAILED;
}

uint32_t demo_dir_nodes(const struct demo_dir *dir)
{
    char address[ADDRESS_SIZE], name[16];
    uint32_t count = 0;

    for (; count < NODES_MAX; count++) {
        snprintf(name, sizeof name, "node-%u", count + 1);
        if (!demo_dir_address(dir, name, address))
            break;
    }
    return count;
}

bool demo_dir_address(const struct demo_dir *dir, const char *name, char address[ADDRESS_SIZE])
{
    char path[PATH_MAX];
    FILE *file;
    bool found;

    demo_dir_path(dir, name, ".address", path);
    file = fopen(path, "re");
    if (!file)
        return false;
    found = fgets(address, ADDRESS_SIZE, file) != NULL;
    fclose(file);
    if (found)
        address[strcspn(address, "\n")] = 0;
    return found;
}

int demo_dir_save_address(const struct demo_dir *dir, const char *name, const char *address)
{
    char path[PATH_MAX];
    FILE *file;
    int r;

    demo_dir_path(dir, name, ".address", path);
    file = fopen(path, "we");
    if (!file)
        return -errno;
    r = fprintf(file, "%s\n", address) < 0 ? -EIO : 0;
    if (fclose(file) != 0)
        r = -errno;
    return r;
}

void demo_dir_save_pid(const struct demo_dir *dir, const char *name, pid_t pid)
{
    char path[PATH_MAX];
    FILE *file;

    demo_dir_path(dir, name, ".pid", path);
    if (pid == 0) {
        unlink(path);
        return;
    }
    file = fopen(path, "we");
    if (!file || fprintf(file, "%d\n", (int)pid) < 0 || fclose(file) != 0)
        fprintf(stderr, "ringcask demo: %s: %s\n", path, strerror(errno));
}

bool demo_dir_log_says(const struct demo_dir *dir, const char *name, const char *words)
{
    char path[PATH_MAX], *line = NULL;
    bool says = false;
    size_t size = 0;
    FILE *file;

    demo_dir_path(dir, name, ".log", path);
    file = fopen(path, "re");
    while (file && !says && getline(&line, &size, file) >= 0)
        says = strstr(line, words) != NULL;
    free(line);
    if (file)
        fclose(file);
    return says;
}

void demo_dir_last_log(const struct demo_dir *dir, const char *name, char *text, size_t size)
{
    char path[PATH_MAX], tail[LOG_TAIL_SIZE + 1];
    size_t got = 0;
    char *line;
    FILE *file;

    text[0] = 0;
    demo_dir_path(dir, name, ".log", path);
    file = fopen(path, "re");
    if (!file)
        return;
    if (fseek(file, -(long)LOG_TAIL_SIZE, SEEK_END) != 0)
        rewind(file);
    got = fread(tail, 1, LOG_TAIL_SIZE, file);
    fclose(file);
    while (got > 0 && tail[got - 1] == '\n')
        got--;
    tail[got] = 0;
    line = strrchr(tail, '\n');
    snprintf(text, size, "%s", line ? line + 1 : tail);
}
