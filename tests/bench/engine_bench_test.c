/* ring-bench engine, run as a program on a few keys: every figure is there and is one. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *run(const char *only, char *output, size_t size)
{
    char folder[] = "/tmp/engine_bench_test_XXXXXX", command[600];
    json_error_t error;
    json_t *root;
    size_t got;
    FILE *pipe;

    cr_assert(mkdtemp(folder));
    snprintf(
        command, sizeof command,
        "%s engine --keys 2000 --values 100 --seconds 1 --threads 4 -o json --only %s --dir %s",
        BENCH_PROGRAM, only, folder);
    pipe = popen(command, "r");
    cr_assert(pipe);
    got = fread(output, 1, size - 1, pipe);
    output[got] = '\0';
    cr_assert_eq(pclose(pipe), 0, "%s", output);
    snprintf(command, sizeof command, "rmdir %s", folder);
    cr_assert_eq(system(command), 0, "something is left in %s", folder);
    root = json_loads(output, 0, &error);
    cr_assert(root, "%s in %s", error.text, output);
    return root;
}

static double figure(const json_t *root, const char *name)
{
    const json_t *value = json_object_get(root, name);

    cr_assert(json_is_real(value), "%s is missing", name);
    return json_real_value(value);
}

Test(engine_bench, measures_ours)
{
    static const char *const names[] = {"fill_rate",     "read_rate",      "memory_key",
                                        "synced_rate",   "wear_rate",      "disk",
                                        "open_clean_ms", "open_killed_ms", "synced_p99_us"};
    char output[4096];
    json_t *root = run("ringcask", output, sizeof output);

    cr_assert_str_eq(json_string_value(json_object_get(root, "peer")), "ringcask");
    cr_assert_eq(json_integer_value(json_object_get(root, "keys")), 2000);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_assert_gt(figure(root, names[i]), 0, "%s", names[i]);
    cr_assert_gt(figure(root, "amplification"), 1);
    json_decref(root);
}

Test(engine_bench, measures_reclaiming_compression_and_encryption)
{
    static const char *const names[] = {"write_p99_us",
                                        "read_p99_us",
                                        "flush_write_p99_us",
                                        "flush_read_p99_us",
                                        "use",
                                        "mapped_read_rate",
                                        "plain_fill_rate",
                                        "plain_read_rate",
                                        "plain_synced_rate",
                                        "encrypted_fill_rate",
                                        "compressed_fill_rate",
                                        "encrypted_synced_rate"};
    char output[4096];
    json_t *root = run("own", output, sizeof output);

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_assert_gt(figure(root, names[i]), 0, "%s", names[i]);
    cr_assert_gt(figure(root, "amplification"), 1);
    json_decref(root);
}
