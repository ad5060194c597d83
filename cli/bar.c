#include "cli/bar.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_SIZE  30u
#define LINE_STEP 10u /* per cent from one line to the next, where there is no terminal */

void bar_init(struct bar *bar)
{
    *bar = (struct bar){.terminal = isatty(STDERR_FILENO)};
}

void bar_draw(struct bar *bar, unsigned percent, const char *text)
{
    char drawn[BAR_SIZE + 1] = {0};

    memset(drawn, '-', BAR_SIZE);
    memset(drawn, '#', percent * BAR_SIZE / 100);
    if (bar->terminal)
        fprintf(stderr, "\r[%s] %3u %%  %s\033[K", drawn, percent, text);
    else if (bar->begun && percent < bar->told + LINE_STEP)
        return;
    else
        fprintf(stderr, "%u %%, %s\n", percent, text);
    bar->begun = true;
    bar->told = percent;
}

void bar_clear(struct bar *bar)
{
    if (bar->terminal && bar->begun)
        fputs("\r\033[K", stderr);
}
