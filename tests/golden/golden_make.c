/* Writes the golden files that are not there yet: golden_make DIR. What is there stays as it is. */
#include "golden.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static int write_one(const char *folder, const struct golden *golden)
{
    struct wire_buffer bytes = {0};
    const char *wrong;
    char path[512];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, golden->name);
    if (!golden->make)
        return 0;
    file = fopen(path, "wbx");
    if (!file && errno == EEXIST)
        return 0;
    golden->make(&bytes);
    wrong = golden->check(bytes.data, bytes.size);
    if (!file || wrong || fwrite(bytes.data, 1, bytes.size, file) != bytes.size ||
        fclose(file) != 0) {
        fprintf(stderr, "%s: %s\n", path, wrong ? wrong : strerror(errno));
        if (wrong)
            remove(path);
        return 1;
    }
    printf("%s: %zu bytes\n", path, bytes.size);
    wire_buffer_deinit(&bytes);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;

    if (argc != 2 || sodium_init() < 0) {
        fprintf(stderr, "usage: golden_make DIR\n");
        return 2;
    }
#define X(name)                                                                                    \
    for (size_t i = 0; i < golden_##name##_count; i++)                                             \
        failed |= write_one(argv[1], &golden_##name[i]);
    GOLDEN_FILES(X)
#undef X
    return failed;
}
