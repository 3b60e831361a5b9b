/* Numbers follow one another, so "the next one" is found by asking the directory. The newest batch
 * is never removed: number, hash and cursors of the chain go on from it. */
#include "recorder/journal/journal_shelf.h"

#include "core/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct journal_shelf {
    struct journal_directory *directory;
    pthread_mutex_t lock;
    _Atomic uint64_t bytes; /* apart from the lock, which is held over calls that can block */
    uint64_t first;         /* nothing below it is on the disk */
    struct journal_shelf_status status;
};

struct journal_shelf *journal_shelf_free(struct journal_shelf *shelf)
{
    if (shelf) {
        pthread_mutex_destroy(&shelf->lock);
        free(shelf);
    }
    return NULL;
}

static int take_in(void *user, const char *name, enum journal_file file, uint64_t batch,
                   uint64_t bytes)
{
    struct journal_shelf *shelf = user;
    struct journal_shelf_status *status = &shelf->status;
    uint64_t ignored;
    if (file == JOURNAL_FILE_TEMPORARY)
        return journal_directory_remove(shelf->directory, name, &ignored);
    if (file != JOURNAL_FILE_OPEN)
        shelf->bytes += bytes;
    if (file != JOURNAL_FILE_SEALED && file != JOURNAL_FILE_SHIPPED)
        return 0;
    if (batch > status->last)
        status->last = batch;
    if (shelf->first == 0 || batch < shelf->first)
        shelf->first = batch;
    if (file == JOURNAL_FILE_SEALED) {
        status->n_unshipped++;
        if (status->first_unshipped == 0 || batch < status->first_unshipped)
            status->first_unshipped = batch;
    }
    return 0;
}

int journal_shelf_new(struct journal_shelf **shelfp, struct journal_directory *directory,
                      struct error_text *error)
{
    struct journal_shelf *shelf = calloc(1, sizeof(*shelf));
    const char *path = journal_directory_path(directory);
    if (!shelf)
        return error_set(error, -ENOMEM, "journal %s: out of memory", path);
    shelf->directory = directory;
    pthread_mutex_init(&shelf->lock, NULL);
    int result = journal_directory_walk(directory, take_in, shelf);
    if (result) {
        journal_shelf_free(shelf);
        return error_set(error, result, "journal %s: cannot be read: %s", path, strerror(-result));
    }
    *shelfp = shelf;
    return 0;
}

void journal_shelf_get_status(struct journal_shelf *shelf, struct journal_shelf_status *status)
{
    pthread_mutex_lock(&shelf->lock);
    *status = shelf->status;
    pthread_mutex_unlock(&shelf->lock);
}

uint64_t journal_shelf_bytes(const struct journal_shelf *shelf)
{
    return atomic_load_explicit(&shelf->bytes, memory_order_relaxed);
}

uint64_t journal_shelf_first(struct journal_shelf *shelf)
{
    pthread_mutex_lock(&shelf->lock);
    uint64_t first = shelf->first;
    pthread_mutex_unlock(&shelf->lock);
    return first;
}

bool journal_shelf_has_shipped(struct journal_shelf *shelf)
{
    const struct journal_shelf_status *status = &shelf->status;
    pthread_mutex_lock(&shelf->lock);
    uint64_t end = status->first_unshipped ? status->first_unshipped : status->last;
    bool has = shelf->first && shelf->first < end;
    pthread_mutex_unlock(&shelf->lock);
    return has;
}

void journal_shelf_sealed(struct journal_shelf *shelf, uint64_t batch, uint64_t bytes)
{
    struct journal_shelf_status *status = &shelf->status;
    pthread_mutex_lock(&shelf->lock);
    status->last = batch;
    status->n_unshipped++;
    shelf->bytes += bytes;
    status->uncovered_bytes += bytes;
    if (status->first_unshipped == 0)
        status->first_unshipped = batch;
    if (shelf->first == 0)
        shelf->first = batch;
    pthread_mutex_unlock(&shelf->lock);
}

/* Remove what is shipped and covered, but the newest. */
static void sweep(struct journal_shelf *shelf)
{
    struct journal_shelf_status *status = &shelf->status;
    while (shelf->first && shelf->first <= status->covered && shelf->first < status->last &&
           (status->first_unshipped == 0 || shelf->first < status->first_unshipped)) {
        char name[JOURNAL_NAME_SIZE];
        uint64_t bytes;
        journal_file_name(name, JOURNAL_FILE_SHIPPED, shelf->first);
        int error = journal_directory_remove(shelf->directory, name, &bytes);
        if (error && error != -ENOENT) {
            log_warning("journal", "cannot remove %s: %s", name, strerror(-error));
            break;
        }
        shelf->bytes -= error ? 0 : bytes;
        shelf->first++;
    }
}

static void advance(struct journal_shelf *shelf, uint64_t batch)
{
    struct journal_shelf_status *status = &shelf->status;
    status->n_unshipped -= status->n_unshipped > 0;
    if (batch != status->first_unshipped)
        return;
    do
        batch++;
    while (batch <= status->last &&
           !journal_directory_has(shelf->directory, JOURNAL_FILE_SEALED, batch));
    status->first_unshipped = batch <= status->last ? batch : 0;
}

int journal_shelf_shipped(struct journal_shelf *shelf, uint64_t batch)
{
    char from[JOURNAL_NAME_SIZE], to[JOURNAL_NAME_SIZE];
    journal_file_name(from, JOURNAL_FILE_SEALED, batch);
    journal_file_name(to, JOURNAL_FILE_SHIPPED, batch);
    pthread_mutex_lock(&shelf->lock);
    int error = journal_directory_rename(shelf->directory, from, to);
    if (error == -ENOENT && batch == shelf->status.first_unshipped)
        error = 0; /* somebody removed the file: the others must not wait for it */
    if (!error)
        advance(shelf, batch);
    else if (error == -ENOENT &&
             (batch < shelf->first ||
              journal_directory_has(shelf->directory, JOURNAL_FILE_SHIPPED, batch)))
        error = 0;
    if (!error)
        sweep(shelf);
    pthread_mutex_unlock(&shelf->lock);
    return error;
}

void journal_shelf_covered(struct journal_shelf *shelf, uint64_t batch, uint64_t bytes,
                           uint64_t former_bytes)
{
    struct journal_shelf_status *status = &shelf->status;
    pthread_mutex_lock(&shelf->lock);
    status->covered = batch;
    shelf->bytes += bytes;
    shelf->bytes -= former_bytes;
    status->uncovered_bytes = 0;
    sweep(shelf);
    pthread_mutex_unlock(&shelf->lock);
}
