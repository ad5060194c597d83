#include "cli/bar.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_SIZE  30u
#define LINE_STEP 10u /* per cent from one line to the next, where there is no terminal */

void bar_init(struct bar *bar)
{
    *bar = (struct bar){.terminal = isatty(STDERR_FILENO)};
}

void bar_line(unsigned percent, const char *text, unsigned columns, char line[BAR_LINE_SIZE])
{
    char drawn[BAR_SIZE + 1] = {0};

    memset(drawn, '-', BAR_SIZE);
    memset(drawn, '#', percent * BAR_SIZE / 100);
    snprintf(line, BAR_LINE_SIZE, "[%s] %3u %%  %s", drawn, percent, text);
    if (columns > 0 && columns - 1 < BAR_LINE_SIZE)
        line[columns - 1] = 0;
}

/* 0: nobody knows. */
static unsigned columns_now(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void bar_draw(struct bar *bar, unsigned percent, const char *text)
{
    char line[BAR_LINE_SIZE];

    bar_line(percent, text, columns_now(), line);
    if (bar->terminal)
        fprintf(stderr, "\r%s\033[K", line);
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
