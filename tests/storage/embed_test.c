/* The example of docs/labs, built on the shared library and its installed header alone. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void run(const char *folder, const char *words, int code, const char *expected)
{
    char command[400], output[400] = "";
    FILE *pipe;
    size_t size;

    snprintf(command, sizeof command, "%s %s %s 2>&1", EMBED_PROGRAM, folder, words);
    pipe = popen(command, "r");
    cr_assert(pipe);
    size = fread(output, 1, sizeof output - 1, pipe);
    output[size] = '\0';
    cr_assert_eq(pclose(pipe), code << 8, "%s", output);
    cr_assert(strstr(output, expected), "%s", output);
}

Test(embed, the_example_remembers)
{
    char folder[] = "/tmp/embed_test_XXXXXX", command[100];

    cr_assert(mkdtemp(folder));
    run(folder, "pear apple pear", 0, "apple 1\npear 2\n");
    run(folder, "fig pear", 0, "apple 1\nfig 1\npear 3\n");
    run("/nowhere/at/all", "", 1, "No such file or directory");
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}
