#pragma once
/*
 * The reading of one file for its digest, piece by piece, and the requests that wait for it. What
 * was read counts only when the file is the same version at the end as it was at the look.
 */
#include "collectors/programs/program_cache.h"

#include <sys/queue.h>

enum { READING_ASKERS_MOST = 32 };

struct program_reading {
    TAILQ_ENTRY(program_reading) in_order;
    struct program_version version;
    bool local, guarded;
    struct asked_program *askers[READING_ASKERS_MOST]; /* the source's own */
    size_t n_askers;
    struct program_hash *hash;
};

/** Outcomes of a step. */
enum { READING_DONE = 0, READING_MORE = 1 };

/** Returns 0 or a negative errno: it cannot be read. */
int program_reading_new(struct program_reading **readingp, const struct program_file *file,
                        struct asked_program *request) MUST_CHECK;
struct program_reading *program_reading_free(struct program_reading *reading);
/** False: it is another version, or may be one that looks the same, or there is no room. */
bool program_reading_join(struct program_reading *reading, const struct program_file *file,
                          struct asked_program *request);
/** Read up to @p *budget bytes, which are taken off. Returns READING_MORE, READING_DONE with the
 *  @p digest, -ESTALE when the file was changed, or another error. */
int program_reading_step(struct program_reading *reading, size_t *budget,
                         uint8_t digest[PROGRAM_DIGEST_SIZE]) MUST_CHECK;
/** Another change would have another time: the last one is so long before the reading, and the file
 *  was guarded. */
bool program_reading_lasting(const struct program_reading *reading);
