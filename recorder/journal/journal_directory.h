#pragma once
/*
 * The directory of a journal: names, lock, listing, and files that are there completely or not at
 * all. It knows nothing of what is in the files. Safe for use from several threads.
 */
#include "core/error.h"
#include "core/slice.h"

#include <stdbool.h>

#define JOURNAL_NAME_SIZE  64
#define JOURNAL_LOCK       "lock"
#define JOURNAL_CHECKPOINT "checkpoint.zst"

enum journal_file {
    JOURNAL_FILE_SEALED,
    JOURNAL_FILE_SHIPPED,
    JOURNAL_FILE_OPEN,
    JOURNAL_FILE_DAMAGED,
    JOURNAL_FILE_CHECKPOINT,
    JOURNAL_FILE_TEMPORARY,
    JOURNAL_FILE_OTHER
};

/** The file's name. @p batch is not used for the checkpoint. */
void journal_file_name(char name[JOURNAL_NAME_SIZE], enum journal_file file, uint64_t batch);
/** What a name means, and its number. */
enum journal_file journal_file_parse(const char *name, uint64_t *batch);

struct journal_directory;

/** Make the directory if it is missing, check that it is ours alone, and lock it. Also 0 when it is
 *  missing and there is no room for it: then there are no files, and none can be made before
 *  journal_directory_make has made it. */
int journal_directory_open(struct journal_directory **directoryp, const char *path,
                           struct error_text *error) MUST_CHECK;
/** Make it when it could not be made before; 0: it is there. One thread at a time. */
int journal_directory_make(struct journal_directory *directory,
                           struct error_text *error) MUST_CHECK;
bool journal_directory_is_made(const struct journal_directory *directory);
/** The same for reading: no lock, nothing is made or checked. */
int journal_directory_open_read_only(struct journal_directory **directoryp, const char *path,
                                     struct error_text *error) MUST_CHECK;
struct journal_directory *journal_directory_free(struct journal_directory *directory);

const char *journal_directory_path(const struct journal_directory *directory);
int journal_directory_fd(const struct journal_directory *directory);
/** The smaller of 8 GiB and 10 % of the filesystem. */
uint64_t journal_directory_default_limit(const struct journal_directory *directory);

/** Called for each file; @p bytes is what it takes on the disk. Not 0 ends the walk. */
typedef int (*journal_directory_visitor)(void *user, const char *name, enum journal_file file,
                                         uint64_t batch, uint64_t bytes);
int journal_directory_walk(struct journal_directory *directory, journal_directory_visitor visitor,
                           void *user) MUST_CHECK;

bool journal_directory_has(const struct journal_directory *directory, enum journal_file file,
                           uint64_t batch);
/** Room on the filesystem: @p free_bytes is what this user may still write, @p reserve what is to
 * be left of it, so that batches can be sealed and checkpoints written when lines no longer can. */
int journal_directory_room(const struct journal_directory *directory, uint64_t *free_bytes,
                           uint64_t *reserve) MUST_CHECK;
/** Bytes on the disk, 0 when there is no such file. */
uint64_t journal_directory_bytes(const struct journal_directory *directory, const char *name);
/** Write the pieces as a file of that name: temporary file, fsync, rename, fsync of the directory.
 *  After an error the file is as it was before, or complete; the call may be repeated. @p bytes:
 * what it takes on the disk. */
int journal_directory_save(struct journal_directory *directory, const char *name,
                           const struct slice pieces[2], uint64_t *bytes) MUST_CHECK;
/** Remove a file; *@p bytes is what it took. -ENOENT when there is none. */
int journal_directory_remove(struct journal_directory *directory, const char *name,
                             uint64_t *bytes) MUST_CHECK;
int journal_directory_rename(struct journal_directory *directory, const char *from,
                             const char *to) MUST_CHECK;
int journal_directory_sync(struct journal_directory *directory) MUST_CHECK;
