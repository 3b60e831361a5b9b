/* `vestige journal list|show|check`: the spool as a person sees it. It takes no lock and changes
 * nothing, so it may run beside the agent; a file that the agent removes meanwhile is passed over.
 * Numbers are read from the names, so memory does not depend on how many batches there are but for
 * eight bytes each. */
#include "core/cleanup.h"
#include "core/log.h"
#include "reports/command.h"
#include "reports/journal/journal_command_private.h"
#include "reports/output/safe_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_STATE "/var/lib/vestige"

static const char *const states[] = {
    [JOURNAL_FILE_SEALED] = "sealed",
    [JOURNAL_FILE_SHIPPED] = "shipped",
    [JOURNAL_FILE_OPEN] = "open",
    [JOURNAL_FILE_DAMAGED] = "damaged",
    [JOURNAL_FILE_CHECKPOINT] = "checkpoint",
};

/* ---- files ---- */

static int take_in(void *user, const char *name, enum journal_file kind, uint64_t batch,
                   uint64_t bytes)
{
    struct journal_entries *files = user;
    struct journal_entry file = {.batch = batch, .bytes = bytes, .kind = kind};
    (void)name;
    if (kind == JOURNAL_FILE_TEMPORARY || kind == JOURNAL_FILE_OTHER)
        return 0;
    buffer_append(&files->list, &file, sizeof(file));
    return files->list.failed ? -ENOMEM : 0;
}

/* The checkpoint first, then by number. */
static int compare(const void *left, const void *right)
{
    const struct journal_entry *a = left, *b = right;
    bool first = a->kind == JOURNAL_FILE_CHECKPOINT, second = b->kind == JOURNAL_FILE_CHECKPOINT;
    if (first != second)
        return first ? -1 : 1;
    if (a->batch != b->batch)
        return a->batch < b->batch ? -1 : 1;
    return (int)a->kind - (int)b->kind;
}

size_t journal_entries_count(const struct journal_entries *files)
{
    return files->list.length / sizeof(struct journal_entry);
}

const struct journal_entry *journal_entry_at(const struct journal_entries *files, size_t index)
{
    return (const struct journal_entry *)(const void *)files->list.data + index;
}

static int read_directory(struct journal_command *command)
{
    int result =
        journal_directory_open_read_only(&command->directory, command->path, &command->error);
    if (result)
        return result;
    result = journal_directory_walk(command->directory, take_in, &command->files);
    if (result)
        return error_set(&command->error, result, "journal %s: cannot be read: %s", command->path,
                         strerror(-result));
    if (journal_entries_count(&command->files))
        qsort(command->files.list.data, journal_entries_count(&command->files),
              sizeof(struct journal_entry), compare);
    return 0;
}

int journal_entry_open(const struct journal_command *command, const struct journal_entry *file,
                       struct batch_reader **readerp, struct error_text *error)
{
    char name[JOURNAL_NAME_SIZE], path[4096];
    journal_file_name(name, file->kind, file->batch);
    snprintf(path, sizeof(path), "%s/%s", command->path, name);
    return batch_reader_open(readerp, path, error);
}

/* ---- list ---- */

static const struct output_column list_columns[] = {
    {"batch",     OUTPUT_NUMBER, NULL},
    {"state",     OUTPUT_TEXT,   NULL},
    {"first",     OUTPUT_TEXT,   NULL},
    {"last",      OUTPUT_TEXT,   NULL},
    {"lines",     OUTPUT_NUMBER, NULL},
    {"bytes",     OUTPUT_NUMBER, NULL},
    {"recovered", OUTPUT_TEXT,   NULL},
    {"signed",    OUTPUT_TEXT,   NULL},
};
#define N_LIST_COLUMNS (sizeof(list_columns) / sizeof(list_columns[0]))

/* Local time, as all answers; with microseconds. */
static void print_time(char text[40], uint64_t time_us)
{
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm tm;
    if (!localtime_r(&seconds, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm))
        snprintf(text, 40, "%" PRIu64, time_us);
    else
        snprintf(text + strlen(text), 8, ".%06u", (unsigned)(time_us % 1000000));
}

/* The lines of an open batch are counted; others say how many they have. */
static void count_lines(struct batch_reader *reader)
{
    struct batch_line line;
    while (batch_reader_header(reader)->kind == BATCH_OPEN &&
           batch_reader_next(reader, &line, NULL) == BATCH_READER_LINE)
        continue;
}

static int list_row(const struct journal_command *command, const struct journal_entry *file,
                    struct output *output)
{
    char batch[24], first[40], last[40], lines[24], bytes[24];
    struct slice row[N_LIST_COLUMNS] = {SLICE_NULL};
    struct batch_reader *reader;
    struct error_text error = ERROR_TEXT_NULL;
    int result = journal_entry_open(command, file, &reader, &error);
    if (result == -ENOENT)
        return 0;
    row[1] = slice_text(states[file->kind]);
    snprintf(batch, sizeof(batch), "%" PRIu64, file->batch);
    row[0] = slice_text(batch);
    snprintf(bytes, sizeof(bytes), "%" PRIu64, file->bytes);
    row[5] = slice_text(bytes);
    if (result) {
        log_error("journal", "%s", error.text);
        return output_row(output, row);
    }
    count_lines(reader);
    const struct batch_header *header = batch_reader_header(reader);
    snprintf(batch, sizeof(batch), "%" PRIu64, header->batch);
    row[0] = slice_text(batch);
    print_time(first, header->first_us);
    row[2] = slice_text(first);
    print_time(last, header->last_us);
    row[3] = slice_text(last);
    snprintf(lines, sizeof(lines), "%" PRIu64, header->n_lines);
    row[4] = slice_text(lines);
    row[6] = slice_text(header->recovered ? "yes" : "no");
    if (header->kind == BATCH_SEALED)
        row[7] = slice_text(batch_header_signed(header) ? "yes" : "no");
    result = output_row(output, row);
    batch_reader_free(reader);
    return result;
}

static int list(struct journal_command *command)
{
    struct output *output;
    int result = output_new(&output, command->options.format, stdout, list_columns, N_LIST_COLUMNS);
    for (size_t i = 0; !result && i < journal_entries_count(&command->files); i++)
        result = list_row(command, journal_entry_at(&command->files, i), output);
    if (!result)
        result = output_finish(output);
    output_free(output);
    if (result) {
        error_set(&command->error, result, "cannot write the list: %s", strerror(-result));
        return result;
    }
    return journal_entries_count(&command->files) ? STATUS_ROWS : STATUS_NO_ROWS;
}

/* ---- show ---- */

static const struct journal_entry *find_file(const struct journal_command *command, uint64_t batch)
{
    for (size_t i = 0; i < journal_entries_count(&command->files); i++) {
        const struct journal_entry *file = journal_entry_at(&command->files, i);
        if (file->batch == batch && file->kind != JOURNAL_FILE_CHECKPOINT)
            return file;
    }
    return NULL;
}

/* A number, "open", "checkpoint", or the path of a file. */
static int open_argument(struct journal_command *command, struct batch_reader **readerp)
{
    const char *word = command->options.arguments[1];
    const struct journal_entry *file = NULL;
    struct journal_entry named = {.kind = JOURNAL_FILE_CHECKPOINT};
    uint64_t batch;
    if (strchr(word, '/'))
        return batch_reader_open(readerp, word, &command->error);
    int result = read_directory(command);
    if (result)
        return result;
    if (strcmp(word, "checkpoint") == 0)
        file = &named;
    else if (batch_parse_u64(slice_text(word), &batch))
        file = find_file(command, batch);
    for (size_t i = 0; strcmp(word, "open") == 0 && i < journal_entries_count(&command->files); i++)
        if (journal_entry_at(&command->files, i)->kind == JOURNAL_FILE_OPEN)
            file = journal_entry_at(&command->files, i);
    if (!file)
        return error_set(&command->error, -ENOENT,
                         "journal %s has no batch %s; see `vestige journal list`", command->path,
                         word);
    return journal_entry_open(command, file, readerp, &command->error);
}

void journal_print_safe(struct buffer *scratch, struct slice text)
{
    buffer_clear(scratch);
    safe_text_append(scratch, text);
    buffer_append_byte(scratch, '\n');
    fwrite(scratch->data, 1, scratch->length, stdout);
}

/* Each line of a header is a key, a tab and a value. */
static void print_header(struct buffer *scratch, const struct batch_header *header)
{
    struct buffer text = BUFFER_NULL;
    batch_header_print(&text, header);
    struct slice rest = buffer_slice(&text);
    const uint8_t *end;
    while (rest.length && (end = memchr(rest.data, '\n', rest.length)) != NULL) {
        struct slice line = slice_of(rest.data, (size_t)(end - rest.data));
        const uint8_t *tab = line.length ? memchr(line.data, '\t', line.length) : NULL;
        rest = slice_of(end + 1, rest.length - line.length - 1);
        if (tab) {
            printf("%-10.*s ", (int)(tab - line.data), (const char *)line.data);
            line = slice_of(tab + 1, (size_t)(end - tab) - 1);
        }
        journal_print_safe(scratch, line);
    }
    buffer_deinit(&text);
}

/* "verb table id", then a column a line, so that a row of forty columns can be read. */
static void print_line(struct buffer *scratch, const struct batch_line *line)
{
    const struct table *table = catalogue_table(line->table);
    size_t first;
    catalogue_line_columns(table, line->verb, &first);
    printf("%s %s %" PRIu64 "\n", verb_name(line->verb), table->name, line->id);
    for (size_t i = 0; i < line->n_values; i++) {
        if (slice_is_null(line->values[i]))
            continue;
        printf("    %-18s ", table->columns[first + i].name);
        journal_print_safe(scratch, line->values[i]);
    }
}

static int show(struct journal_command *command)
{
    struct batch_reader *reader = NULL;
    struct batch_line line;
    struct buffer scratch = BUFFER_NULL;
    int result = open_argument(command, &reader);
    if (result)
        return result;
    print_header(&scratch, batch_reader_header(reader));
    while ((result = batch_reader_next(reader, &line, &command->error)) == BATCH_READER_LINE)
        print_line(&scratch, &line);
    batch_reader_free(reader);
    buffer_deinit(&scratch);
    if (result < 0)
        return result;
    if (fflush(stdout) != 0)
        return error_set(&command->error, -errno, "cannot write: %s", strerror(errno));
    return STATUS_ROWS;
}

/* ---- the command ---- */

static int set_path(struct journal_command *command)
{
    const char *state = command->options.state_directory;
    int length;
    if (command->directory_option)
        length = asprintf(&command->path, "%s", command->directory_option);
    else
        length = asprintf(&command->path, "%s/agent/journal", state ? state : DEFAULT_STATE);
    if (length >= 0)
        return 0;
    command->path = NULL;
    return error_set(&command->error, -ENOMEM, "out of memory");
}

/* What each action takes of our own options; a batch is shown, and nothing else needs a word. */
static const struct action {
    const char *name;
    size_t n_words;
    const char *taken;
    int (*run)(struct journal_command *command);
} actions[] = {
    {"list",  1, " directory ",            list         },
    {"show",  2, " directory ",            show         },
    {"check", 1, " directory public-key ", journal_check},
};

static int run(struct journal_command *command, const struct command_line *line)
{
    const struct options *options = &command->options;
    size_t found = 0;
    int result = options_find_action("journal", options->arguments[0], actions,
                                     sizeof(actions) / sizeof(actions[0]), sizeof(actions[0]),
                                     &found, &command->error);
    const struct action *action = &actions[found];
    if (!result)
        result = options_check_own(options, line, action->name, action->taken, &command->error);
    if (result)
        return result;
    bool is_show = action->n_words > 1;
    if (options->n_arguments != action->n_words)
        return is_show ? error_set(&command->error, -EINVAL,
                                   "name the batch: vestige journal show BATCH (a number, open, "
                                   "checkpoint or a file)")
                       : error_set(&command->error, -EINVAL,
                                   "\"%.60s\" is one word too many: vestige journal %s",
                                   options->arguments[1], action->name);
    result = set_path(command);
    if (!result && !is_show)
        result = read_directory(command);
    return result ? result : action->run(command);
}

int journal_command(int argc, char **argv)
{
    struct journal_command command = {0};
    const struct option_own own[] = {
        {"directory",  OPTION_TEXT, &command.directory_option,  "DIR",
         "the journal itself (default: agent/journal in the state directory)",            0, 0},
        {"public-key", OPTION_TEXT, &command.public_key_option, "FILE",
         "check: the public keys of the host, in PEM form (default: of its signing key)", 0, 0},
    };
    const struct command_line line = {
        .words = "journal list | show BATCH | check",
        .summary = "The agent's batches on this host: list them, show one (its number, `open`, "
                   "`checkpoint` or a file), or check hashes, chain and signatures.\n"
                   "A signature proves that who had the key made the batch, not that it is true.\n"
                   "Exit status of check: 0 sound, 1 damaged, 2 it could not be checked.",
        .groups = OPTIONS_STATE | OPTIONS_OUTPUT,
        .own = own,
        .n_own = sizeof(own) / sizeof(own[0]),
        .least_arguments = 1,
        .most_arguments = 2,
    };
    int result = options_parse(&command.options, &line, argc, argv, &command.error);
    if (result == OPTIONS_HELP_SHOWN)
        return 0;
    if (result == OPTIONS_READ)
        result = run(&command, &line);
    if (result < 0)
        log_error("journal", "%s", command.error.text);
    journal_directory_free(command.directory);
    buffer_deinit(&command.files.list);
    free(command.path);
    return result < 0 ? STATUS_ERROR : result;
}
