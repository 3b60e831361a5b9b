/*
 * Lines are sorted by table and id, so that all that is known of an id, on whatever host, stands
 * together. Within such a cluster, lines are paired from the most telling pair to the least: the
 * same line under another host, the same line under another batch, another line of the same row.
 * What is left alone is missing or extra.
 */
#include "reports/verify/differences.h"

#include "core/array.h"
#include "core/cleanup.h"
#include "reports/verify/retained.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define TOLD_MOST 100000
#define MANY      20 /* rows missing of one table, day and host are told as one */

struct differences {
    pthread_mutex_t mutex;
    struct line_difference *lines;
    size_t n_lines, size, most;
    uint64_t n_untold;
    struct difference *told;
    size_t n_told, told_size;
    bool failed;
    differences_partition has_partition;
    void *user;
};

struct cluster {
    struct differences *all;
    struct line_difference *lines;
    bool *used;
    size_t n;
};

int differences_new(struct differences **differencesp, size_t most_lines)
{
    struct differences *differences = calloc(1, sizeof(*differences));
    if (!differences)
        return -ENOMEM;
    differences->most = most_lines;
    pthread_mutex_init(&differences->mutex, NULL);
    *differencesp = differences;
    return 0;
}

struct differences *differences_free(struct differences *differences)
{
    if (differences) {
        pthread_mutex_destroy(&differences->mutex);
        free(differences->lines);
        free(differences->told);
        free(differences);
    }
    return NULL;
}

void differences_add_line(struct differences *differences, const struct line_difference *line)
{
    pthread_mutex_lock(&differences->mutex);
    bool has_room = differences->n_lines < differences->most;
    if (has_room && ARRAY_GROW(differences->lines, differences->n_lines, differences->size)) {
        differences->failed = true;
        has_room = false;
    }
    if (has_room)
        differences->lines[differences->n_lines++] = *line;
    else
        differences->n_untold++;
    pthread_mutex_unlock(&differences->mutex);
}

void differences_add(struct differences *differences, const struct difference *difference)
{
    pthread_mutex_lock(&differences->mutex);
    if (differences->n_told == TOLD_MOST)
        differences->n_untold++;
    else if (ARRAY_GROW(differences->told, differences->n_told, differences->told_size))
        differences->failed = true;
    else
        differences->told[differences->n_told++] = *difference;
    pthread_mutex_unlock(&differences->mutex);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_lines(const void *left, const void *right)
{
    const struct line_difference *a = left, *b = right;
    int order = compare_numbers((uint64_t)a->line.table, (uint64_t)b->line.table);
    if (!order)
        order = compare_numbers(a->line.id, b->line.id);
    if (!order)
        order = compare_numbers(a->line.host_id, b->line.host_id);
    if (!order)
        order = compare_numbers((uint64_t)a->line.verb, (uint64_t)b->line.verb);
    return order ? order : compare_numbers((uint64_t)a->kind, (uint64_t)b->kind);
}

/* --- a cluster: all that is known of one id of one table --- */

static bool is_about(const struct cluster *cluster, size_t i, uint32_t host_id)
{
    return !cluster->used[i] && cluster->lines[i].line.host_id == host_id;
}

static struct difference begin_row(const struct line_difference *from, const char *what)
{
    const struct line_key *line = &from->line;
    return (struct difference){.host_id = line->host_id,
                               .table = catalogue_table(line->table)->name,
                               .has_id = true,
                               .id = line->id,
                               .has_batch = true,
                               .batch = line->batch,
                               .what = what};
}

static void add_verb(struct difference *row, enum verb verb)
{
    const char *name = verb_name(verb);
    size_t length = strlen(row->verb);
    if (!strstr(row->verb, name))
        snprintf(row->verb + length, sizeof(row->verb) - length, "%s%s", length ? "," : "", name);
}

/* All lines of the row that are known are told by this one. */
static void tell_row(struct cluster *cluster, struct difference *row)
{
    for (size_t i = 0; i < cluster->n; i++)
        if (is_about(cluster, i, row->host_id)) {
            cluster->used[i] = true;
            if (cluster->lines[i].kind != ROW_WRONG)
                add_verb(row, cluster->lines[i].line.verb);
            if (cluster->lines[i].is_refused && !*row->detail)
                snprintf(row->detail, sizeof(row->detail), "a refused line, in table rejected");
        }
    differences_add(cluster->all, row);
}

static bool is_same_line(const struct line_key *a, const struct line_key *b)
{
    return a->verb == b->verb && memcmp(a->digest, b->digest, BATCH_DIGEST_SIZE) == 0;
}

/* The line that is extra and the same as the missing one, of another host or another batch. */
static size_t find_again(const struct cluster *cluster, size_t missing, bool other_host)
{
    const struct line_difference *line = &cluster->lines[missing];
    for (size_t i = 0; i < cluster->n; i++) {
        const struct line_difference *extra = &cluster->lines[i];
        if (!cluster->used[i] && extra->kind == LINE_EXTRA &&
            is_same_line(&line->line, &extra->line) &&
            (extra->line.host_id != line->line.host_id) == other_host)
            return i;
    }
    return SIZE_MAX;
}

static void use_host(struct cluster *cluster, uint32_t host_id, enum difference_kind kind)
{
    for (size_t i = 0; i < cluster->n; i++)
        if (cluster->lines[i].line.host_id == host_id && cluster->lines[i].kind == kind)
            cluster->used[i] = true;
}

static void tell_moved(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->n; i++) {
        const struct line_difference *line = &cluster->lines[i];
        if (cluster->used[i] || line->kind != LINE_MISSING || line->row_exists)
            continue;
        size_t again = find_again(cluster, i, true);
        if (again == SIZE_MAX)
            continue;
        uint32_t to = cluster->lines[again].line.host_id;
        struct difference row = begin_row(line, "moved");
        snprintf(row.detail, sizeof(row.detail), "the row stands under host %" PRIu32 " now", to);
        use_host(cluster, to, LINE_EXTRA);
        tell_row(cluster, &row);
    }
}

static void tell_renumbered(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->n; i++) {
        const struct line_difference *line = &cluster->lines[i];
        size_t again = cluster->used[i] || line->kind != LINE_MISSING
                           ? SIZE_MAX
                           : find_again(cluster, i, false);
        if (again == SIZE_MAX)
            continue;
        struct difference row = begin_row(line, "batch number changed");
        snprintf(row.detail, sizeof(row.detail),
                 "sealed in batch %" PRIu64 ", the row says %" PRIu64, line->line.batch,
                 cluster->lines[again].line.batch);
        tell_row(cluster, &row);
    }
}

/* What is there of the row of line @p i. */
static void look_at_row(const struct cluster *cluster, size_t i, bool *missing, bool *extra,
                        bool *exists)
{
    *missing = *extra = *exists = false;
    for (size_t j = 0; j < cluster->n; j++) {
        const struct line_difference *line = &cluster->lines[j];
        if (!is_about(cluster, j, cluster->lines[i].line.host_id))
            continue;
        *missing |= line->kind == LINE_MISSING;
        *extra |= line->kind == LINE_EXTRA && line->line.verb == VERB_INSERT;
        *exists |= line->row_exists || line->kind != LINE_MISSING;
    }
}

static void tell_wrong(struct cluster *cluster, size_t i)
{
    struct difference row = begin_row(&cluster->lines[i], cluster->lines[i].what);
    cluster->used[i] = true;
    differences_add(cluster->all, &row);
}

/* Whether all that is missing of the row may be refused lines, and nothing is extra. */
static bool is_dropped(struct cluster *cluster, size_t i)
{
    uint32_t host_id = cluster->lines[i].line.host_id;
    for (size_t j = 0; j < cluster->n; j++)
        if (is_about(cluster, j, host_id) &&
            (cluster->lines[j].kind != LINE_MISSING || !cluster->lines[j].refused))
            return false;
    for (size_t j = 0; j < cluster->n; j++)
        if (is_about(cluster, j, host_id)) {
            cluster->used[j] = true;
            cluster->lines[j].refused->n_listed++;
        }
    return true;
}

static void tell_rest(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->n; i++) {
        bool missing, extra, exists;
        if (cluster->used[i] || cluster->lines[i].kind == ROW_WRONG)
            continue;
        look_at_row(cluster, i, &missing, &extra, &exists);
        if (is_dropped(cluster, i))
            continue;
        struct difference row = begin_row(&cluster->lines[i], missing && !exists  ? "missing"
                                                              : extra && !missing ? "extra"
                                                                                  : "changed");
        tell_row(cluster, &row);
    }
}

static void conclude_cluster(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->n; i++)
        if (cluster->lines[i].kind == ROW_WRONG)
            tell_wrong(cluster, i);
    tell_moved(cluster);
    tell_renumbered(cluster);
    tell_rest(cluster);
}

int differences_conclude_lines(struct differences *differences)
{
    struct line_difference *lines = differences->lines;
    AUTO_FREE bool *used = calloc(differences->n_lines + 1, sizeof(*used));
    if (!used)
        return -ENOMEM;
    if (differences->n_lines)
        qsort(lines, differences->n_lines, sizeof(*lines), compare_lines);
    for (size_t from = 0, to; from < differences->n_lines; from = to) {
        for (to = from; to < differences->n_lines && lines[to].line.id == lines[from].line.id &&
                        lines[to].line.table == lines[from].line.table;
             to++)
            continue;
        struct cluster cluster = {differences, lines + from, used + from, to - from};
        conclude_cluster(&cluster);
    }
    return 0;
}

/* --- many rows of one day --- */

static int64_t day_of(const struct difference *row)
{
    return row->has_id ? day_of_id(row->id) : 0;
}

static int compare_told(const void *left, const void *right)
{
    const struct difference *a = left, *b = right;
    int order = compare_numbers(a->host_id, b->host_id);
    if (!order)
        order = strcmp(a->table, b->table);
    if (!order)
        order = compare_numbers((uint64_t)day_of(a), (uint64_t)day_of(b));
    if (!order)
        order = strcmp(a->what, b->what);
    if (!order)
        order = compare_numbers(a->id, b->id);
    return order ? order : compare_numbers(a->batch, b->batch);
}

static bool is_of_same_day(const struct difference *a, const struct difference *b)
{
    return a->host_id == b->host_id && a->has_id && b->has_id && day_of(a) == day_of(b) &&
           !strcmp(a->table, b->table) && !strcmp(a->what, b->what);
}

static void day_text(int64_t day, char text[16])
{
    time_t seconds = (time_t)(day * 86400);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || !strftime(text, 16, "%Y-%m-%d", &tm))
        *text = '\0';
}

/* The rows from @p row on, @p n of them, as one. Returns whether they may be told as one. */
static bool join_day(struct differences *differences, struct difference *row, size_t n)
{
    char day[16];
    if (strcmp(row->what, "missing") != 0)
        return false;
    bool there = !differences->has_partition ||
                 differences->has_partition(differences->user, row->table, day_of(row));
    if (there && n < MANY)
        return false;
    day_text(day_of(row), day);
    row->what = there ? "missing" : "partition missing";
    snprintf(row->detail, sizeof(row->detail), "%zu row%s of %s; id and batch are of the first", n,
             n == 1 ? "" : "s", day);
    return true;
}

static void join_days(struct differences *differences)
{
    size_t kept = 0;
    struct difference *told = differences->told;
    for (size_t from = 0, to; from < differences->n_told; from = to) {
        for (to = from + 1; to < differences->n_told && is_of_same_day(&told[from], &told[to]);
             to++)
            continue;
        size_t n = join_day(differences, &told[from], to - from) ? 1 : to - from;
        memmove(&told[kept], &told[from], n * sizeof(*told));
        kept += n;
    }
    differences->n_told = kept;
}

int differences_conclude(struct differences *differences, differences_partition has_partition,
                         void *user)
{
    differences->has_partition = has_partition;
    differences->user = user;
    if (differences->failed)
        return -ENOMEM;
    if (differences->n_told)
        qsort(differences->told, differences->n_told, sizeof(*differences->told), compare_told);
    join_days(differences);
    return 0;
}

size_t differences_n(const struct differences *differences)
{
    return differences->n_told;
}

const struct difference *differences_at(const struct differences *differences, size_t i)
{
    return &differences->told[i];
}

uint64_t differences_n_untold(const struct differences *differences)
{
    return differences->n_untold;
}
