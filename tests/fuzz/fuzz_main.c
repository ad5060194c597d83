/* Plain runner of a fuzz target: `x [COUNT]` feeds it COUNT inputs, always the same; `x FILE…`
 * repeats the inputs that a fuzzer saved. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_COUNT_DEFAULT 100000u

/* Gives the target a copy that ends where the heap block does: ASan sees one read too many. */
static void run_one(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* Values at which lengths, counts and markers change their meaning. */
static uint8_t edge_byte(struct dice *dice)
{
    static const uint8_t edges[] = {0x00, 0x01, 0x0f, 0x1f, 0x20, 0x7f, 0x80, 0x8f, 0x90,
                                    0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xcf,
                                    0xd3, 0xdb, 0xdc, 0xdd, 0xdf, 0xe0, 0xff};

    return edges[dice_below(dice, sizeof edges)];
}

static size_t mutate(struct dice *dice, uint8_t *data, size_t size)
{
    size_t at = size > 0 ? (size_t)dice_below(dice, size) : 0;
    size_t length;

    if (size == 0)
        return 0;
    switch (dice_below(dice, 6)) {
    case 0:
        data[at] ^= (uint8_t)(1u << dice_below(dice, 8));
        return size;
    case 1:
        data[at] = edge_byte(dice);
        return size;
    case 2:
        data[at] = (uint8_t)dice_next(dice);
        return size;
    case 3: /* cut the end */
        return at;
    case 4: /* take some out */
        length = (size_t)dice_below(dice, size - at < 16 ? size - at : 16);
        memmove(data + at, data + at + length, size - at - length);
        return size - length;
    default: /* repeat some */
        length = (size_t)dice_below(dice, size - at < 16 ? size - at : 16);
        if (size + length > FUZZ_INPUT_SIZE_MAX)
            return size;
        memmove(data + at + length, data + at, size - at);
        return size + length;
    }
}

static void run_sequence(unsigned long count)
{
    static uint8_t data[FUZZ_INPUT_SIZE_MAX];

    for (unsigned long i = 0; i < count; i++) {
        struct dice dice = {i};
        size_t size;

        if (dice_below(&dice, 8) == 0) {
            size = (size_t)dice_number(&dice, 10);
            dice_fill(&dice, data, size);
        } else {
            size = fuzz_seed(&dice, data);
            for (uint64_t steps = dice_below(&dice, 6); steps > 0; steps--)
                size = mutate(&dice, data, size);
        }
        run_one(data, size);
    }
}

static int run_file(const char *path)
{
    static uint8_t data[1u << 20];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!file) {
        perror(path);
        return 1;
    }
    size = fread(data, 1, sizeof data, file);
    fclose(file);
    run_one(data, size);
    return 0;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    unsigned long count = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
    int failed = 0;

    if (argc == 1 || (end && *end == 0)) {
        count = argc == 1 ? FUZZ_COUNT_DEFAULT : count;
        run_sequence(count);
        printf("# %lu inputs\n", count);
        return 0;
    }
    for (int i = 1; i < argc; i++)
        failed |= run_file(argv[i]);
    return failed;
}
