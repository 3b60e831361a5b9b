/* The files are written one after the other, each digested on its way to the disk; the list of
 * digests comes last. A file INCOMPLETE lies there until then, so that a bundle that was cut short
 * cannot pass for a whole one. Nothing is written over what is there already. */
#include "reports/export/export_case.h"
#include "reports/export/export_output.h"
#include "reports/export/export_texts.h"
#include "reports/output/json_text.h"

#include "core/cleanup.h"
#include "core/hex.h"
#include "recorder/row/catalogue.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define CHARSET_BINARY 63
#define MARK           "INCOMPLETE"
#define MANIFEST       "MANIFEST.sha256"
#define KEY_SIZE       32

struct bundle {
    struct export_selection *selection;
    const char *directory;
    int fd; /* of the directory */
    struct buffer manifest, counts;
    uint64_t n_rows;
    struct error_text *error;
};

/* A file of the bundle that is being written. */
struct bundle_file {
    struct bundle *bundle;
    char name[100];
    FILE *stream;
    EVP_MD_CTX *digest;
    struct buffer line;
};

static int fail(struct bundle *bundle, const char *name, int error)
{
    return error_set(bundle->error, error, "%.200s/%.100s cannot be written: %s", bundle->directory,
                     name, strerror(-error));
}

static int bundle_file_open(struct bundle_file *file, struct bundle *bundle, const char *name)
{
    *file = (struct bundle_file){.bundle = bundle};
    snprintf(file->name, sizeof(file->name), "%s", name);
    int fd = openat(bundle->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(bundle, name, -errno);
    file->stream = fdopen(fd, "w");
    file->digest = EVP_MD_CTX_new();
    if (!file->stream || !file->digest || !EVP_DigestInit_ex(file->digest, EVP_sha256(), NULL)) {
        if (!file->stream)
            close(fd);
        return fail(bundle, name, -ENOMEM);
    }
    return 0;
}

/* Write what is in file->line. */
static int bundle_file_write(struct bundle_file *file)
{
    struct buffer *line = &file->line;
    if (line->failed || !EVP_DigestUpdate(file->digest, line->data, line->length))
        return fail(file->bundle, file->name, -ENOMEM);
    errno = EIO;
    if (fwrite(line->data, 1, line->length, file->stream) != line->length)
        return fail(file->bundle, file->name, -errno);
    buffer_clear(line);
    return 0;
}

static void bundle_file_deinit(struct bundle_file *file)
{
    if (file->stream)
        fclose(file->stream);
    EVP_MD_CTX_free(file->digest);
    buffer_deinit(&file->line);
}

/* To the disk, and into the manifest. */
static int bundle_file_finish(struct bundle_file *file)
{
    struct buffer *manifest = &file->bundle->manifest;
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (fflush(file->stream) || fsync(fileno(file->stream)))
        return fail(file->bundle, file->name, -errno);
    if (!EVP_DigestFinal_ex(file->digest, hash, &length))
        return fail(file->bundle, file->name, -EIO);
    hex_append(manifest, hash, length);
    buffer_printf(manifest, "  %s\n", file->name);
    return manifest->failed ? fail(file->bundle, file->name, -ENOMEM) : 0;
}

static int write_file(struct bundle *bundle, const char *name, struct slice text)
{
    struct bundle_file file;
    int outcome = bundle_file_open(&file, bundle, name);
    if (!outcome) {
        buffer_append_slice(&file.line, text);
        outcome = bundle_file_write(&file);
    }
    if (!outcome)
        outcome = bundle_file_finish(&file);
    bundle_file_deinit(&file);
    return outcome;
}

/* Rows */

static void append_row(struct buffer *line, const MYSQL_FIELD *fields, unsigned n,
                       const struct slice *values)
{
    for (unsigned i = 0; i < n; i++) {
        buffer_append_text(line, i ? ", " : "{");
        json_append_string(line, slice_text(fields[i].name));
        buffer_append_text(line, ": ");
        if (fields[i].charsetnr == CHARSET_BINARY && !export_is_number(&fields[i]) &&
            !export_is_moment(&fields[i]) && fields[i].type != MYSQL_TYPE_DATE &&
            !slice_is_null(values[i])) {
            buffer_append_byte(line, '"');
            hex_append(line, values[i].data, values[i].length);
            buffer_append_byte(line, '"');
        } else {
            json_append_value(line, export_is_number(&fields[i]), values[i]);
        }
    }
    buffer_append_text(line, "}\n");
}

static int write_rows(struct bundle_file *file, struct statement *statement, uint64_t *n_rows)
{
    const struct slice *values;
    unsigned n = statement_n_columns(statement);
    for (;;) {
        int outcome = statement_next(statement, &values, file->bundle->error);
        if (outcome != STATEMENT_ROW)
            return outcome;
        append_row(&file->line, statement_fields(statement), n, values);
        outcome = bundle_file_write(file);
        if (outcome)
            return outcome;
        ++*n_rows;
    }
}

/* The rows of a statement as JSON lines. */
static int write_answer(struct bundle *bundle, const char *name, struct buffer *sql,
                        uint64_t *n_rows)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    struct bundle_file file = {.bundle = bundle};
    int outcome = export_selection_run(bundle->selection, &statement, sql, name, bundle->error);
    if (!outcome)
        outcome = bundle_file_open(&file, bundle, name);
    if (!outcome)
        outcome = write_rows(&file, statement, n_rows);
    if (!outcome)
        outcome = bundle_file_finish(&file);
    bundle_file_deinit(&file);
    if (!outcome)
        buffer_printf(&bundle->counts, "%s    \"%s\": %" PRIu64, bundle->counts.length ? ",\n" : "",
                      name, *n_rows);
    return outcome;
}

static int write_table(struct bundle *bundle, const struct export_table *table)
{
    struct buffer sql = BUFFER_NULL;
    char name[100];
    uint64_t n = 0;
    snprintf(name, sizeof(name), "rows/%s.jsonl", table->name);
    buffer_append_text(&sql, "SELECT t.*");
    export_selection_append_from(bundle->selection, &sql, table);
    buffer_append_text(&sql, " ORDER BY t.host_id, t.id");
    int outcome = write_answer(bundle, name, &sql, &n);
    buffer_deinit(&sql);
    bundle->n_rows += n;
    return outcome;
}

static int write_tables(struct bundle *bundle)
{
    int outcome = 0;
    for (size_t i = 0; i < export_tables_n && !outcome; i++)
        if (export_selection_takes(bundle->selection, &export_tables[i], true))
            outcome = write_table(bundle, &export_tables[i]);
    return outcome;
}

/* The seals of the batches that the rows name: of their birth, of what settled later, of their end.
 */
static int write_seals(struct bundle *bundle)
{
    static const char *const columns[] = {"batch", "settle_batch", "end_batch"};
    struct buffer sql = BUFFER_NULL;
    uint64_t n = 0;
    bool first = true;
    buffer_append_text(&sql, "SELECT b.* FROM (");
    for (size_t i = 0; i < export_tables_n; i++)
        for (size_t j = 0; j < 3; j++) {
            if (!export_selection_takes(bundle->selection, &export_tables[i], true))
                continue;
            buffer_printf(&sql, "%sSELECT t.host_id AS host_id, t.%s AS number",
                          first ? "" : " UNION ", columns[j]);
            export_selection_append_from(bundle->selection, &sql, &export_tables[i]);
            first = false;
        }
    buffer_append_text(&sql, ") named JOIN batch b ON b.host_id = named.host_id AND b.batch = "
                             "named.number ORDER BY b.host_id, b.batch, b.hash");
    int outcome = write_answer(bundle, "seals/batch.jsonl", &sql, &n);
    buffer_deinit(&sql);
    return outcome;
}

static int write_hosts(struct bundle *bundle)
{
    struct buffer sql = BUFFER_NULL;
    uint64_t n = 0;
    buffer_append_text(&sql, "SELECT t.host_id, t.name, t.created_at, t.revoked_at, t.retired_at "
                             "FROM enrolment t WHERE (:host_id IS NULL OR t.host_id = :host_id) "
                             "ORDER BY t.host_id");
    int outcome = write_answer(bundle, "hosts.jsonl", &sql, &n);
    buffer_deinit(&sql);
    return outcome;
}

/* What the case is */

static void append_member(struct buffer *text, const char *name, const char *value)
{
    buffer_printf(text, "  \"%s\": ", name);
    json_append_value(text, false, slice_text(value));
    buffer_append_text(text, ",\n");
}

static void append_moment(struct buffer *text, const char *name, bool has, int64_t us)
{
    buffer_printf(text, "  \"%s\": ", name);
    if (has) {
        buffer_append_byte(text, '"');
        export_append_us(text, us, "Z");
        buffer_append_text(text, "\",\n");
    } else {
        buffer_append_text(text, "null,\n");
    }
}

static int write_description(struct bundle *bundle)
{
    const struct export_selection *selection = bundle->selection;
    const struct options *options = selection->options;
    struct buffer text = BUFFER_NULL, completeness = BUFFER_NULL;
    int outcome =
        evidence_completeness(selection->mysql, &selection->window, &completeness, bundle->error);
    if (!outcome) {
        char place[300];
        database_place(selection->mysql, place);
        buffer_append_text(&text, "{\n");
        append_member(&text, "made_by", "vestige " VESTIGE_VERSION);
        append_moment(&text, "made_at", true, (int64_t)time(NULL) * 1000000);
        append_member(&text, "server", place);
        append_member(&text, "database", database_name(selection->mysql));
        append_member(&text, "host", options->on);
        append_member(&text, "login_user", options->login_user);
        append_moment(&text, "since", options->has_since, options->since_us);
        append_moment(&text, "until", options->has_until, options->until_us);
        buffer_append_text(&text, "  \"completeness\": ");
        json_append_string(&text, buffer_slice(&completeness));
        buffer_append_text(&text, ",\n  \"rows\": {\n");
        buffer_append_slice(&text, buffer_slice(&bundle->counts));
        buffer_append_text(&text, "\n  }\n}\n");
        outcome = text.failed ? fail(bundle, "case.json", -ENOMEM)
                              : write_file(bundle, "case.json", buffer_slice(&text));
    }
    buffer_deinit(&text);
    buffer_deinit(&completeness);
    return outcome;
}

static int write_texts(struct bundle *bundle)
{
    int outcome = 0;
    for (size_t i = 0; i < export_texts_n && !outcome; i++) {
        const struct embedded_file *text = &export_texts[i];
        const char *name = !strcmp(text->name, "journal.md") ? "FORMAT.md" : "README";
        outcome = write_file(bundle, name, slice_of(text->text, text->length));
    }
    return outcome;
}

/* They become the name of a file, and the server may be a liar. */
static bool is_number(struct slice text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.length > 0 && text.length < 21;
}

/* keys/HOST-NUMBER.pem, as openssl reads it: the fixed beginning of such a key, and its bytes. */
static int write_key(struct bundle *bundle, const struct slice *values)
{
    unsigned char bytes[12 + KEY_SIZE] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                          0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    unsigned char base64[80];
    char name[100], text[200];
    if (values[2].length != KEY_SIZE || !is_number(values[0]) || !is_number(values[1]))
        return error_set(bundle->error, -EIO, "the server gives a key of the wrong size or name");
    memcpy(bytes + 12, values[2].data, KEY_SIZE);
    EVP_EncodeBlock(base64, bytes, sizeof(bytes));
    snprintf(name, sizeof(name), "keys/%.*s-%.*s.pem", (int)values[0].length,
             (const char *)values[0].data, (int)values[1].length, (const char *)values[1].data);
    snprintf(text, sizeof(text), "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n",
             (const char *)base64);
    return write_file(bundle, name, slice_text(text));
}

static int write_key_files(struct bundle *bundle, const char *from)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    struct buffer sql = BUFFER_NULL;
    const struct slice *values;
    buffer_printf(&sql, "SELECT t.host_id, t.number, t.public_key%s", from);
    int outcome =
        export_selection_run(bundle->selection, &statement, &sql, "host_key", bundle->error);
    buffer_deinit(&sql);
    while (!outcome &&
           (outcome = statement_next(statement, &values, bundle->error)) == STATEMENT_ROW)
        outcome = write_key(bundle, values);
    return outcome;
}

static int write_keys(struct bundle *bundle)
{
    static const char from[] = " FROM host_key t WHERE (:host_id IS NULL OR t.host_id = :host_id)"
                               " ORDER BY t.host_id, t.number";
    struct buffer sql = BUFFER_NULL;
    uint64_t n = 0;
    buffer_printf(&sql, "SELECT t.*%s", from);
    int outcome = write_answer(bundle, "keys/host_key.jsonl", &sql, &n);
    buffer_deinit(&sql);
    return outcome ? outcome : write_key_files(bundle, from);
}

/* {"table": "process", "verb": "insert", "columns": [...], "since": {"masked": 2}}: the values of
 * each kind of line, and the format of batches that has a column first, where that is not 1. */
static void append_line_columns(struct buffer *text, const struct table *table, enum verb verb)
{
    size_t first, n = catalogue_line_columns(table, verb, &first);
    if (!n)
        return;
    buffer_printf(text, "{\"table\": \"%s\", \"verb\": \"%s\", \"columns\": [", table->name,
                  verb_name(verb));
    for (size_t i = 0; i < n; i++)
        buffer_printf(text, "%s\"%s\"", i ? ", " : "", table->columns[first + i].name);
    buffer_append_text(text, "], \"since\": {");
    bool some = false;
    for (size_t i = first; i < first + n; i++) {
        if (table->columns[i].since < 2)
            continue;
        buffer_printf(text, "%s\"%s\": %u", some ? ", " : "", table->columns[i].name,
                      table->columns[i].since);
        some = true;
    }
    buffer_append_text(text, "}}\n");
}

static int write_lines(struct bundle *bundle)
{
    struct buffer text = BUFFER_NULL;
    for (int id = 0; id < TABLE_N; id++)
        for (int verb = 0; verb < VERB_N; verb++)
            append_line_columns(&text, catalogue_table((enum table_id)id), (enum verb)verb);
    int outcome = text.failed ? fail(bundle, "lines.jsonl", -ENOMEM)
                              : write_file(bundle, "lines.jsonl", buffer_slice(&text));
    buffer_deinit(&text);
    return outcome;
}

/* The directory */

static bool is_empty(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    bool empty = directory != NULL;
    if (!directory && copy >= 0)
        close(copy);
    for (struct dirent *entry; empty && (entry = readdir(directory));)
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    if (directory)
        closedir(directory);
    return empty;
}

static int open_directory(struct bundle *bundle)
{
    if (mkdir(bundle->directory, 0700) && errno != EEXIST)
        return error_set(bundle->error, -errno, "%.200s cannot be made: %s", bundle->directory,
                         strerror(errno));
    bundle->fd = open(bundle->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (bundle->fd < 0)
        return error_set(bundle->error, -errno, "%.200s cannot be opened: %s", bundle->directory,
                         strerror(errno));
    if (!is_empty(bundle->fd))
        return error_set(bundle->error, -ENOTEMPTY,
                         "%.200s is not empty: a case needs a directory of its own",
                         bundle->directory);
    static const char *const parts[] = {"rows", "seals", "keys"};
    for (size_t i = 0; i < 3; i++)
        if (mkdirat(bundle->fd, parts[i], 0700))
            return fail(bundle, parts[i], -errno);
    int mark = openat(bundle->fd, MARK, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (mark < 0)
        return fail(bundle, MARK, -errno);
    close(mark);
    return 0;
}

static int write_manifest(struct bundle *bundle)
{
    struct buffer list = bundle->manifest;
    bundle->manifest = (struct buffer)BUFFER_NULL;
    int outcome = write_file(bundle, MANIFEST, buffer_slice(&list));
    buffer_deinit(&list);
    if (!outcome && (unlinkat(bundle->fd, MARK, 0) || fsync(bundle->fd)))
        outcome = fail(bundle, MARK, -errno);
    if (!outcome)
        fprintf(stderr,
                "%" PRIu64 " rows in %s; SHA-256 of its " MANIFEST ", to be written down: %.64s\n",
                bundle->n_rows, bundle->directory, (const char *)bundle->manifest.data);
    return outcome;
}

int export_case(struct export_selection *selection, const char *directory, uint64_t *n_rows,
                struct error_text *error)
{
    struct bundle bundle = {
        .selection = selection, .directory = directory, .fd = -1, .error = error};
    int outcome = open_directory(&bundle);
    if (!outcome)
        outcome = write_hosts(&bundle);
    if (!outcome)
        outcome = write_tables(&bundle);
    if (!outcome)
        outcome = write_seals(&bundle);
    if (!outcome)
        outcome = write_keys(&bundle);
    if (!outcome)
        outcome = write_description(&bundle);
    if (!outcome)
        outcome = write_lines(&bundle);
    if (!outcome)
        outcome = write_texts(&bundle);
    if (!outcome)
        outcome = write_manifest(&bundle);
    *n_rows = bundle.n_rows;
    if (bundle.fd >= 0)
        close(bundle.fd);
    buffer_deinit(&bundle.manifest);
    buffer_deinit(&bundle.counts);
    return outcome;
}
