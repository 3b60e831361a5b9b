/* `vestige journal list|show|check`: the spool as a person sees it. It takes no lock and changes
 * nothing, so it may run beside the agent; a file that the agent removes meanwhile is passed over.
 * Numbers are read from the names, so memory does not depend on how many batches there are but for
 * eight bytes each. */
#include "core/cleanup.h"
#include "core/log.h"
#include "recorder/journal/batch_reader.h"
#include "recorder/journal/journal_directory.h"
#include "reports/command.h"
#include "reports/options/options.h"
#include "reports/output/safe_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_STATE "/var/lib/vestige"
#define DEFAULT_KEY   "/etc/vestige/signing.key"
#define KEYS_MOST     16

struct file {
    uint64_t batch;
    uint64_t bytes;
    enum journal_file kind;
};

struct files {
    struct buffer list; /* of struct file */
};

struct command {
    struct options options;
    const char *directory_option, *public_key_option;
    char *path;
    struct journal_directory *directory;
    struct files files;
    struct error_text error;
};

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
    struct files *files = user;
    struct file file = {.batch = batch, .bytes = bytes, .kind = kind};
    (void)name;
    if (kind == JOURNAL_FILE_TEMPORARY || kind == JOURNAL_FILE_OTHER)
        return 0;
    buffer_append(&files->list, &file, sizeof(file));
    return files->list.failed ? -ENOMEM : 0;
}

/* The checkpoint first, then by number. */
static int compare(const void *left, const void *right)
{
    const struct file *a = left, *b = right;
    bool first = a->kind == JOURNAL_FILE_CHECKPOINT, second = b->kind == JOURNAL_FILE_CHECKPOINT;
    if (first != second)
        return first ? -1 : 1;
    if (a->batch != b->batch)
        return a->batch < b->batch ? -1 : 1;
    return (int)a->kind - (int)b->kind;
}

static size_t n_files(const struct files *files)
{
    return files->list.length / sizeof(struct file);
}

static const struct file *file_at(const struct files *files, size_t index)
{
    return (const struct file *)(const void *)files->list.data + index;
}

static int read_directory(struct command *command)
{
    int result =
        journal_directory_open_read_only(&command->directory, command->path, &command->error);
    if (result)
        return result;
    result = journal_directory_walk(command->directory, take_in, &command->files);
    if (result)
        return error_set(&command->error, result, "journal %s: cannot be read: %s", command->path,
                         strerror(-result));
    if (n_files(&command->files))
        qsort(command->files.list.data, n_files(&command->files), sizeof(struct file), compare);
    return 0;
}

static int open_file(const struct command *command, const struct file *file,
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

static int list_row(const struct command *command, const struct file *file, struct output *output)
{
    char batch[24], first[40], last[40], lines[24], bytes[24];
    struct slice row[N_LIST_COLUMNS] = {SLICE_NULL};
    struct batch_reader *reader;
    struct error_text error = ERROR_TEXT_NULL;
    int result = open_file(command, file, &reader, &error);
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

static int list(struct command *command)
{
    struct output *output;
    int result = output_new(&output, command->options.format, stdout, list_columns, N_LIST_COLUMNS);
    for (size_t i = 0; !result && i < n_files(&command->files); i++)
        result = list_row(command, file_at(&command->files, i), output);
    if (!result)
        result = output_finish(output);
    output_free(output);
    if (result) {
        error_set(&command->error, result, "cannot write the list: %s", strerror(-result));
        return result;
    }
    return n_files(&command->files) ? STATUS_ROWS : STATUS_NO_ROWS;
}

/* ---- show ---- */

static const struct file *find_file(const struct command *command, uint64_t batch)
{
    for (size_t i = 0; i < n_files(&command->files); i++) {
        const struct file *file = file_at(&command->files, i);
        if (file->batch == batch && file->kind != JOURNAL_FILE_CHECKPOINT)
            return file;
    }
    return NULL;
}

/* A number, "open", "checkpoint", or the path of a file. */
static int open_argument(struct command *command, struct batch_reader **readerp)
{
    const char *word = command->options.arguments[1];
    const struct file *file = NULL;
    struct file named = {.kind = JOURNAL_FILE_CHECKPOINT};
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
    for (size_t i = 0; strcmp(word, "open") == 0 && i < n_files(&command->files); i++)
        if (file_at(&command->files, i)->kind == JOURNAL_FILE_OPEN)
            file = file_at(&command->files, i);
    if (!file)
        return error_set(&command->error, -ENOENT,
                         "journal %s has no batch %s; see `vestige journal list`", command->path,
                         word);
    return open_file(command, file, readerp, &command->error);
}

static void print_safe(struct buffer *scratch, struct slice text)
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
        print_safe(scratch, line);
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
        print_safe(scratch, line->values[i]);
    }
}

static int show(struct command *command)
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

/* ---- check ---- */

/* With whose keys signatures are checked. */
struct signers {
    uint8_t keys[KEYS_MOST][PUBLIC_KEY_SIZE];
    size_t n; /* 0: they are not checked, and `error` says why */
    char path[4096];
    bool demanded; /* the user named the keys: a batch without a signature is a finding */
    struct error_text error;
    uint64_t n_good, n_none;
};

/* This host's own key, unless the journal may be that of another. */
static void take_own_key(const struct command *command, struct signers *signers)
{
    struct signing_key *key;
    const char *state = command->options.state_directory;
    if (command->directory_option) {
        error_set(&signers->error, 0, "name the host's public key with --public-key");
        return;
    }
    if (state)
        snprintf(signers->path, sizeof(signers->path), "%s/signing.key", state);
    else
        snprintf(signers->path, sizeof(signers->path), DEFAULT_KEY);
    if (signing_key_load(&key, signers->path, &signers->error) != 0)
        return;
    signing_key_public(key, signers->keys[0]);
    signers->n = 1;
    signing_key_free(key);
}

static int take_keys(struct command *command, struct signers *signers)
{
    if (!command->public_key_option) {
        take_own_key(command, signers);
        return 0;
    }
    signers->demanded = true;
    snprintf(signers->path, sizeof(signers->path), "%s", command->public_key_option);
    return public_keys_read(signers->keys, KEYS_MOST, &signers->n, signers->path, &command->error);
}

struct check {
    struct signers signers;
    uint64_t last; /* of the chain so far; 0: none */
    uint8_t hash[BATCH_HASH_SIZE];
    bool unknown; /* the batch before could not be read */
    uint64_t n_batches, n_lines, n_findings;
};

static void finding(struct check *check, const char *text)
{
    struct buffer safe = BUFFER_NULL;
    print_safe(&safe, slice_text(text));
    buffer_deinit(&safe);
    check->n_findings++;
}

static void check_chain(struct check *check, const struct batch_header *header)
{
    struct error_text text = ERROR_TEXT_NULL;
    uint64_t missing = header->batch - check->last - 1;
    if (check->last && missing)
        error_set(&text, 0, "batch %" PRIu64 ": %" PRIu64 " batches before it are missing",
                  header->batch, missing);
    else if (check->last && !check->unknown &&
             memcmp(check->hash, header->previous_hash, BATCH_HASH_SIZE) != 0)
        error_set(&text, 0,
                  "batch %" PRIu64 ": does not follow batch %" PRIu64 ": its previous "
                  "hash is another one",
                  header->batch, check->last);
    if (text.text[0])
        finding(check, text.text);
}

static void check_signature(struct check *check, const struct batch_header *header)
{
    struct signers *signers = &check->signers;
    struct error_text text = ERROR_TEXT_NULL;
    if (signers->n == 0)
        return;
    if (!batch_header_signed(header)) {
        signers->n_none++;
        error_set(&text, 0, "batch %" PRIu64 ": is not signed", header->batch);
        if (signers->demanded)
            finding(check, text.text);
        return;
    }
    for (size_t i = 0; i < signers->n; i++) {
        if (signature_check(signers->keys[i], header->hash, header->signature) == 0) {
            signers->n_good++;
            return;
        }
    }
    error_set(&text, 0,
              "batch %" PRIu64 ": its signature is not of a key in %s: somebody else made or "
              "changed it, or the host had another key then",
              header->batch, signers->path);
    finding(check, text.text);
}

static void tell_signatures(const struct signers *signers)
{
    struct buffer text = BUFFER_NULL, safe = BUFFER_NULL;
    if (signers->n == 0)
        buffer_printf(&text, "signatures were not checked: %s", signers->error.text);
    else
        buffer_printf(
            &text, "signatures: %" PRIu64 " are of a key in %s, %" PRIu64 " batches are not signed",
            signers->n_good, signers->path, signers->n_none);
    print_safe(&safe, buffer_slice(&text));
    buffer_deinit(&text);
    buffer_deinit(&safe);
}

static void check_file(const struct command *command, const struct file *file, struct check *check)
{
    struct batch_reader *reader;
    struct error_text error = ERROR_TEXT_NULL;
    int result = open_file(command, file, &reader, &error);
    if (result == -ENOENT)
        return; /* shipped and removed meanwhile */
    bool chained = file->kind == JOURNAL_FILE_SEALED || file->kind == JOURNAL_FILE_SHIPPED;
    if (result) {
        finding(check, error.text);
        check->last = chained ? file->batch : check->last;
        check->unknown |= chained;
        return;
    }
    const struct batch_header *header = batch_reader_header(reader);
    if (batch_reader_check(reader, NULL, &error) != 0)
        finding(check, error.text);
    if (chained && (header->kind != BATCH_SEALED || header->batch != file->batch)) {
        error_set(&error, 0, "batch %" PRIu64 ": the file holds another one (%" PRIu64 ")",
                  file->batch, header->batch);
        finding(check, error.text);
    } else if (file->kind != JOURNAL_FILE_CHECKPOINT) {
        check_chain(check, header);
    }
    if (chained) {
        check->last = file->batch;
        check->unknown = false;
        check_signature(check, header);
        memcpy(check->hash, header->hash, BATCH_HASH_SIZE);
    }
    check->n_batches++;
    check->n_lines += header->n_lines;
    batch_reader_free(reader);
}

static void check_damaged(const struct command *command, const struct file *file,
                          struct check *check)
{
    struct error_text text = ERROR_TEXT_NULL;
    error_set(&text, 0,
              "%s/%012" PRIu64 ".damaged: what a crash left unreadable; look at it and remove it",
              command->path, file->batch);
    finding(check, text.text);
}

static int check(struct command *command)
{
    struct check result = {0};
    int outcome = take_keys(command, &result.signers);
    if (outcome)
        return outcome;
    for (size_t i = 0; i < n_files(&command->files); i++) {
        const struct file *file = file_at(&command->files, i);
        if (file->kind == JOURNAL_FILE_DAMAGED)
            check_damaged(command, file, &result);
        else
            check_file(command, file, &result);
    }
    printf("%" PRIu64 " files, %" PRIu64 " lines: %" PRIu64 " findings\n", result.n_batches,
           result.n_lines, result.n_findings);
    tell_signatures(&result.signers);
    return result.n_findings ? STATUS_WRONG : 0;
}

/* ---- the command ---- */

static int set_path(struct command *command)
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
    int (*run)(struct command *command);
} actions[] = {
    {"list",  1, " directory ",            list },
    {"show",  2, " directory ",            show },
    {"check", 1, " directory public-key ", check},
};

static int run(struct command *command, const struct command_line *line)
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
    struct command command = {0};
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
