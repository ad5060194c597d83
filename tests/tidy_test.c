/* Tidy: the tree checks itself. What a reviewer would otherwise say again and again is said here
 * once: length of files and functions, who includes whom, what cores must not call, words that
 * promise instead of doing, and sources that nothing builds. */
#include <criterion/criterion.h>

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_LINES_MAX     600
#define FUNCTION_LINES_MAX 70
#define COLUMNS_MAX        100
#define LINE_SIZE          4096
#define PATH_SIZE          1024

static unsigned faults;

static void fault(const char *path, unsigned line, const char *text, const char *detail)
{
    fprintf(stderr, "%s:%u: %s %s\n", path, line, text, detail);
    faults++;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);

    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static bool is_source(const char *path)
{
    return ends_with(path, ".c") || ends_with(path, ".h");
}

typedef void (*visit_file)(const char *path);

static void walk(const char *folder, visit_file visit)
{
    char full[PATH_SIZE * 2], path[PATH_SIZE];
    struct dirent *entry;
    DIR *directory;

    snprintf(full, sizeof full, "%s/%s", RINGCASK_SOURCE_DIR, folder);
    directory = opendir(full);
    cr_assert(directory, "cannot open %s", full);
    while ((entry = readdir(directory))) {
        struct stat status;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%.400s/%.400s", folder, entry->d_name);
        snprintf(full, sizeof full, "%s/%s", RINGCASK_SOURCE_DIR, path);
        cr_assert_eq(stat(full, &status), 0);
        if (S_ISDIR(status.st_mode))
            walk(path, visit);
        else
            visit(path);
    }
    closedir(directory);
}

static void walk_sources(visit_file visit)
{
    static const char *folders[] = {"storage", "ring",  "replication", "router",
                                    "cli",     "tests", "bench"};

    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        walk(folders[i], visit);
}

static FILE *open_source(const char *path)
{
    char full[PATH_SIZE * 2];
    FILE *file;

    snprintf(full, sizeof full, "%s/%s", RINGCASK_SOURCE_DIR, path);
    file = fopen(full, "r");
    cr_assert(file, "cannot read %s", full);
    return file;
}

/* Columns as a reader counts them: UTF-8 continuation bytes are none. */
static unsigned columns(const char *line)
{
    unsigned count = 0;

    for (; *line && *line != '\n'; line++)
        count += ((unsigned char)*line & 0xC0) != 0x80;
    return count;
}

/* Functions open and close with a brace in the first column; nothing else does both. */
static void check_lengths(const char *path)
{
    char line[LINE_SIZE];
    unsigned number = 0, opened = 0;
    FILE *file;

    if (!is_source(path))
        return;
    file = open_source(path);
    while (fgets(line, sizeof line, file)) {
        number++;
        if (columns(line) > COLUMNS_MAX)
            fault(path, number, "more than 100 columns", "");
        if (strchr(line, '\t'))
            fault(path, number, "a tab", "");
        if (line[0] == '{')
            opened = number;
        if (line[0] == '}' && opened && number - opened + 1 > FUNCTION_LINES_MAX + 2)
            fault(path, opened, "a function of more than 70 lines", "");
        if (line[0] == '}')
            opened = 0;
    }
    if (number > FILE_LINES_MAX)
        fault(path, number, "more than 600 lines", "");
    fclose(file);
}

Test(tidy, files_and_functions_are_short)
{
    faults = 0;
    walk_sources(check_lengths);
    cr_assert_eq(faults, 0, "%u faults", faults);
}

static bool may_include(const char *path, const char *included)
{
    static const char *allowed[][2] = {
        {"storage/", "storage/"},
        {"ring/", "ring/"},
        {"replication/", "storage/ ring/ replication/"},
        {"router/", "ring/ router/"},
        {"cli/", "storage/ ring/ replication/ router/ cli/"},
    };
    char folder[64];
    const char *slash = strchr(included, '/');

    if (!slash || slash - included > 40)
        return true; /* a library's, or a neighbour of a test */
    snprintf(folder, sizeof folder, "%.*s/", (int)(slash - included), included);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (strncmp(path, allowed[i][0], strlen(allowed[i][0])) == 0)
            return strstr(allowed[i][1], folder) != NULL;
    return true;
}

static void check_includes(const char *path)
{
    char line[LINE_SIZE];
    unsigned number = 0;
    FILE *file;

    if (!is_source(path))
        return;
    file = open_source(path);
    while (fgets(line, sizeof line, file)) {
        char included[LINE_SIZE];

        number++;
        if (sscanf(line, "#include \"%[^\"]\"", included) == 1 && !may_include(path, included))
            fault(path, number, "must not include", included);
    }
    fclose(file);
}

Test(tidy, folders_include_only_downward)
{
    faults = 0;
    walk_sources(check_includes);
    cr_assert_eq(faults, 0, "%u faults", faults);
}

/* The only places that touch the outside (design, section 2); besides them what makes secrets,
 * prints files for people, and the vfs of tests, which job threads share. */
static bool may_touch_outside(const char *path)
{
    static const char *parts[] = {"_posix.",
                                  "_nng",
                                  "_uv",
                                  "node_loop",
                                  "ring/ticket.c",
                                  "ring/identity.c",
                                  "replication/lock_holder.c",
                                  "router/arrivals.c",
                                  "storage/inspect",
                                  "storage/vfs_mem.c"};

    if (strncmp(path, "cli/", 4) == 0 || strncmp(path, "tests/", 6) == 0 ||
        strncmp(path, "bench/", 6) == 0)
        return true;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(path, parts[i]))
            return true;
    return false;
}

static bool calls(const char *line, const char *name)
{
    size_t size = strlen(name);

    for (const char *at = line; (at = strstr(at, name)); at += size)
        if (at[size] == '(' && (at == line || !(isalnum((unsigned char)at[-1]) || at[-1] == '_' ||
                                                at[-1] == '>' || at[-1] == '.')))
            return true;
    return false;
}

static void check_calls(const char *path)
{
    static const char *banned[] = {"time",
                                   "clock_gettime",
                                   "gettimeofday",
                                   "clock",
                                   "rand",
                                   "random",
                                   "srand",
                                   "getrandom",
                                   "randombytes_buf",
                                   "randombytes_uniform",
                                   "printf",
                                   "fprintf",
                                   "puts",
                                   "perror",
                                   "open",
                                   "read",
                                   "write",
                                   "pread",
                                   "pwrite",
                                   "fopen",
                                   "fsync",
                                   "fdatasync",
                                   "socket",
                                   "connect",
                                   "sleep",
                                   "usleep",
                                   "nanosleep",
                                   "pthread_create",
                                   "pthread_mutex_lock",
                                   "getenv",
                                   "exit",
                                   "_exit",
                                   "abort",
                                   "system",
                                   "fork",
                                   "strcpy",
                                   "strcat",
                                   "sprintf",
                                   "gets",
                                   "atoi"};
    char line[LINE_SIZE];
    unsigned number = 0;
    bool comment = false;
    FILE *file;

    if (!is_source(path) || may_touch_outside(path))
        return;
    file = open_source(path);
    while (fgets(line, sizeof line, file)) {
        number++;
        if (strstr(line, "/*"))
            comment = true;
        for (size_t i = 0; !comment && i < sizeof banned / sizeof *banned; i++)
            if (calls(line, banned[i]))
                fault(path, number, "a core must not call", banned[i]);
        if (strstr(line, "*/"))
            comment = false;
    }
    fclose(file);
}

Test(tidy, cores_do_not_touch_the_outside)
{
    faults = 0;
    walk_sources(check_calls);
    cr_assert_eq(faults, 0, "%u faults", faults);
}

static void check_words(const char *path)
{
    /* In halves, so that this file may be checked too. */
    static const char *words[] = {"TO"
                                  "DO",
                                  "FIX"
                                  "ME",
                                  "XX"
                                  "X:",
                                  "HA"
                                  "CK"};
    char line[LINE_SIZE];
    unsigned number = 0;
    FILE *file = open_source(path);

    while (fgets(line, sizeof line, file)) {
        number++;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strstr(line, words[i]))
                fault(path, number, "promises instead of doing:", words[i]);
    }
    fclose(file);
}

Test(tidy, nothing_is_put_off)
{
    faults = 0;
    walk_sources(check_words);
    cr_assert_eq(faults, 0, "%u faults", faults);
}

static bool mentions(const char *list, const char *word)
{
    char line[LINE_SIZE];
    FILE *file = open_source(list);
    bool found = false;

    while (!found && fgets(line, sizeof line, file)) {
        const char *at = line;

        while (!found && (at = strstr(at, word))) {
            char after = at[strlen(word)];

            found = (at == line || !(isalnum((unsigned char)at[-1]) || at[-1] == '_')) &&
                    !(isalnum((unsigned char)after) || after == '_' || after == '.');
            at++;
        }
    }
    fclose(file);
    return found;
}

static void check_built(const char *path)
{
    char list[PATH_SIZE], name[PATH_SIZE];
    const char *slash = strrchr(path, '/');

    if (!ends_with(path, ".c"))
        return;
    snprintf(list, sizeof list, "%.*s/CMakeLists.txt", (int)(slash - path), path);
    snprintf(name, sizeof name, "%s", slash + 1);
    if (mentions(list, name))
        return;
    if (ends_with(name, "_test.c")) { /* ringcask_test(NAME noun) */
        name[strlen(name) - strlen("_test.c")] = '\0';
        if (mentions(list, name))
            return;
    }
    fault(path, 1, "no target builds it", "");
}

Test(tidy, every_source_is_built)
{
    faults = 0;
    walk_sources(check_built);
    cr_assert_eq(faults, 0, "%u faults", faults);
}

static bool may_be_at_the_top(const char *name)
{
    static const char *names[] = {"storage",   "ring",        "replication",    "router",
                                  "cli",       "tests",       "bench",          "docs",
                                  "build",     "data",        "CMakeLists.txt", "CMakePresets.json",
                                  "README.md", "readme-zh.md"};

    if (name[0] == '.')
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

Test(tidy, the_top_level_holds_only_its_folders)
{
    DIR *directory = opendir(RINGCASK_SOURCE_DIR);
    struct dirent *entry;

    faults = 0;
    cr_assert(directory);
    while ((entry = readdir(directory)))
        if (!may_be_at_the_top(entry->d_name))
            fault(entry->d_name, 0, "does not belong at the top level", "");
    closedir(directory);
    cr_assert_eq(faults, 0, "%u faults", faults);
}

/* --- docs/known-bugs.md --------------------------------------------------------------------- */

#define WANTED_SIZE 200u

static const char *wanted;
static bool wanted_seen;

static void find_wanted(const char *path)
{
    char line[1024];
    FILE *file = open_source(path);

    while (!wanted_seen && fgets(line, sizeof line, file))
        wanted_seen = strncmp(line, wanted, strlen(wanted)) == 0;
    fclose(file);
}

/* What is between two back quotes and is written as mutants are. */
static bool is_mutant(const char *text, size_t size)
{
    return size > 0 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == size;
}

static bool is_killed(const char *name, size_t size)
{
    char line[1024];
    FILE *file = fopen(RINGCASK_SOURCE_DIR "/docs/kill-table.md", "r");
    bool seen = false;

    cr_assert(file);
    while (!seen && fgets(line, sizeof line, file)) {
        const char *at = strstr(line, " | ");

        seen = at && strncmp(at + 3, name, size) == 0 && strncmp(at + 3 + size, " | ", 3) == 0;
    }
    fclose(file);
    return seen;
}

/* Returns how many the line names. */
static unsigned expect_mutants(const char *line, unsigned number)
{
    unsigned count = 0;

    for (const char *at = strchr(line, '`'), *end; at; at = strchr(end + 1, '`')) {
        end = strchr(at + 1, '`');
        if (!end)
            break;
        if (!is_mutant(at + 1, (size_t)(end - at - 1)))
            continue;
        count++;
        if (!is_killed(at + 1, (size_t)(end - at - 1)))
            fault("docs/known-bugs.md", number, "no such mutant in the kill table", at);
    }
    return count;
}

Test(tidy, known_bugs_have_their_tests)
{
    char line[1024], text[WANTED_SIZE];
    FILE *file = fopen(RINGCASK_SOURCE_DIR "/docs/known-bugs.md", "r");
    unsigned rows = 0, mutants = 0, number = 0;

    faults = 0;
    cr_assert(file);
    while (fgets(line, sizeof line, file)) {
        const char *at = strstr(line, "`Test("), *end = at ? strchr(at, ')') : NULL;

        number++;
        if (line[0] != '|' || !end || (size_t)(end - at) > sizeof text)
            continue;
        rows++;
        mutants += expect_mutants(line, number);
        snprintf(text, sizeof text, "%.*s", (int)(end - at - 1), at + 1);
        wanted = text;
        wanted_seen = false;
        walk("tests", find_wanted);
        if (!wanted_seen)
            fault("docs/known-bugs.md", number, "there is no such test", text);
    }
    fclose(file);
    cr_assert_gt(rows, 45);
    cr_assert_gt(mutants, 12);
    cr_assert_eq(faults, 0, "%u faults", faults);
}

/* The checks themselves: what they must see, and what they must let pass. */
Test(tidy, the_checks_see_what_they_should)
{
    cr_assert(calls("    r = time(NULL);", "time"));
    cr_assert_not(calls("    r = runtime(NULL);", "time"));
    cr_assert_not(calls("    ops->open(vfs)", "open"));
    cr_assert(may_include("router/lane.c", "ring/wire.h"));
    cr_assert_not(may_include("router/lane.c", "replication/shard.h"));
    cr_assert_not(may_include("storage/record.c", "ring/hash.h"));
    cr_assert_not(may_include("ring/hash.c", "storage/codec.h"));
    cr_assert(may_include("tests/sim/sim.c", "replication/shard.h"));
    cr_assert_eq(columns("é\n"), 1);
    cr_assert_not(may_be_at_the_top("src"));
}
