/* The three forms of a tree. libsmartcols draws it for people: a line for a process, and one for
 * each endpoint below it. JSON has children within their parents; CSV has a line for each process
 * or endpoint with the depth, in the same order. */
#include "core/cleanup.h"
#include "reports/output/json_text.h"
#include "reports/output/output.h"
#include "reports/output/safe_text.h"
#include "reports/tree/tree.h"

#include <inttypes.h>
#include <libsmartcols.h>

#define ENDPOINT_LINES 20  /* below one process */
#define COMMAND_SHOWN  400 /* bytes of a command in a table */

enum {
    COLUMN_PID,
    COLUMN_LOGIN,
    COLUMN_USER,
    COLUMN_BEGIN,
    COLUMN_LIFETIME,
    COLUMN_EXIT,
    COLUMN_COMMAND,
    COLUMNS
};

static void append_lifetime(struct buffer *to, uint64_t us)
{
    uint64_t s = us / 1000000;
    if (s >= 86400)
        buffer_printf(to, "%" PRIu64 "d %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 86400,
                      s / 3600 % 24, s / 60 % 60, s % 60);
    else if (s >= 60)
        buffer_printf(to, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60, s % 60);
    else
        buffer_printf(to, "%" PRIu64 ".%06" PRIu64 " s", s, us % 1000000);
}

static void append_end(struct buffer *to, const struct tree_node *node)
{
    struct slice cause = node->fields[TREE_END_CAUSE], number = node->fields[TREE_EXIT_SIGNAL];
    if (slice_is_null(node->fields[TREE_DESTROYED_AT]))
        buffer_append_text(to, "lives");
    else if (!slice_is_null(number) && inquiry_u64(number))
        buffer_printf(to, "signal %" PRIu64, inquiry_u64(number));
    else if (!slice_is_null(node->fields[TREE_EXIT_CODE]))
        buffer_append_slice(to, node->fields[TREE_EXIT_CODE]);
    else
        buffer_append_slice(to, cause);
}

static struct slice first_of(struct slice name, struct slice number)
{
    return slice_is_null(name) ? number : name;
}

static void append_user(struct buffer *to, const struct tree_node *node)
{
    struct slice user = first_of(node->fields[TREE_USERNAME], node->fields[TREE_UID]);
    struct slice effective = node->fields[TREE_EFFECTIVE_USERNAME];
    safe_text_append(to, user);
    if (effective.length && !slice_equal(effective, node->fields[TREE_USERNAME])) {
        buffer_append_text(to, " as ");
        safe_text_append(to, effective);
    }
}

static void append_login(struct buffer *to, const struct tree_node *node)
{
    struct slice login = first_of(node->fields[TREE_LOGIN_USERNAME], node->fields[TREE_LOGIN_UID]);
    safe_text_append(to, slice_is_null(login) ? slice_text("unset") : login);
}

static void append_command(struct buffer *to, const struct tree_node *node)
{
    struct slice command = first_of(node->fields[TREE_COMMAND], slice_text("?"));
    size_t shown = command.length < COMMAND_SHOWN ? command.length : COMMAND_SHOWN;
    while (shown && shown < command.length && (command.data[shown] & 0xc0) == 0x80)
        shown--; /* not within a character */
    buffer_append_text(to, node->asked_for ? "* " : "");
    safe_text_append(to, slice_of(command.data, shown));
    if (shown < command.length)
        buffer_append_text(to, " ... (more with --format json)");
}

static void append_endpoint(struct buffer *to, const struct tree_endpoint *endpoint)
{
    struct slice direction = endpoint->fields[TREE_DIRECTION];
    struct slice status = endpoint->fields[TREE_STATUS];
    uint64_t n = inquiry_u64(endpoint->fields[TREE_COUNT]);
    bool listens = slice_is(direction, "listen");
    buffer_append_text(to, listens                        ? "listens on "
                           : slice_is(direction, "in")    ? "from "
                           : slice_is(direction, "local") ? "bound to "
                                                          : "to ");
    safe_text_append(to, first_of(endpoint->fields[TREE_PROTOCOL], slice_text("?")));
    buffer_append_byte(to, ' ');
    safe_text_append(to,
                     first_of(first_of(endpoint->fields[TREE_LOCAL], endpoint->fields[TREE_REMOTE]),
                              slice_text("?")));
    if (endpoint->fields[TREE_REMOTE_NAME].length) {
        buffer_append_text(to, " ");
        safe_text_append(to, endpoint->fields[TREE_REMOTE_NAME]);
    }
    if (n > 1)
        buffer_printf(to, ", %" PRIu64 " times", n);
    if (slice_is(status, "failed") || slice_is(status, "refused")) {
        buffer_append_text(to, ", ");
        buffer_append_slice(to, status);
    }
    if (!slice_is_null(endpoint->fields[TREE_SENT]))
        buffer_printf(to, ", sent %" PRIu64 " bytes", inquiry_u64(endpoint->fields[TREE_SENT]));
    if (!slice_is_null(endpoint->fields[TREE_RECEIVED]))
        buffer_printf(to, ", received %" PRIu64 " bytes",
                      inquiry_u64(endpoint->fields[TREE_RECEIVED]));
}

/* The table */

#define OTHERS_WIDTH  68 /* about what the columns before the program need */
#define COMMAND_LEAST 40 /* characters of a line in which a folded command can be read */

struct drawing {
    struct libscols_table *table;
    size_t deepest;
    struct libscols_line **lines; /* of the nodes at each depth, from the root to the one at hand */
    size_t n_lines;
    const struct options *options;
    struct buffer cell;
};

static int add_columns(struct libscols_table *table)
{
    static const struct {
        const char *name;
        int flags;
    } columns[COLUMNS] = {
        [COLUMN_PID] = {"pid",        SCOLS_FL_RIGHT               },
        [COLUMN_LOGIN] = {"login_user", 0                            },
        [COLUMN_USER] = {"user",       0                            },
        [COLUMN_BEGIN] = {"begin",      0                            },
        [COLUMN_LIFETIME] = {"lifetime",   SCOLS_FL_RIGHT               },
        [COLUMN_EXIT] = {"exit",       0                            },
        [COLUMN_COMMAND] = {"program",    SCOLS_FL_TREE | SCOLS_FL_WRAP},
    };
    for (size_t i = 0; i < COLUMNS; i++) {
        struct libscols_column *column =
            scols_table_new_column(table, columns[i].name, 0.1, columns[i].flags);
        if (!column || scols_column_set_safechars(column, "\\"))
            return -ENOMEM;
    }
    return 0;
}

static int set_cell(struct drawing *drawing, struct libscols_line *line, size_t column)
{
    buffer_append_byte(&drawing->cell, '\0');
    int error = drawing->cell.failed
                    ? -ENOMEM
                    : scols_line_set_data(line, column, (const char *)drawing->cell.data);
    buffer_clear(&drawing->cell);
    return error;
}

static int draw_endpoints(struct drawing *drawing, const struct tree_node *node,
                          struct libscols_line *parent)
{
    size_t n = 0;
    for (const struct tree_endpoint *at = node->endpoints; at; at = at->next, n++) {
        if (n >= ENDPOINT_LINES)
            continue;
        struct libscols_line *line = scols_table_new_line(drawing->table, parent);
        append_endpoint(&drawing->cell, at);
        if (!line || set_cell(drawing, line, COLUMN_COMMAND))
            return -ENOMEM;
    }
    if (n <= ENDPOINT_LINES)
        return 0;
    struct libscols_line *line = scols_table_new_line(drawing->table, parent);
    buffer_printf(&drawing->cell, "... and %zu more endpoints (all with --format json)",
                  n - ENDPOINT_LINES);
    return line ? set_cell(drawing, line, COLUMN_COMMAND) : -ENOMEM;
}

static int draw_cells(struct drawing *drawing, const struct tree_node *node,
                      struct libscols_line *line)
{
    struct buffer *cell = &drawing->cell;
    int error = 0;
    for (size_t column = 0; column < COLUMNS && !error; column++) {
        switch (column) {
        case COLUMN_PID:
            buffer_append_slice(cell, node->fields[TREE_PID]);
            break;
        case COLUMN_LOGIN:
            append_login(cell, node);
            break;
        case COLUMN_USER:
            append_user(cell, node);
            break;
        case COLUMN_BEGIN:
            inquiry_append_moment(cell, drawing->options, node->fields[TREE_CREATED_AT]);
            break;
        case COLUMN_LIFETIME:
            append_lifetime(cell, inquiry_u64(node->fields[TREE_LIFETIME_US]));
            break;
        case COLUMN_EXIT:
            append_end(cell, node);
            break;
        default:
            append_command(cell, node);
        }
        error = set_cell(drawing, line, column);
    }
    return error;
}

static int draw_node(struct drawing *drawing, const struct tree_node *node)
{
    if (node->depth >= drawing->n_lines) {
        size_t n = node->depth * 2 + 64;
        void *lines = reallocarray(drawing->lines, n, sizeof(struct libscols_line *));
        if (!lines)
            return -ENOMEM;
        drawing->lines = lines;
        drawing->n_lines = n;
    }
    struct libscols_line *parent = node->depth ? drawing->lines[node->depth - 1] : NULL;
    struct libscols_line *line = scols_table_new_line(drawing->table, parent);
    if (!line)
        return -ENOMEM;
    drawing->lines[node->depth] = line;
    if (node->depth > drawing->deepest)
        drawing->deepest = node->depth;
    int error = draw_cells(drawing, node, line);
    return error ? error : draw_endpoints(drawing, node, line);
}

/* libsmartcols folds, and would put what is deep in a narrow terminal into a word a line: then the
 * terminal folds better. */
static int draw_table(const struct drawing *drawing)
{
    size_t needed = OTHERS_WIDTH + 2 * drawing->deepest + COMMAND_LEAST;
    if (scols_table_get_termwidth(drawing->table) < needed)
        scols_table_set_termforce(drawing->table, SCOLS_TERMFORCE_NEVER);
    return scols_print_table(drawing->table);
}

static int print_table(const struct tree *tree, const struct options *options, size_t *n)
{
    struct drawing drawing = {.table = scols_new_table(), .options = options};
    int error = drawing.table ? add_columns(drawing.table) : -ENOMEM;
    for (const struct tree_node *node = NULL; !error && (node = tree_next(tree, node)); ++*n)
        error = draw_node(&drawing, node);
    if (!error && *n && draw_table(&drawing) && !ferror(stdout))
        error = -ENOMEM;
    scols_unref_table(drawing.table);
    free(drawing.lines);
    buffer_deinit(&drawing.cell);
    return error;
}

/* JSON and CSV */

static const struct {
    const char *name;
    enum tree_field field;
    enum output_kind kind;
} values_of_node[] = {
    {"pid",                TREE_PID,                OUTPUT_NUMBER},
    {"ppid",               TREE_PPID,               OUTPUT_NUMBER},
    {"login_uid",          TREE_LOGIN_UID,          OUTPUT_NUMBER},
    {"login_username",     TREE_LOGIN_USERNAME,     OUTPUT_TEXT  },
    {"uid",                TREE_UID,                OUTPUT_NUMBER},
    {"username",           TREE_USERNAME,           OUTPUT_TEXT  },
    {"effective_username", TREE_EFFECTIVE_USERNAME, OUTPUT_TEXT  },
    {"session_id",         TREE_SESSION_ID,         OUTPUT_NUMBER},
    {"created_at",         TREE_CREATED_AT,         OUTPUT_TEXT  },
    {"destroyed_at",       TREE_DESTROYED_AT,       OUTPUT_TEXT  },
    {"lifetime_us",        TREE_LIFETIME_US,        OUTPUT_NUMBER},
    {"end_cause",          TREE_END_CAUSE,          OUTPUT_TEXT  },
    {"exit_code",          TREE_EXIT_CODE,          OUTPUT_NUMBER},
    {"exit_signal",        TREE_EXIT_SIGNAL,        OUTPUT_NUMBER},
    {"comm",               TREE_COMM,               OUTPUT_TEXT  },
    {"exe",                TREE_EXE,                OUTPUT_TEXT  },
    {"command",            TREE_COMMAND,            OUTPUT_TEXT  },
    {"command_length",     TREE_COMMAND_LENGTH,     OUTPUT_NUMBER},
};

static const struct {
    const char *name;
    enum tree_endpoint_field field;
    enum output_kind kind;
} values_of_endpoint[] = {
    {"protocol",       TREE_PROTOCOL,    OUTPUT_TEXT  },
    {"direction",      TREE_DIRECTION,   OUTPUT_TEXT  },
    {"status",         TREE_STATUS,      OUTPUT_TEXT  },
    {"local",          TREE_LOCAL,       OUTPUT_TEXT  },
    {"remote",         TREE_REMOTE,      OUTPUT_TEXT  },
    {"remote_name",    TREE_REMOTE_NAME, OUTPUT_TEXT  },
    {"count",          TREE_COUNT,       OUTPUT_NUMBER},
    {"bytes_sent",     TREE_SENT,        OUTPUT_NUMBER},
    {"bytes_received", TREE_RECEIVED,    OUTPUT_NUMBER},
};

enum {
    N_NODE = sizeof(values_of_node) / sizeof(values_of_node[0]),
    N_ENDPOINT = sizeof(values_of_endpoint) / sizeof(values_of_endpoint[0])
};

/* Moments in the zone asked for; what it points to lives until the next call with this buffer. */
static struct slice shown(const struct tree_node *node, enum tree_field field,
                          const struct options *options, struct buffer *moment)
{
    struct slice value = node->fields[field];
    if (slice_is_null(value) || (field != TREE_CREATED_AT && field != TREE_DESTROYED_AT))
        return value;
    buffer_clear(moment);
    inquiry_append_moment(moment, options, value);
    return buffer_slice(moment);
}

static void append_member(struct buffer *to, const char *before, const char *name,
                          enum output_kind kind, struct slice value)
{
    buffer_printf(to, "%s\"%s\": ", before, name);
    json_append_value(to, kind == OUTPUT_NUMBER, value);
}

static void append_json_node(struct buffer *to, const struct tree_node *node,
                             const struct options *options)
{
    struct buffer moment = BUFFER_NULL;
    buffer_printf(to, "{\"row_id\": %" PRIu64 ", \"asked_for\": %s", node->id,
                  node->asked_for ? "true" : "false");
    for (size_t i = 0; i < N_NODE; i++)
        append_member(to, ", ", values_of_node[i].name, values_of_node[i].kind,
                      shown(node, values_of_node[i].field, options, &moment));
    buffer_append_text(to, ", \"endpoints\": [");
    for (const struct tree_endpoint *at = node->endpoints; at; at = at->next) {
        append_member(to, at == node->endpoints ? "{" : ", {", "row_id", OUTPUT_NUMBER,
                      at->fields[TREE_ENDPOINT_ID]);
        for (size_t i = 0; i < N_ENDPOINT; i++)
            append_member(to, ", ", values_of_endpoint[i].name, values_of_endpoint[i].kind,
                          at->fields[values_of_endpoint[i].field]);
        buffer_append_byte(to, '}');
    }
    buffer_append_text(to, "], \"children\": [");
    to->failed |= moment.failed;
    buffer_deinit(&moment);
}

/* Each node opens a list of children, which the next one that is not below it closes. */
static int print_json(const struct tree *tree, const struct options *options, size_t *n)
{
    struct buffer line = BUFFER_NULL;
    size_t open = 0;
    fputs("{\"processes\": [", stdout);
    for (const struct tree_node *node = NULL; (node = tree_next(tree, node)); ++*n) {
        const char *before = *n && node->depth < open ? "," : "";
        for (; open > node->depth; open--)
            buffer_append_text(&line, "]}");
        buffer_printf(&line, "%s\n", before);
        for (size_t i = 0; i < node->depth && i < 100; i++)
            buffer_append_text(&line, "  ");
        append_json_node(&line, node, options);
        open++;
        if (line.failed)
            break;
        if (fwrite(line.data, 1, line.length, stdout) != line.length)
            break;
        buffer_clear(&line);
    }
    for (; open && !line.failed; open--)
        fputs("]}", stdout);
    fputs(line.failed ? "" : "\n]}\n", stdout);
    int error = line.failed ? -ENOMEM : 0;
    buffer_deinit(&line);
    return error;
}

static void csv_columns(struct output_column columns[4 + N_NODE + N_ENDPOINT])
{
    columns[0] = (struct output_column){"depth", OUTPUT_NUMBER, NULL};
    columns[1] = (struct output_column){"kind", OUTPUT_TEXT, NULL};
    columns[2] = (struct output_column){"row_id", OUTPUT_NUMBER, NULL};
    columns[3] = (struct output_column){"process_id", OUTPUT_NUMBER, NULL};
    for (size_t i = 0; i < N_NODE; i++)
        columns[4 + i] =
            (struct output_column){values_of_node[i].name, values_of_node[i].kind, NULL};
    for (size_t i = 0; i < N_ENDPOINT; i++)
        columns[4 + N_NODE + i] =
            (struct output_column){values_of_endpoint[i].name, values_of_endpoint[i].kind, NULL};
}

static int write_csv_node(struct output *output, const struct tree_node *node,
                          const struct options *options)
{
    struct slice values[4 + N_NODE + N_ENDPOINT] = {0};
    struct buffer depth = BUFFER_NULL, moments[N_NODE] = {0};
    buffer_append_u64(&depth, node->depth);
    values[0] = buffer_slice(&depth);
    values[1] = slice_text("process");
    values[2] = values[3] = node->fields[TREE_ID];
    for (size_t i = 0; i < N_NODE; i++)
        values[4 + i] = shown(node, values_of_node[i].field, options, &moments[i]);
    int error = output_row(output, values);
    for (size_t i = 0; i < N_NODE; i++) {
        values[4 + i] = SLICE_NULL;
        buffer_deinit(&moments[i]);
    }
    buffer_clear(&depth);
    buffer_append_u64(&depth, node->depth + 1);
    values[0] = buffer_slice(&depth);
    values[1] = slice_text("endpoint");
    for (const struct tree_endpoint *at = node->endpoints; at && !error; at = at->next) {
        values[2] = at->fields[TREE_ENDPOINT_ID];
        for (size_t i = 0; i < N_ENDPOINT; i++)
            values[4 + N_NODE + i] = at->fields[values_of_endpoint[i].field];
        error = output_row(output, values);
    }
    buffer_deinit(&depth);
    return error;
}

static int print_csv(const struct tree *tree, const struct options *options, size_t *n)
{
    struct output_column columns[4 + N_NODE + N_ENDPOINT];
    struct output *output;
    csv_columns(columns);
    int error = output_new(&output, OUTPUT_CSV, stdout, columns, 4 + N_NODE + N_ENDPOINT);
    if (error)
        return error;
    for (const struct tree_node *node = NULL; !error && (node = tree_next(tree, node)); ++*n)
        error = write_csv_node(output, node, options);
    if (!error)
        error = output_finish(output);
    output_free(output);
    return error;
}

int tree_print(const struct tree *tree, const struct options *options, size_t *n,
               struct error_text *error)
{
    *n = 0;
    int outcome = options->format == OUTPUT_TABLE  ? print_table(tree, options, n)
                  : options->format == OUTPUT_JSON ? print_json(tree, options, n)
                                                   : print_csv(tree, options, n);
    if (outcome)
        return error_set(error, outcome, "the tree cannot be written: %s", strerror(-outcome));
    return inquiry_flush("the tree", error);
}
