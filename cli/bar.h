/* Bar: how far something is, on stderr: drawn over and over on a terminal, else a line now and
 * then. */
#ifndef CLI_BAR_H
#define CLI_BAR_H

#include <stdbool.h>
#include <stdint.h>

struct bar {
    bool terminal;
    bool begun;
    unsigned told; /* per cent, in the newest line */
};

void bar_init(struct bar *bar);
void bar_draw(struct bar *bar, unsigned percent, const char *text);
/* Takes it off the terminal, so that something else can be printed. */
void bar_clear(struct bar *bar);

#endif
