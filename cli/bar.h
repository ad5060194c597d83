/* Bar: how far something is, on stderr: drawn over and over on a terminal, else a line now and
 * then. On a terminal it is one line, cut to its width, which may change meanwhile. */
#ifndef CLI_BAR_H
#define CLI_BAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BAR_LINE_SIZE 1280u

struct bar {
    bool terminal;
    bool begun;
    unsigned told; /* per cent, in the newest line */
};

void bar_init(struct bar *bar);
void bar_draw(struct bar *bar, unsigned percent, const char *text);
/* Takes it off the terminal, so that something else can be printed. */
void bar_clear(struct bar *bar);
/* The line of a terminal of so many columns, 0: nobody knows how many. The last one stays free, as
 * some terminals wrap when it is written. */
void bar_line(unsigned percent, const char *text, unsigned columns, char line[BAR_LINE_SIZE]);

#endif
