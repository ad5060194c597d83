#include "router/glob.h"

#include <ctype.h>

static int glob_letter(char c, enum glob_case which)
{
    return which == GLOB_ANY_CASE ? tolower((unsigned char)c) : (unsigned char)c;
}

/* The class after '[' at *at: whether c is in it; *at moves behind its ']'. */
static bool glob_class(const char *pattern, size_t size, size_t *at, char c, enum glob_case which)
{
    bool negated = *at < size && pattern[*at] == '^';
    bool found = false;
    int wanted = glob_letter(c, which);

    *at += negated ? 1 : 0;
    while (*at < size && pattern[*at] != ']') {
        int low, high;

        if (pattern[*at] == '\\' && *at + 1 < size)
            (*at)++;
        low = high = glob_letter(pattern[*at], which);
        if (*at + 2 < size && pattern[*at + 1] == '-' && pattern[*at + 2] != ']') {
            high = glob_letter(pattern[*at + 2], which);
            *at += 2;
        }
        found |= low <= high ? wanted >= low && wanted <= high : wanted >= high && wanted <= low;
        (*at)++;
    }
    *at += *at < size ? 1 : 0;
    return found != negated;
}

/* One pattern element at *at against c; *at moves behind it. */
static bool glob_one(const char *pattern, size_t size, size_t *at, char c, enum glob_case which)
{
    char p = pattern[(*at)++];

    if (p == '?')
        return true;
    if (p == '[')
        return glob_class(pattern, size, at, c, which);
    if (p == '\\' && *at < size)
        p = pattern[(*at)++];
    return glob_letter(p, which) == glob_letter(c, which);
}

bool glob_match(const char *pattern, size_t pattern_size, const char *text, size_t text_size,
                enum glob_case which)
{
    size_t p = 0, t = 0;
    size_t star = pattern_size, star_text = 0; /* the newest '*', and what it has swallowed */

    while (t < text_size) {
        size_t next = p;

        if (p < pattern_size && pattern[p] == '*') {
            star = ++p;
            star_text = t;
            if (star == pattern_size)
                return true;
        } else if (p < pattern_size && glob_one(pattern, pattern_size, &next, text[t], which)) {
            p = next;
            t++;
        } else if (star < pattern_size) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern_size && pattern[p] == '*')
        p++;
    return p == pattern_size;
}
