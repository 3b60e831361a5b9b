/* Rows are asked for in the order of their beginning, so that a limit takes away the youngest and a
 * tree never lacks its upper part. Who is below whom: an image below the one it replaced, else
 * below the row that forked it. At one moment that row may be an image that is gone by exec: then
 * the living process with its pid, if that is old enough to be the parent. */
#include "reports/tree/tree.h"
#include "core/array.h"
#include "core/cleanup.h"

#include <stdlib.h>

#define COMMAND_MOST   "4096" /* characters that are asked for; more is said, not shown */
#define ANCESTORS_MOST 1000

#define COMMAND "COALESCE(p.cmdline, p.exe, CONCAT('[', p.comm, ']'))"
#define FIELDS                                                                                     \
    "p.id, p.pid, p.ppid, p.parent_id, p.previous_id, p.start_ticks, p.created_at, "               \
    "p.destroyed_at, p.end_cause, p.exit_code, p.exit_signal, p.comm, p.exe, LEFT(" COMMAND        \
    ", " COMMAND_MOST "), IF(CHAR_LENGTH(" COMMAND ") > " COMMAND_MOST ", CHAR_LENGTH(" COMMAND    \
    "), NULL), p.login_uid, p.login_username, p.uid, p.username, p.effective_username, "           \
    "p.session_id, TIMESTAMPDIFF(MICROSECOND, p.created_at, COALESCE(p.destroyed_at, :now)), "     \
    "p.destroyed_at < :since"

/* clang-format off */
#define ENDPOINT_ADDRESS(address, port)                                                            \
    "CONCAT(IF(LOCATE(':', " address "), CONCAT('[', " address ", ']'), " address                  \
    "), COALESCE(CONCAT(':', " port "), ''))"
#define ENDPOINT_LOCAL  ENDPOINT_ADDRESS("e.local_address", "e.local_port")
#define ENDPOINT_REMOTE ENDPOINT_ADDRESS("e.remote_address", "e.remote_port")
#define ENDPOINT_FIELDS                                                                            \
    "e.process_id, MIN(e.pid), MIN(e.id), e.protocol, e.direction, e.status, "                     \
    "IF(e.direction IN ('listen', 'local'), COALESCE(" ENDPOINT_LOCAL                              \
    ", e.local_name), NULL) AS local, " ENDPOINT_REMOTE                                            \
    " AS remote, e.remote_name, COUNT(*), SUM(e.bytes_sent), SUM(e.bytes_received)"
/* clang-format on */
#define ENDPOINT_GROUPS                                                                            \
    " GROUP BY e.process_id, e.protocol, e.direction, e.status, local, remote, e.remote_name"      \
    " ORDER BY e.process_id, e.direction, e.protocol, local, remote, e.remote_name LIMIT "         \
    ":endpoint_limit"

void tree_deinit(struct tree *tree)
{
    for (size_t i = 0; i < tree->n; i++) {
        for (struct tree_endpoint *endpoint = tree->nodes[i]->endpoints, *next; endpoint;
             endpoint = next) {
            next = endpoint->next;
            free(endpoint);
        }
        free(tree->nodes[i]);
    }
    free(tree->nodes);
    *tree = (struct tree){0};
}

/* @p size bytes with the text of @p values behind them, and @p fields pointing there. */
static void *copy_row(size_t size, size_t fields_at, const struct slice *values, size_t n)
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++)
        length += values[i].length;
    uint8_t *copy = calloc(1, size + length + 1);
    if (!copy)
        return NULL;
    struct slice *fields = (struct slice *)(void *)(copy + fields_at);
    uint8_t *text = copy + size;
    for (size_t i = 0; i < n; i++) {
        if (slice_is_null(values[i]))
            continue;
        memcpy(text, values[i].data, values[i].length);
        fields[i] = slice_of(text, values[i].length);
        text += values[i].length;
    }
    return copy;
}

static struct tree_node *add_node(struct tree *tree, const struct slice *values)
{
    if (ARRAY_GROW(tree->nodes, tree->n, tree->capacity))
        return NULL;
    struct tree_node *node =
        copy_row(sizeof(*node), offsetof(struct tree_node, fields), values, TREE_FIELDS);
    if (!node)
        return NULL;
    node->id = inquiry_u64(values[TREE_ID]);
    tree->nodes[tree->n++] = node;
    return node;
}

static int read_nodes(struct tree *tree, struct inquiry *inquiry, const char *sql)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *values;
    inquiry_set_number(inquiry, "row_limit", tree->limit - tree->n + 1);
    int outcome = inquiry_ask(inquiry, &statement, sql, "ask for processes");
    if (outcome)
        return outcome;
    while ((outcome = statement_next(statement, &values, inquiry->error)) == STATEMENT_ROW) {
        if (tree->n >= tree->limit) {
            tree->is_cut = true;
            return 0;
        }
        if (!add_node(tree, values))
            return error_set(inquiry->error, -ENOMEM, "out of memory");
    }
    return outcome;
}

int tree_ask_alive(struct tree *tree, struct inquiry *inquiry)
{
    return read_nodes(tree, inquiry,
                      "SELECT " FIELDS " FROM process p WHERE p.host_id = :host_id AND p.day <= "
                      ":at_day AND p.created_at <= :at AND (p.destroyed_at IS NULL OR "
                      "p.destroyed_at > :at) ORDER BY p.created_at, p.id LIMIT :row_limit");
}

/* One row by its key. *nodep is NULL when there is none. */
static int read_one(struct tree *tree, struct inquiry *inquiry, uint64_t id,
                    struct tree_node **nodep)
{
    size_t before = tree->n;
    inquiry_set_number(inquiry, "id", id);
    inquiry_set_day(inquiry, "id_day", (int64_t)id);
    int outcome = read_nodes(tree, inquiry,
                             "SELECT " FIELDS " FROM process p WHERE p.host_id = :host_id AND p.id "
                             "= :id AND p.day = :id_day LIMIT :row_limit");
    *nodep = tree->n > before ? tree->nodes[before] : NULL;
    return outcome;
}

static uint64_t upward(const struct tree_node *node)
{
    bool replaced = !slice_is_null(node->fields[TREE_PREVIOUS_ID]);
    return inquiry_u64(node->fields[replaced ? TREE_PREVIOUS_ID : TREE_PARENT_ID]);
}

static bool is_there(const struct tree *tree, uint64_t id)
{
    for (size_t i = 0; i < tree->n; i++)
        if (tree->nodes[i]->id == id)
            return true;
    return false;
}

/* From any image of the process up to where nothing is known. *firstp: its first image. */
static int ask_ancestors(struct tree *tree, struct inquiry *inquiry, uint64_t id,
                         struct tree_node **firstp)
{
    struct tree_node *node = NULL;
    bool same_process = true;
    *firstp = NULL;
    for (int i = 0; id && i < ANCESTORS_MOST && !is_there(tree, id); i++) {
        int outcome = read_one(tree, inquiry, id, &node);
        if (outcome || !node)
            return outcome;
        if (same_process) {
            *firstp = node;
            node->asked_for = true;
            same_process = !slice_is_null(node->fields[TREE_PREVIOUS_ID]);
        }
        node->kept = true;
        id = upward(node);
    }
    return 0;
}

/* The successor of an image begins at the moment at which the exec ended that one, so that the key
 * of beginnings finds it; among the children of its parent it would be one of very many. */
static const char descendants[] =
    "WITH RECURSIVE below (id, ended_at, end_cause) AS ("
    "SELECT id, destroyed_at, end_cause FROM process WHERE host_id = :host_id AND id = :id "
    "AND day = :id_day "
    "UNION SELECT p.id, p.destroyed_at, p.end_cause FROM below b STRAIGHT_JOIN process p "
    "FORCE INDEX (parent) ON p.host_id = :host_id AND p.parent_id = b.id AND p.day >= :id_day "
    "AND p.created_at <= :until "
    "UNION SELECT p.id, p.destroyed_at, p.end_cause FROM below b STRAIGHT_JOIN process p "
    "FORCE INDEX (created) ON p.host_id = :host_id AND p.created_at = b.ended_at "
    "AND p.previous_id = b.id AND p.day >= :id_day AND p.created_at <= :until "
    "WHERE b.end_cause = 'exec') "
    "SELECT " FIELDS " FROM below JOIN process p ON p.host_id = :host_id AND p.id = below.id "
    "AND p.day = DATE('1970-01-01' + INTERVAL below.id DIV 1000000 SECOND) "
    "WHERE p.id NOT IN (SELECT id FROM process WHERE host_id = :host_id AND id = :id AND day = "
    ":id_day) ORDER BY p.created_at, p.id LIMIT :row_limit";

static int by_id(const void *a, const void *b)
{
    uint64_t left = (*(struct tree_node *const *)a)->id,
             right = (*(struct tree_node *const *)b)->id;
    return (left > right) - (left < right);
}

static int by_beginning(const void *a, const void *b)
{
    struct slice left = (*(struct tree_node *const *)a)->fields[TREE_CREATED_AT];
    struct slice right = (*(struct tree_node *const *)b)->fields[TREE_CREATED_AT];
    size_t shorter = left.length < right.length ? left.length : right.length;
    int order = memcmp(left.data, right.data, shorter);
    return order ? order : by_id(a, b);
}

/* An image that was asked for is found again among the descendants of the first. */
static void drop_doubles(struct tree *tree)
{
    size_t kept = 0;
    qsort(tree->nodes, tree->n, sizeof(*tree->nodes), by_id);
    for (size_t i = 0; i < tree->n; i++) {
        if (kept && tree->nodes[kept - 1]->id == tree->nodes[i]->id) {
            tree->nodes[kept - 1]->asked_for |= tree->nodes[i]->asked_for;
            tree->nodes[kept - 1]->kept |= tree->nodes[i]->kept;
            free(tree->nodes[i]);
        } else {
            tree->nodes[kept++] = tree->nodes[i];
        }
    }
    tree->n = kept;
}

int tree_ask_around(struct tree *tree, struct inquiry *inquiry, uint64_t id)
{
    struct tree_node *first;
    int outcome = ask_ancestors(tree, inquiry, id, &first);
    if (outcome || !first)
        return outcome;
    inquiry_set_number(inquiry, "id", first->id);
    inquiry_set_day(inquiry, "id_day", (int64_t)first->id);
    outcome = read_nodes(tree, inquiry, descendants);
    if (!outcome)
        drop_doubles(tree);
    return outcome;
}

/* Links */

static struct tree_node *find(struct tree_node *const *sorted, size_t n, struct slice id)
{
    struct tree_node wanted = {.id = inquiry_u64(id)}, *key = &wanted;
    if (slice_is_null(id) || !n)
        return NULL;
    struct tree_node *const *found = bsearch(&key, sorted, n, sizeof(*sorted), by_id);
    return found ? *found : NULL;
}

static struct tree_node *find_by_pid(const struct tree *tree, const struct tree_node *child)
{
    struct slice ppid = child->fields[TREE_PPID], ticks = child->fields[TREE_START_TICKS];
    if (slice_is_null(ppid) || slice_is_null(ticks))
        return NULL;
    for (size_t i = 0; i < tree->n; i++) {
        struct tree_node *node = tree->nodes[i];
        if (node != child && slice_equal(node->fields[TREE_PID], ppid) &&
            !slice_is_null(node->fields[TREE_START_TICKS]) &&
            inquiry_u64(node->fields[TREE_START_TICKS]) <= inquiry_u64(ticks))
            return node;
    }
    return NULL;
}

/* Rows may say anything: a circle would be a tree without an end. */
static bool is_above(const struct tree_node *node, const struct tree_node *other)
{
    for (; other; other = other->parent)
        if (other == node)
            return true;
    return false;
}

static void hang(struct tree *tree, struct tree_node *node, struct tree_node *parent)
{
    struct tree_node **last = parent ? &parent->last_child : &tree->last_root;
    struct tree_node **first = parent ? &parent->first_child : &tree->first_root;
    if (*last)
        (*last)->next = node;
    else
        *first = node;
    *last = node;
}

static bool is_wanted(const struct tree_node *node, const struct inquiry *inquiry)
{
    struct slice login = node->fields[TREE_LOGIN_UID];
    if (!inquiry->any_login && slice_is_null(login) == inquiry->has_login_uid)
        return false;
    if (!inquiry->any_login && inquiry->has_login_uid && inquiry_u64(login) != inquiry->login_uid)
        return false;
    return !inquiry_u64(node->fields[TREE_IS_EARLIER]);
}

static void set_depths(struct tree *tree)
{
    for (const struct tree_node *node = NULL; (node = tree_next(tree, node));)
        ((struct tree_node *)(uintptr_t)node)->depth = node->parent ? node->parent->depth + 1 : 0;
}

int tree_link(struct tree *tree, const struct inquiry *inquiry)
{
    if (!tree->n)
        return 0;
    AUTO_FREE struct tree_node **sorted = calloc(tree->n, sizeof(struct tree_node *));
    if (!sorted)
        return error_set(inquiry->error, -ENOMEM, "out of memory");
    qsort(tree->nodes, tree->n, sizeof(*tree->nodes), by_beginning);
    memcpy(sorted, tree->nodes, tree->n * sizeof(*sorted));
    qsort(sorted, tree->n, sizeof(*sorted), by_id);
    for (size_t i = 0; i < tree->n; i++) {
        struct tree_node *node = tree->nodes[i];
        struct tree_node *parent = find(sorted, tree->n, node->fields[TREE_PREVIOUS_ID]);
        if (!parent)
            parent = find(sorted, tree->n, node->fields[TREE_PARENT_ID]);
        if (!parent)
            parent = find_by_pid(tree, node);
        node->parent = parent && !is_above(node, parent) ? parent : NULL;
        if (is_wanted(node, inquiry))
            node->kept = true;
    }
    for (size_t i = 0; i < tree->n; i++)
        hang(tree, tree->nodes[i], tree->nodes[i]->parent);
    for (size_t i = 0; i < tree->n; i++)
        if (tree->nodes[i]->kept)
            for (struct tree_node *up = tree->nodes[i]->parent; up && !up->kept; up = up->parent)
                up->kept = true;
    set_depths(tree);
    return 0;
}

static const struct tree_node *first_kept(const struct tree_node *node)
{
    while (node && !node->kept)
        node = node->next;
    return node;
}

const struct tree_node *tree_next(const struct tree *tree, const struct tree_node *node)
{
    const struct tree_node *next = first_kept(node ? node->first_child : tree->first_root);
    for (; !next && node; node = node->parent)
        next = first_kept(node->next);
    return next;
}

/* Endpoints */

static struct tree_node *owner_of(struct tree *tree, const struct slice *values)
{
    uint64_t id = inquiry_u64(values[TREE_ENDPOINT_PROCESS_ID]);
    struct tree_node *by_pid = NULL;
    for (size_t i = 0; i < tree->n; i++) {
        if (tree->nodes[i]->id == id)
            return tree->nodes[i];
        if (slice_equal(tree->nodes[i]->fields[TREE_PID], values[TREE_ENDPOINT_PID]))
            by_pid = tree->nodes[i];
    }
    return by_pid;
}

static int add_endpoint(struct tree *tree, struct tree_node *node, const struct slice *values)
{
    struct tree_endpoint *endpoint = copy_row(
        sizeof(*endpoint), offsetof(struct tree_endpoint, fields), values, TREE_ENDPOINT_FIELDS);
    if (!endpoint)
        return -ENOMEM;
    if (node->last_endpoint)
        node->last_endpoint->next = endpoint;
    else
        node->endpoints = endpoint;
    node->last_endpoint = endpoint;
    tree->n_endpoints++;
    return 0;
}

static int read_endpoints(struct tree *tree, struct inquiry *inquiry, const char *sql)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *values;
    inquiry_set_number(inquiry, "endpoint_limit", TREE_ENDPOINTS_MOST - tree->n_endpoints + 1);
    int outcome = inquiry_ask(inquiry, &statement, sql, "ask for endpoints");
    if (outcome)
        return outcome;
    while ((outcome = statement_next(statement, &values, inquiry->error)) == STATEMENT_ROW) {
        struct tree_node *node = owner_of(tree, values);
        if (!node || !node->kept)
            continue;
        tree->endpoints_cut = tree->n_endpoints >= TREE_ENDPOINTS_MOST;
        if (tree->endpoints_cut)
            return 0;
        if (add_endpoint(tree, node, values))
            return error_set(inquiry->error, -ENOMEM, "out of memory");
    }
    return outcome;
}

int tree_ask_endpoints_alive(struct tree *tree, struct inquiry *inquiry)
{
    return read_endpoints(
        tree, inquiry,
        "SELECT " ENDPOINT_FIELDS
        " FROM endpoint e WHERE e.host_id = :host_id AND e.day <= :at_day "
        "AND e.created_at <= :at AND (e.destroyed_at IS NULL OR e.destroyed_at > :at) "
        "AND e.process_id IS NOT NULL" ENDPOINT_GROUPS);
}

/* Names of values are :p0, :p1 ...; they live as long as the inquiry. */
static const char *const id_names[] = {
    "p0", "p1", "p2",  "p3",  "p4",  "p5",  "p6",  "p7",
    "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15",
};

enum { N_IDS = sizeof(id_names) / sizeof(id_names[0]) };

int tree_ask_endpoints_of_all(struct tree *tree, struct inquiry *inquiry)
{
    static const char sql[] =
        "SELECT " ENDPOINT_FIELDS " FROM endpoint e WHERE e.host_id = :host_id AND e.process_id IN "
        "(:p0, :p1, :p2, :p3, :p4, :p5, :p6, :p7, :p8, :p9, :p10, :p11, :p12, :p13, :p14, :p15) "
        "AND e.created_at <= :until" ENDPOINT_GROUPS;
    int outcome = 0;
    for (size_t i = 0; i < tree->n && !outcome && !tree->endpoints_cut; i += N_IDS) {
        for (size_t j = 0; j < N_IDS; j++)
            if (i + j < tree->n)
                inquiry_set_number(inquiry, id_names[j], tree->nodes[i + j]->id);
            else
                inquiry_set_null(inquiry, id_names[j]);
        outcome = read_endpoints(tree, inquiry, sql);
    }
    return outcome;
}
