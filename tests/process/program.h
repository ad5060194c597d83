/* Program: what the process tests need around real processes: clocks, folders, one-shot programs,
 * and the way a scenario fails.
 *
 * A scenario runs in a process of its own. REQUIRE() ends it; its children die with it.
 */
#ifndef TESTS_PROCESS_PROGRAM_H
#define TESTS_PROCESS_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            program_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                             \
    } while (0)

_Noreturn void program_fail(const char *file, int line, const char *condition, const char *format,
                            ...) __attribute__((format(printf, 4, 5)));

uint64_t now_ns(void);
void pause_ms(uint32_t ms);
uint32_t draw(uint32_t bound); /* 0 … bound-1, not for secrets */

/* Path of a program built with this one. */
const char *program_path(const char *name, char path[PATH_MAX]);
/* Runs to its end, at most timeout_ms; stdout and stderr go to the buffers (NULL: dropped), cut.
 * Words end with NULL. Returns the exit code; 128 + n for a signal. */
int program_run(char *out, char *err, size_t size, uint32_t timeout_ms, const char *const *words);
void file_write(const char *path, const void *bytes, size_t size);
/* Reads at most size - 1 bytes and ends them with a zero. */
size_t file_read(const char *path, char *bytes, size_t size);
/* Resident kilobytes of a process; 0 when it is gone. */
uint64_t process_rss_kib(pid_t pid);
bool process_exists(pid_t pid);

#endif
