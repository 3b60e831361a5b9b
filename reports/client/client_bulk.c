/* Hosts from a file. The whole file is read and checked before the first is enrolled; what then
 * happens to each line is told, and the same file may be given again: who is enrolled is passed
 * over.
 */
#include "core/cleanup.h"
#include "core/log.h"
#include "core/private_file.h"
#include "reports/client/client.h"
#include "reports/command.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 4 << 20, HOSTS_MOST = 20000 };

struct line {
    unsigned number;
    char *name, *from; /* from may be NULL */
};

struct list {
    struct buffer text;
    struct line *lines;
    size_t n, n_wrong;
    const char *path;
};

static void list_deinit(struct list *list)
{
    buffer_deinit(&list->text);
    free(list->lines);
}

static void complain(struct list *list, unsigned number, const char *what)
{
    log_error("client", "%s line %u: %s", list->path, number, what);
    list->n_wrong++;
}

static void check_line(struct list *list, const struct line *line, const char *rest)
{
    struct error_text reason = ERROR_TEXT_NULL;
    if (rest || enrolment_check_name(line->name, &reason) < 0 ||
        (line->from && enrolment_check_from(line->from, &reason) < 0))
        complain(list, line->number,
                 rest ? "a line has a name, and perhaps where it may come from" : reason.text);
}

static int by_name(const void *one, const void *other)
{
    const struct line *a = one, *b = other;
    int order = strcmp(a->name, b->name);
    return order ? order : (a->number > b->number) - (a->number < b->number);
}

static int by_number(const void *one, const void *other)
{
    const struct line *a = one, *b = other;
    return (a->number > b->number) - (a->number < b->number);
}

static void find_doubles(struct list *list)
{
    char text[300];
    qsort(list->lines, list->n, sizeof(list->lines[0]), by_name);
    for (size_t i = 1; i < list->n; i++)
        if (!strcmp(list->lines[i - 1].name, list->lines[i].name)) {
            snprintf(text, sizeof(text), "%.100s is in line %u already", list->lines[i].name,
                     list->lines[i - 1].number);
            complain(list, list->lines[i].number, text);
        }
    qsort(list->lines, list->n, sizeof(list->lines[0]), by_number);
}

static void read_line(struct list *list, char *text, unsigned number)
{
    char *rest = NULL;
    text[strcspn(text, "#")] = '\0';
    struct line line = {.number = number, .name = strtok_r(text, " \t\r", &rest)};
    if (!line.name)
        return;
    line.from = strtok_r(NULL, " \t\r", &rest);
    check_line(list, &line, strtok_r(NULL, " \t\r", &rest));
    list->lines[list->n++] = line;
}

static int read_list(struct list *list, struct error_text *error)
{
    int r = private_file_read(list->path, FILE_MOST, &list->text, error);
    if (r < 0)
        return r;
    if (list->text.length && memchr(list->text.data, '\0', list->text.length))
        return error_set(error, -EINVAL, "%s is no text", list->path);
    buffer_append_byte(&list->text, '\0');
    list->lines = calloc(HOSTS_MOST, sizeof(list->lines[0]));
    if (!list->lines || list->text.failed)
        return error_set(error, -ENOMEM, "out of memory");
    char *next = (char *)list->text.data;
    for (unsigned number = 1; next; number++) {
        char *text = strsep(&next, "\n");
        if (list->n == HOSTS_MOST)
            return error_set(error, -EINVAL, "%s has more than %d hosts; split it", list->path,
                             HOSTS_MOST);
        read_line(list, text, number);
    }
    find_doubles(list);
    if (list->n_wrong)
        return error_set(error, -EINVAL, "%s has %zu wrong line%s; nobody was enrolled", list->path,
                         list->n_wrong, list->n_wrong == 1 ? "" : "s");
    return list->n ? 0 : error_set(error, -EINVAL, "%s names no host", list->path);
}

/** Enrolled before, and what it was given is not where it would be: a run that was interrupted, or
 *  files that were taken to the host. */
static void tell_missing(const struct list *list, const struct line *line, const char *path)
{
    if (access(path, F_OK) < 0)
        log_notice(
            "client",
            "%s line %u: %s is not there; where the host has no files, `vestige client rotate"
            " %s` makes them",
            list->path, line->number, path, line->name);
}

/** Into DIR/NAME, or DIR/NAME.bundle, or DIR/NAME.token. */
static int give_line(struct client *client, MYSQL *connection, const struct list *list,
                     const struct line *line, struct error_text *error)
{
    char path[4096];
    struct client one = *client;
    const char *directory = client->bundle  ? client->bundle
                            : client->token ? client->token
                                            : client->directory;
    const char *suffix = client->bundle ? ".bundle" : client->token ? ".token" : "";
    snprintf(path, sizeof(path), "%s/%s%s", directory, line->name, suffix);
    if (client->bundle)
        one.bundle = path;
    else if (client->token)
        one.token = path;
    else
        one.directory = path;
    int r = client_give(&one, connection, CLIENT_ENROLL, line->name, line->from, error);
    if (r == -EEXIST)
        tell_missing(list, line, path);
    return r;
}

int client_give_all(struct client *client, MYSQL *connection, struct error_text *error)
{
    struct list list CLEANUP(list_deinit) = {.path = client->from_file};
    size_t n_done = 0, n_there = 0, n_failed = 0;
    const char *directory = client->bundle  ? client->bundle
                            : client->token ? client->token
                                            : client->directory;
    if (!directory)
        return error_set(error, -EINVAL, "--from-file needs --directory DIR (or --bundle DIR)");
    int r = read_list(&list, error);
    if (r == 0 && mkdir(directory, 0700) < 0 && errno != EEXIST)
        r = error_set(error, -errno, "cannot make the directory %s: %s", directory,
                      strerror(errno));
    if (r < 0)
        return r;
    for (size_t i = 0; i < list.n; i++) {
        struct error_text reason = ERROR_TEXT_NULL;
        r = give_line(client, connection, &list, &list.lines[i], &reason);
        n_done += r == 0;
        n_there += r == -EEXIST;
        n_failed += r < 0 && r != -EEXIST;
        if (r < 0)
            log_message(r == -EEXIST ? LOG_LEVEL_NOTICE : LOG_LEVEL_ERROR, "client",
                        "%s line %u: %s", list.path, list.lines[i].number, reason.text);
        if (r == -ECONNREFUSED)
            break;
    }
    printf("%zu enrolled, %zu there already, %zu failed, %zu not tried\n", n_done, n_there,
           n_failed, list.n - n_done - n_there - n_failed);
    return n_failed ? STATUS_ERROR : STATUS_ROWS;
}
