/* Edit distance (insert, delete, replace, swap of neighbours) over three rows of the matrix; words
 * are cut at 63 bytes, which no name of a command, host or user that a person types exceeds. */
#include "reports/options/nearest.h"

#include <ctype.h>

#define WORD_MAX  63
#define OFFER_MAX 3

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t folded(const char *word, char to[WORD_MAX])
{
    size_t length = 0;
    for (; word[length] && length < WORD_MAX; length++)
        to[length] = (char)tolower((unsigned char)word[length]);
    return length;
}

static size_t edit_distance(const char *left, const char *right)
{
    char a[WORD_MAX], b[WORD_MAX];
    size_t rows[3][WORD_MAX + 1], n_a = folded(left, a), n_b = folded(right, b);
    for (size_t j = 0; j <= n_b; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above_that = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above_that[j - 2] + 1);
        }
    }
    return rows[n_a % 3][n_b];
}

/* What is one name of another with letters missing counts as near: `doc` for `doctor`. */
static size_t distance_of(const char *word, const char *name)
{
    size_t length = strlen(word);
    if (length >= 2 && !strncasecmp(word, name, length))
        return 1;
    return edit_distance(word, name);
}

static size_t choose(const char *word, const char *const *names, size_t n_names,
                     const char *offers[OFFER_MAX])
{
    size_t limit = strlen(word) < 3 ? 1 : strlen(word) < 6 ? 2 : 3, n = 0;
    for (size_t distance = 0; distance <= limit; distance++)
        for (size_t i = 0; i < n_names && n < OFFER_MAX; i++)
            if (distance_of(word, names[i]) == distance)
                offers[n++] = names[i];
    return n;
}

void nearest_append(struct buffer *to, const char *word, const char *const *names, size_t n_names)
{
    const char *offers[OFFER_MAX];
    size_t n = choose(word, names, n_names, offers);
    for (size_t i = 0; i < n; i++)
        buffer_printf(to, "%s\"%s\"",
                      i == 0       ? "; did you mean "
                      : i + 1 == n ? " or "
                                   : ", ",
                      offers[i]);
    if (n)
        buffer_append_text(to, "?");
}
