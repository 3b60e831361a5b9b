/* There are some dozens of questions, so that each group looks through all of them. */
#include "reports/question/report_list.h"
#include "reports/output/safe_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define INDENT       2
#define NAME_WIDTH   26 /* longer names push their question to the right */
#define WIDTH_NARROW 40

static size_t line_width(void)
{
    struct winsize size = {0};
    if (!isatty(STDOUT_FILENO))
        return SIZE_MAX;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
        return 80;
    return size.ws_col < WIDTH_NARROW ? WIDTH_NARROW : size.ws_col;
}

bool report_list_has_tag(const struct question *question, const char *tag)
{
    size_t length = strlen(tag);
    for (const char *at = question->tags; at;) {
        at += strspn(at, " ,");
        if (strcspn(at, " ,") == length && !strncmp(at, tag, length))
            return true;
        at = strpbrk(at, " ,");
    }
    return false;
}

static bool is_shown(const struct question_file *file, const char *tag)
{
    return file->question && (!tag || report_list_has_tag(file->question, tag));
}

static size_t group_length(const struct question *question)
{
    return strcspn(question->tags, " ,");
}

static int compare_groups(const struct question *a, const struct question *b)
{
    size_t length_a = group_length(a), length_b = group_length(b);
    int order = strncmp(a->tags, b->tags, length_a < length_b ? length_a : length_b);
    return order || length_a == length_b ? order : length_a < length_b ? -1 : 1;
}

/* The site's files may hold anything. Nothing is printed if there is no memory. */
static const char *make_safe(struct buffer *buffer, struct slice text)
{
    buffer_clear(buffer);
    safe_text_append(buffer, text);
    buffer_append_byte(buffer, '\0');
    return buffer->failed ? "" : (const char *)buffer->data;
}

static void print_words(const char *text, size_t width)
{
    size_t begin = INDENT + NAME_WIDTH, column = begin;
    while (*text) {
        size_t length = strcspn(text, " ");
        if (column > begin && column + 1 + length > width) {
            printf("\n%*s", (int)begin, "");
            column = begin;
        } else if (column > begin) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)length, text);
        column += length;
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

/* The question with which the group after that of @last begins (NULL: the first group), or NULL. */
static const struct question *next_group(const struct question_files *files, const char *tag,
                                         const struct question *last)
{
    const struct question *next = NULL;
    for (size_t i = 0; i < files->n; i++) {
        const struct question *question = files->files[i].question;
        if (is_shown(&files->files[i], tag) && (!last || compare_groups(question, last) > 0) &&
            (!next || compare_groups(question, next) < 0))
            next = question;
    }
    return next;
}

static void print_group(const struct question_files *files, const struct question *group,
                        const char *tag)
{
    struct buffer safe = BUFFER_NULL;
    size_t width = line_width();
    puts(make_safe(&safe, slice_of(group->tags, group_length(group))));
    for (size_t i = 0; i < files->n; i++) {
        const struct question_file *file = &files->files[i];
        if (!is_shown(file, tag) || compare_groups(group, file->question))
            continue;
        printf("%*s%-*s", INDENT, "", NAME_WIDTH - 1, make_safe(&safe, slice_text(file->name)));
        putchar(' ');
        print_words(make_safe(&safe, slice_text(file->question->question)), width);
    }
    putchar('\n');
    buffer_deinit(&safe);
}

void report_list_print(const struct question_files *files, const char *tag)
{
    const struct question *group = NULL;
    while ((group = next_group(files, tag, group)))
        print_group(files, group, tag);
}
