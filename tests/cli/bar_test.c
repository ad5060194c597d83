#include "cli/bar.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *line_of(unsigned percent, const char *text, unsigned columns)
{
    static char line[BAR_LINE_SIZE];

    bar_line(percent, text, columns, line);
    return line;
}

Test(bar, what_fits_is_whole)
{
    cr_assert_str_eq(line_of(50, "12 of 24", 80),
                     "[###############---------------]  50 %  12 of 24");
    cr_assert_str_eq(line_of(100, "", 80), "[##############################] 100 %  ");
}

/* A line as wide as the terminal would be wrapped, and each one drawn after it another line. */
Test(bar, what_is_wider_than_the_terminal_is_cut)
{
    char text[200];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (unsigned columns = 1; columns <= 120; columns++)
        cr_assert_eq(strlen(line_of(7, text, columns)), columns - 1);
    cr_assert_eq(strlen(line_of(7, text, 0)), 40 + strlen(text), "nobody knows the width");
}

Test(bar, a_text_of_any_length_is_held)
{
    static char text[2 * BAR_LINE_SIZE];

    memset(text, 'x', sizeof text - 1);
    cr_assert_eq(strlen(line_of(7, text, 0)), BAR_LINE_SIZE - 1);
    cr_assert_eq(strlen(line_of(7, text, 60000)), BAR_LINE_SIZE - 1);
}
