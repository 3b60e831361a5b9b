/* All files are read whenever one is asked for: there are some dozens, and a broken one is to be
 * named whoever looks. */
#include "reports/question/question_files.h"
#include "core/cleanup.h"
#include "reports/options/nearest.h"
#include "reports/question/question_texts.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SUFFIX    ".sql"
#define FILES_MAX 2000

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct question_file *)a)->name, ((const struct question_file *)b)->name);
}

static struct question_file *find(const struct question_files *files, const char *name)
{
    for (size_t i = 0; i < files->n; i++)
        if (!strcmp(files->files[i].name, name))
            return &files->files[i];
    return NULL;
}

static void file_deinit(struct question_file *file)
{
    question_free(file->question);
    free(file->name);
    free(file->place);
    *file = (struct question_file){0};
}

/* "x" of "x.sql"; the caller frees. NULL: another name, or no memory. */
static char *name_of(const char *file)
{
    size_t length = strlen(file), suffix = strlen(SUFFIX);
    if (length <= suffix || file[0] == '.' || strcmp(file + length - suffix, SUFFIX) != 0)
        return NULL;
    return strndup(file, length - suffix);
}

/* The entry for a name, new or emptied. */
static struct question_file *entry(struct question_files *files, const char *name)
{
    struct question_file *file = find(files, name);
    if (file) {
        file_deinit(file);
        return file;
    }
    if (files->n == FILES_MAX)
        return NULL;
    struct question_file *more = realloc(files->files, (files->n + 1) * sizeof(*files->files));
    if (!more)
        return NULL;
    files->files = more;
    file = &files->files[files->n++];
    *file = (struct question_file){0};
    return file;
}

static int add(struct question_files *files, const char *directory, const char *base,
               struct slice text, bool built_in, struct error_text *error)
{
    AUTO_FREE char *name = name_of(base);
    if (!name)
        return 0;
    struct question_file *file = entry(files, name);
    if (!file || asprintf(&file->place, "%s/%s", directory, base) < 0)
        return error_set(error, -ENOMEM, "%s/%s: out of memory, or more than %d questions",
                         directory, base, FILES_MAX);
    file->name = name;
    name = NULL;
    file->built_in = built_in;
    int outcome = question_new(&file->question, file->name, file->place, text, &file->problem);
    return outcome == -ENOMEM ? error_set(error, outcome, "out of memory") : 0;
}

static int read_text(int directory, const char *base, struct buffer *text)
{
    int fd AUTO_CLOSE = openat(directory, base, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status))
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    for (;;) {
        uint8_t *room = buffer_reserve(text, 65536);
        ssize_t n = room ? read(fd, room, 65536) : -1;
        if (!room)
            return -EFBIG;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        text->length += (size_t)n;
    }
}

/* A file that cannot be read is listed as such, like one that is broken. */
static int add_file(struct question_files *files, int fd, const char *directory, const char *base,
                    struct error_text *error)
{
    struct buffer text = {.limit = QUESTION_SIZE_MAX + 65537};
    int unread = read_text(fd, base, &text);
    int outcome = add(files, directory, base, buffer_slice(&text), false, error);
    buffer_deinit(&text);
    AUTO_FREE char *name = name_of(base);
    struct question_file *file = unread && name ? find(files, name) : NULL;
    if (!outcome && file) {
        file->question = question_free(file->question);
        error_set(&file->problem, unread, "%.200s cannot be read: %s", file->place,
                  unread == -EFBIG ? "longer than a mebibyte" : strerror(-unread));
    }
    return outcome;
}

static int add_directory(struct question_files *files, const char *directory, bool needed,
                         struct error_text *error)
{
    struct dirent **entries = NULL;
    int fd AUTO_CLOSE = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && !needed)
        return 0;
    int n = fd < 0 ? -1 : scandirat(fd, ".", &entries, NULL, alphasort);
    if (n < 0)
        return error_set(error, -errno, "the directory of questions %.200s cannot be read: %s",
                         directory, strerror(errno));
    int outcome = 0;
    for (int i = 0; i < n; i++) {
        if (!outcome)
            outcome = add_file(files, fd, directory, entries[i]->d_name, error);
        free(entries[i]);
    }
    free(entries);
    return outcome;
}

int question_files_init(struct question_files *files, const char *directory,
                        struct error_text *error)
{
    int outcome = 0;
    *files = (struct question_files){0};
    for (size_t i = 0; i < question_texts_n && !outcome; i++)
        outcome = add(files, "sql", question_texts[i].name,
                      slice_of(question_texts[i].text, question_texts[i].length), true, error);
    if (!outcome)
        outcome = add_directory(files, directory ? directory : QUESTION_DIRECTORY,
                                directory != NULL, error);
    if (outcome)
        question_files_deinit(files);
    else
        qsort(files->files, files->n, sizeof(*files->files), compare_names);
    return outcome;
}

void question_files_deinit(struct question_files *files)
{
    for (size_t i = 0; i < files->n; i++)
        file_deinit(&files->files[i]);
    free(files->files);
    *files = (struct question_files){0};
}

int question_files_find(const struct question_files *files, const char *name,
                        const struct question **questionp, struct error_text *error)
{
    struct question_file *file = find(files, name);
    if (file && file->question) {
        *questionp = file->question;
        return 0;
    }
    if (file)
        return error_set(error, -EINVAL, "%s", file->problem.text);
    struct buffer hint = {.limit = 256};
    AUTO_FREE const char **names = calloc(files->n + 1, sizeof(*names));
    for (size_t i = 0; names && i < files->n; i++)
        names[i] = files->files[i].name;
    if (names)
        nearest_append(&hint, name, names, files->n);
    error_set(error, 0, "there is no report \"%.60s\"%.*s (vestige report lists them)", name,
              (int)hint.length, hint.data ? (const char *)hint.data : "");
    buffer_deinit(&hint);
    return -ENOENT;
}
