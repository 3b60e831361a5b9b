/* For each glob there are three answers of a directory: everything below matches, nothing can, or
 * it depends. Nothing can when its characters before the first special one differ from the
 * directory's. */
#include "collectors/files/file_selection.h"

#include <fnmatch.h>
#include <stdlib.h>

enum match { MATCH_NONE, MATCH_SOME, MATCH_ALL };

struct glob {
    char *pattern;
    size_t literal; /* characters before the first special one */
    bool open;      /* it ends in a * that is not quoted */
};

struct globs {
    struct glob *items;
    size_t n;
};

struct file_selection {
    struct globs include, exclude, exclude_reads, types;
    char *own; /* without a slash at its end; NULL: none */
};

static void globs_deinit(struct globs *globs)
{
    for (size_t i = 0; i < globs->n; i++)
        free(globs->items[i].pattern);
    free(globs->items);
}

/* Within a bracket a * is no wildcard; what is behind an odd [ is not followed: that glob is then
 * judged path by path. */
static bool ends_open(const char *pattern)
{
    size_t length = strlen(pattern);
    if (length == 0 || pattern[length - 1] != '*' || strchr(pattern, '['))
        return false;
    size_t n_quotes = 0;
    while (n_quotes + 1 < length && pattern[length - 2 - n_quotes] == '\\')
        n_quotes++;
    return n_quotes % 2 == 0;
}

static int add_glob(struct globs *globs, const char *word, size_t length)
{
    struct glob *items = realloc(globs->items, (globs->n + 1) * sizeof(*items));
    if (!items)
        return -ENOMEM;
    globs->items = items;
    char *pattern = strndup(word, length);
    if (!pattern)
        return -ENOMEM;
    items[globs->n++] = (struct glob){
        .pattern = pattern, .literal = strcspn(pattern, "*?[\\"), .open = ends_open(pattern)};
    return 0;
}

static int take_globs(struct globs *globs, const char *text)
{
    static const char blanks[] = " \t\n";
    int r = 0;
    for (text = text ? text : ""; *(text += strspn(text, blanks)) && r == 0;) {
        size_t length = strcspn(text, blanks);
        r = add_glob(globs, text, length);
        text += length;
    }
    return r;
}

static int take_own(struct file_selection *selection, const char *own)
{
    size_t length = own ? strlen(own) : 0;
    while (length > 0 && own[length - 1] == '/')
        length--;
    if (length == 0)
        return 0;
    selection->own = strndup(own, length);
    return selection->own ? 0 : -ENOMEM;
}

int file_selection_new(struct file_selection **selectionp, const struct source_options *options,
                       struct error_text *error)
{
    struct file_selection *selection = calloc(1, sizeof(*selection));
    int r = selection ? take_globs(&selection->include, options->files_include) : -ENOMEM;
    if (r == 0)
        r = take_globs(&selection->exclude, options->files_exclude);
    if (r == 0)
        r = take_globs(&selection->exclude_reads, options->files_exclude_reads);
    if (r == 0)
        r = take_globs(&selection->types, options->files_exclude_types);
    if (r == 0)
        r = take_own(selection, options->own_directory);
    if (r < 0) {
        file_selection_free(selection);
        return error_set(error, r, "out of memory");
    }
    *selectionp = selection;
    return 0;
}

struct file_selection *file_selection_free(struct file_selection *selection)
{
    if (selection) {
        globs_deinit(&selection->include);
        globs_deinit(&selection->exclude);
        globs_deinit(&selection->exclude_reads);
        globs_deinit(&selection->types);
        free(selection->own);
        free(selection);
    }
    return NULL;
}

/* A text of a path for fnmatch. */
struct path_text {
    char text[FILE_PATH_MOST + 2];
    size_t length;
};

static void path_text_set(struct path_text *to, struct slice path, const char *end)
{
    to->length = path.length > FILE_PATH_MOST ? FILE_PATH_MOST : path.length;
    if (to->length)
        memcpy(to->text, path.data, to->length);
    while (*end)
        to->text[to->length++] = *end++;
    to->text[to->length] = '\0';
}

static bool glob_reaches(const struct glob *glob, const struct path_text *path)
{
    size_t n = glob->literal < path->length ? glob->literal : path->length;
    return memcmp(glob->pattern, path->text, n) == 0;
}

static bool matches(const struct globs *globs, const struct path_text *path)
{
    for (size_t i = 0; i < globs->n; i++)
        if (glob_reaches(&globs->items[i], path) &&
            fnmatch(globs->items[i].pattern, path->text, 0) == 0)
            return true;
    return false;
}

/* The text of the directory ends in a slash. */
static enum match match_below(const struct globs *globs, const struct path_text *directory)
{
    enum match match = MATCH_NONE;
    for (size_t i = 0; i < globs->n; i++) {
        const struct glob *glob = &globs->items[i];
        if (!glob_reaches(glob, directory))
            continue;
        if (glob->open && fnmatch(glob->pattern, directory->text, 0) == 0)
            return MATCH_ALL;
        match = MATCH_SOME;
    }
    return match;
}

static bool is_own(const struct file_selection *selection, const struct path_text *path)
{
    size_t length = selection->own ? strlen(selection->own) : 0;
    return length && strncmp(path->text, selection->own, length) == 0 &&
           (path->text[length] == '\0' || path->text[length] == '/');
}

/* Is the recorder's directory somewhere below this one? */
static bool holds_own(const struct file_selection *selection, const struct path_text *directory)
{
    return selection->own && strncmp(selection->own, directory->text, directory->length) == 0;
}

enum file_verdict file_selection_path(const struct file_selection *selection, struct slice path)
{
    struct path_text text;
    path_text_set(&text, path, "");
    if (is_own(selection, &text) ||
        (selection->include.n && !matches(&selection->include, &text)) ||
        matches(&selection->exclude, &text))
        return FILE_EXCLUDED;
    return matches(&selection->exclude_reads, &text) ? FILE_CHANGES : FILE_INCLUDED;
}

enum file_verdict file_selection_below(const struct file_selection *selection,
                                       struct slice directory)
{
    struct path_text text;
    bool slash = directory.length && directory.data[directory.length - 1] == '/';
    path_text_set(&text, directory, slash ? "" : "/");
    enum match include = selection->include.n ? match_below(&selection->include, &text) : MATCH_ALL;
    enum match exclude = match_below(&selection->exclude, &text);
    enum match reads = match_below(&selection->exclude_reads, &text);
    if (is_own(selection, &text) || include == MATCH_NONE || exclude == MATCH_ALL)
        return FILE_EXCLUDED;
    if (holds_own(selection, &text) || include == MATCH_SOME || exclude == MATCH_SOME ||
        reads == MATCH_SOME)
        return FILE_MIXED;
    return reads == MATCH_ALL ? FILE_CHANGES : FILE_INCLUDED;
}

bool file_selection_excludes_type(const struct file_selection *selection, struct slice type)
{
    for (size_t i = 0; i < selection->types.n; i++)
        if (slice_is(type, selection->types.items[i].pattern))
            return true;
    return false;
}
