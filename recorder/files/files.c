/* What a fact means. Events of one process and path that waited unread are one fact, a set in an
 * order that nobody knows: when it has an open and a close, the file counts as closed. So opens and
 * closes are counted by facts, and are lower bounds. */
#include "recorder/files/files_private.h"

#include "core/hash.h"

#include <stdlib.h>

enum { HELD_BYTES_MOST = 4 << 20 };

static const uint32_t closing = FILE_CLOSED | FILE_CLOSED_AFTER_WRITE;
static const uint32_t opening = FILE_OPENED | FILE_EXECUTED;

uint64_t file_hash(struct slice bytes, uint64_t seed)
{
    return hash_slice(HASH_START ^ seed, bytes);
}

static uint64_t actor_seed(const struct file_actor *actor)
{
    return (actor->process_id ^ (uint64_t)actor->pid << 32) * UINT64_C(0x9e3779b97f4a7c15);
}

static unsigned long key_hash(const void *item)
{
    const struct file_key *key = item;
    return (unsigned long)file_hash(key->path, actor_seed(key->actor));
}

static int key_compare(const void *a, const void *b)
{
    const struct file_key *one = a, *other = b;
    return one->actor != other->actor || !slice_equal(one->path, other->path);
}

int files_new(struct files **filesp, const struct files_options *options)
{
    struct files *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->options = *options;
    f->output = options->output;
    file_queue_init(&f->waiting);
    file_queue_init(&f->quiet);
    file_queue_init(&f->refused);
    file_queue_init(&f->open);
    TAILQ_INIT(&f->ended);
    TAILQ_INIT(&f->all_programs);
    TAILQ_INIT(&f->limited);
    STAILQ_INIT(&f->held);
    f->by_key = OPENSSL_LH_new(key_hash, key_compare);
    if (!f->by_key || file_actor_init(f) < 0 || file_program_init(f) < 0 ||
        file_restore_init(f) < 0) {
        files_free(f);
        return -ENOMEM;
    }
    *filesp = f;
    return 0;
}

static void free_queue(struct files *f, struct file_queue *queue)
{
    struct file_row *row;
    while ((row = TAILQ_FIRST(&queue->rows)))
        file_release(f, row);
}

static uint32_t pid_of(const struct fact *fact)
{
    return fact->kind == FACT_FILE        ? fact->file.pid
           : fact->kind == FACT_FILE_OPEN ? fact->file_open.pid
                                          : 0;
}

uint16_t *file_n_held(struct files *f, uint32_t pid)
{
    return &f->n_held[pid % FILE_PIDS];
}

static void free_held(struct files *f)
{
    struct file_held_fact *held;
    while ((held = STAILQ_FIRST(&f->held))) {
        STAILQ_REMOVE_HEAD(&f->held, in_list);
        free(held);
    }
}

struct files *files_free(struct files *f)
{
    if (!f)
        return NULL;
    free_queue(f, &f->waiting);
    free_queue(f, &f->quiet);
    free_queue(f, &f->refused);
    free_queue(f, &f->open);
    free_held(f);
    file_restore_deinit(f);
    file_program_deinit(f);
    OPENSSL_LH_free(f->by_key);
    OPENSSL_LH_free(f->actors);
    free(f);
    return NULL;
}

/* -- rows -- */

struct file_row *file_find(struct files *f, struct file_actor *actor, struct slice path)
{
    struct file_key key = {.actor = actor, .path = path};
    struct file_row *row = OPENSSL_LH_retrieve(f->by_key, &key);
    return row ? row : file_restore_adopt(f, actor, path);
}

struct file_row *file_find_inode(const struct file_actor *actor, const struct file_status *status)
{
    struct file_row *row;
    if (!status->inode)
        return NULL;
    TAILQ_FOREACH(row, &actor->rows, in_actor)
    if (row->status.inode == status->inode && row->status.device == status->device && row->filed)
        return row;
    return NULL;
}

static bool has_room(struct files *f, size_t n_bytes)
{
    if (f->n_rows < f->options.most && f->n_bytes + n_bytes <= f->options.bytes_most)
        return true;
    f->beyond++;
    return false;
}

struct file_row *file_begin(struct files *f, struct file_actor *actor, const struct actor *who,
                            struct slice path, struct slice new_path, uint64_t at_ns)
{
    size_t n_bytes = sizeof(struct file_row) + path.length + new_path.length;
    if (!file_program_allows(f, actor, at_ns) || !has_room(f, n_bytes))
        return NULL;
    struct file_row *row = file_row_new(path, new_path);
    if (!row) {
        f->beyond++;
        return NULL;
    }
    row->key.actor = actor;
    row->id = timeline_id(f->output->timeline);
    row->created_ns = at_ns;
    row->created_us = timeline_real_us(f->output->timeline, at_ns);
    row->heard_ns = files_now(f);
    row->pid = who->pid;
    row->uid = who->uid;
    row->login_uid = who->login_uid;
    memcpy(row->comm, who->comm, sizeof(row->comm));
    TAILQ_INSERT_TAIL(&actor->rows, row, in_actor);
    f->n_rows++;
    f->n_bytes += n_bytes;
    return row;
}

bool file_file(struct files *f, struct file_row *row)
{
    OPENSSL_LH_insert(f->by_key, row);
    row->filed = !OPENSSL_LH_error(f->by_key);
    if (row->filed)
        return true;
    file_release(f, row);
    f->beyond++;
    return false;
}

void file_describe(struct file_row *row, const struct file_status *status)
{
    if (!status->inode)
        return;
    if (!row->inserted) {
        row->status.device = status->device;
        row->status.inode = status->inode;
    }
    row->status.mode = status->mode;
    row->status.size = status->size;
}

static struct file_recent_end *recent_end(struct files *f, uint64_t hash)
{
    return &f->recent[hash % FILE_RECENT_ENDS];
}

bool file_had_ended(struct files *f, const struct file_actor *actor, struct slice path,
                    uint64_t at_ns)
{
    uint64_t hash = file_hash(path, actor_seed(actor));
    const struct file_recent_end *end = recent_end(f, hash);
    return end->hash == hash && end->ended_ns >= at_ns;
}

void file_unfile(struct files *f, struct file_row *row)
{
    uint64_t hash = file_hash(row->key.path, actor_seed(row->key.actor));
    if (!row->filed)
        return;
    *recent_end(f, hash) = (struct file_recent_end){hash, row->closed_ns};
    OPENSSL_LH_delete(f->by_key, row);
    row->filed = false;
}

void file_release(struct files *f, struct file_row *row)
{
    struct file_actor *actor = row->key.actor;
    file_unfile(f, row);
    file_queue_remove(row);
    TAILQ_REMOVE(&actor->rows, row, in_actor);
    f->n_rows--;
    f->n_bytes -= row->n_bytes;
    shared_text_unref(row->birth);
    free(row);
    file_actor_release(f, actor);
}

/* -- use -- */

static unsigned seen_by(enum source_id source)
{
    return source == SOURCE_FANOTIFY ? SEEN_BY_FANOTIFY : SEEN_BY_INOTIFY;
}

/* An execution opens, and its close says nothing of reading. */
static void note_operations(struct file_row *row, uint32_t events)
{
    if (events & FILE_CREATED)
        row->operations |= OPERATION_CREATE;
    if (events & FILE_EXECUTED)
        row->operations |= OPERATION_EXECUTE;
    if (events & (FILE_MODIFIED | FILE_CLOSED_AFTER_WRITE))
        row->operations |= OPERATION_WRITE;
    if (events & FILE_CLOSED && (row->opens > row->executions || !row->executions))
        row->operations |= OPERATION_READ;
}

static void note_use(struct file_row *row, const struct fact *fact, uint64_t at_ns)
{
    uint32_t events = fact->file.events;
    if (!row->inserted)
        row->seen_by |= seen_by(fact->source);
    row->counted = true;
    row->heard_ns = fact->boot_ns;
    row->opens += (events & opening) != 0;
    row->executions += (events & FILE_EXECUTED) != 0;
    note_operations(row, events);
    if (events & closing) {
        row->closes += row->closes < row->opens;
        row->closed_ns = at_ns;
    }
    file_describe(row, &fact->file.status);
}

struct deed {
    const struct fact *fact;
    const struct actor *who;
    struct file_actor *actor;
    uint64_t at_ns;
};

static bool tells_of_open(const struct fact_file *file)
{
    return file->events & (opening | FILE_CREATED);
}

static struct file_row *begin_use(struct files *f, const struct deed *deed)
{
    const struct fact_file *file = &deed->fact->file;
    struct file_row *row =
        file_begin(f, deed->actor, deed->who, file->path, SLICE_NULL, deed->at_ns);
    if (!row)
        return NULL;
    row->path_at_read = file->path_at_read;
    row->inherited = !tells_of_open(file);
    return file_file(f, row) ? row : NULL;
}

/* A look found it open before the open itself was read. */
static void explain_look(struct file_row *row, const struct fact_file *file)
{
    if (!row->inserted && !row->counted && tells_of_open(file) && file->since_ns <= row->created_ns)
        row->inherited = false;
}

static void on_use(struct files *f, const struct deed *deed)
{
    const struct fact_file *file = &deed->fact->file;
    struct file_row *row = file_find(f, deed->actor, file->path);
    if (!row && !tells_of_open(file))
        row = file_find_inode(deed->actor, &file->status);
    if (!row)
        row = begin_use(f, deed);
    if (!row)
        return;
    explain_look(row, file);
    note_use(row, deed->fact, deed->at_ns);
    file_rows_place(f, row);
}

/* -- moments -- */

static void on_moment(struct files *f, const struct deed *deed, enum file_operation operation)
{
    const struct fact_file *file = &deed->fact->file;
    struct slice new_path = operation == OPERATION_RENAME ? file->new_path : SLICE_NULL;
    struct file_row *row = file_begin(f, deed->actor, deed->who, file->path, new_path, deed->at_ns);
    if (!row)
        return;
    row->path_at_read = file->path_at_read;
    row->operations = operation;
    row->seen_by = seen_by(deed->fact->source);
    file_describe(row, &file->status);
    file_rows_end(f, row, row->created_ns, END_CLOSED);
}

static uint32_t without_open(const struct fact_file *file)
{
    return file->directory ? file->events : file->events & ~(uint32_t)FILE_CREATED;
}

static void on_deed(struct files *f, const struct deed *deed)
{
    uint32_t moments = without_open(&deed->fact->file);
    const uint32_t use = opening | closing | FILE_MODIFIED | FILE_CREATED;
    if (!deed->fact->file.directory && deed->fact->file.events & use)
        on_use(f, deed);
    if (moments & FILE_CREATED)
        on_moment(f, deed, OPERATION_CREATE);
    if (moments & FILE_ATTRIBUTES_CHANGED)
        on_moment(f, deed, OPERATION_ATTRIBUTES);
    if (moments & FILE_RENAMED)
        on_moment(f, deed, OPERATION_RENAME);
    if (moments & FILE_DELETED)
        on_moment(f, deed, OPERATION_DELETE);
}

/* Nothing is said to have been done when the image did not run. */
static uint64_t moment_of(const struct fact *fact, const struct actor *who)
{
    uint64_t at_ns = fact->boot_ns;
    if (at_ns > who->until_ns)
        at_ns = who->until_ns;
    return at_ns < who->from_ns ? who->from_ns : at_ns;
}

static void on_file(struct files *f, const struct fact *fact)
{
    struct actor who;
    file_who(f, fact, &who);
    struct file_actor *actor = file_actor_get(f, &who);
    if (!actor) {
        f->beyond++;
        return;
    }
    const struct deed deed = {fact, &who, actor, moment_of(fact, &who)};
    actor->busy = true;
    if (!file_program_is_excluded(actor))
        on_deed(f, &deed);
    actor->busy = false;
    file_actor_release(f, actor);
}

static void dispatch(struct files *f, const struct fact *fact)
{
    if (fact->kind == FACT_FILE)
        on_file(f, fact);
    else if (fact->kind == FACT_FILE_OPEN || fact->kind == FACT_FILE_SCAN ||
             fact->kind == FACT_FILE_REFUSED)
        file_scan_fact(f, fact);
}

/* -- facts that wait -- */

static void release_held(struct files *f, struct file_held_fact *held)
{
    --*file_n_held(f, pid_of(&held->fact));
    f->held_bytes -= held->n_bytes;
    dispatch(f, &held->fact);
    free(held);
}

static struct slice keep(uint8_t *to, struct slice text)
{
    if (text.length)
        memcpy(to, text.data, text.length);
    return slice_is_null(text) ? SLICE_NULL : slice_of(to, text.length);
}

/* False when there is no room: then the fact is taken as it is. */
static bool hold(struct files *f, const struct fact *fact)
{
    bool file = fact->kind == FACT_FILE, open = fact->kind == FACT_FILE_OPEN;
    struct slice path = file ? fact->file.path : open ? fact->file_open.path : SLICE_NULL;
    struct slice new_path = file ? fact->file.new_path : SLICE_NULL;
    size_t n_bytes = sizeof(struct file_held_fact) + path.length + new_path.length;
    if (f->held_bytes + n_bytes > HELD_BYTES_MOST)
        return false;
    struct file_held_fact *held = malloc(n_bytes);
    if (!held)
        return false;
    held->fact = *fact;
    held->n_bytes = n_bytes;
    if (file) {
        held->fact.file.path = keep(held->bytes, path);
        held->fact.file.new_path = keep(held->bytes + path.length, new_path);
    } else if (open) {
        held->fact.file_open.path = keep(held->bytes, path);
    }
    STAILQ_INSERT_TAIL(&f->held, held, in_list);
    f->held_bytes += n_bytes;
    ++*file_n_held(f, pid_of(fact));
    return true;
}

static bool is_early(const struct files *f)
{
    return !processes_last_scan_ns(f->options.processes) && files_now(f) < f->early_until_ns;
}

/* Who was there before the recorder is known when /proc has been looked at once. Which of several
 * images it was is known when audit has spoken of them. */
static bool must_wait(struct files *f, const struct fact *fact)
{
    return is_early(f) ||
           (files_now(f) < fact->boot_ns + f->options.settle_ns && file_who_is_open(f, fact));
}

/* Those that need not wait any more; facts of one pid stay in their order. */
static void take_held(struct files *f, bool all)
{
    struct file_held_facts facts = STAILQ_HEAD_INITIALIZER(facts);
    bool waits[FILE_PIDS] = {0};
    struct file_held_fact *held;
    STAILQ_CONCAT(&facts, &f->held);
    while ((held = STAILQ_FIRST(&facts))) {
        bool *behind = &waits[pid_of(&held->fact) % FILE_PIDS];
        STAILQ_REMOVE_HEAD(&facts, in_list);
        *behind = *behind || (!all && must_wait(f, &held->fact));
        if (*behind) {
            STAILQ_INSERT_TAIL(&f->held, held, in_list);
            continue;
        }
        release_held(f, held);
    }
}

/* A look does not wait for others: the next one will show it again. */
static bool is_passed_over(struct files *f, const struct fact *fact)
{
    if (fact->kind != FACT_FILE_OPEN || is_early(f) || !*file_n_held(f, pid_of(fact)))
        return false;
    f->scan_passed_over = true;
    return true;
}

void files_fact(struct files *f, const struct fact *fact)
{
    if (fact->kind == FACT_FILES_READ) {
        f->read_until_ns = fact->files_read.until_ns;
        return;
    }
    if (!f->early_until_ns)
        f->early_until_ns = fact->boot_ns + f->options.processes_ns;
    if (is_passed_over(f, fact))
        return;
    bool behind = fact->kind == FACT_FILE && *file_n_held(f, fact->file.pid);
    if ((behind || must_wait(f, fact)) && hold(f, fact))
        return;
    dispatch(f, fact);
}

void files_tick(struct files *f)
{
    if (!STAILQ_EMPTY(&f->held))
        take_held(f, false);
    file_rows_tick(f, files_now(f));
    file_program_tick(f, false);
}

void files_hurry(struct files *f, uint64_t boot_ns)
{
    file_rows_hurry(f, boot_ns);
    file_program_tick(f, true);
}

void files_flush(struct files *f)
{
    take_held(f, true);
    file_rows_flush(f);
    file_program_tick(f, true);
}

void files_checkpoint(struct files *f)
{
    file_rows_checkpoint(f);
    file_restore_checkpoint(f);
}

uint64_t files_take_beyond(struct files *f)
{
    uint64_t beyond = f->beyond;
    f->beyond = 0;
    return beyond;
}

size_t files_rows(const struct files *f)
{
    return f->n_rows;
}
