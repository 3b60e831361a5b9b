/* The times of a file are of a clock that stands still for a tick: two changes within one cannot be
 * told apart. So what was changed a moment before it was read is not to be remembered. */
#include "collectors/programs/program_reading.h"

#include "core/cleanup.h"
#include "core/file_state.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 64 << 10, LEAST_COST = 4096 };

struct program_hash {
    int fd;
    EVP_MD_CTX *context;
    int64_t began_real_ns;
    uint64_t n_read;
    uint8_t piece[PIECE];
};

static struct program_hash *hash_free(struct program_hash *hash)
{
    if (hash) {
        cleanup_close(&hash->fd);
        EVP_MD_CTX_free(hash->context);
        free(hash);
    }
    return NULL;
}

static int hash_new(struct program_hash **hashp, const struct program_file *file)
{
    struct program_hash *hash = calloc(1, sizeof(*hash));
    if (!hash)
        return -ENOMEM;
    hash->began_real_ns = file_state_clock_ns();
    hash->fd = program_file_open(file);
    int r = hash->fd < 0 ? hash->fd : 0;
    hash->context = EVP_MD_CTX_new();
    if (r == 0 && (!hash->context || !EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL)))
        r = -ENOMEM;
    if (r < 0)
        hash_free(hash);
    else
        *hashp = hash;
    return r;
}

int program_reading_new(struct program_reading **readingp, const struct program_file *file,
                        struct asked_program *request)
{
    struct program_reading *reading = calloc(1, sizeof(*reading));
    if (!reading)
        return -ENOMEM;
    int r = hash_new(&reading->hash, file);
    if (r < 0) {
        free(reading);
        return r;
    }
    reading->version = file->version;
    reading->local = file->local;
    reading->guarded = file->guarded;
    reading->askers[reading->n_askers++] = request;
    *readingp = reading;
    return 0;
}

struct program_reading *program_reading_free(struct program_reading *reading)
{
    if (reading) {
        hash_free(reading->hash);
        free(reading);
    }
    return NULL;
}

bool program_reading_join(struct program_reading *reading, const struct program_file *file,
                          struct asked_program *request)
{
    if (!reading->guarded || reading->n_askers == READING_ASKERS_MOST ||
        !program_version_equal(&reading->version, &file->version))
        return false;
    reading->askers[reading->n_askers++] = request;
    return true;
}

static int finish(struct program_reading *reading, uint8_t digest[PROGRAM_DIGEST_SIZE])
{
    struct program_version version;
    int r = program_version_of(reading->hash->fd, &version);
    if (r < 0)
        return r;
    if (!program_version_equal(&version, &reading->version) ||
        reading->hash->n_read != version.size)
        return -ESTALE;
    return EVP_DigestFinal_ex(reading->hash->context, digest, NULL) ? READING_DONE : -ENOMEM;
}

static void take_off(size_t *budget, size_t n)
{
    size_t cost = n > LEAST_COST ? n : LEAST_COST;
    *budget -= cost < *budget ? cost : *budget;
}

int program_reading_step(struct program_reading *reading, size_t *budget,
                         uint8_t digest[PROGRAM_DIGEST_SIZE])
{
    struct program_hash *hash = reading->hash;
    while (*budget > 0) {
        ssize_t n = read(hash->fd, hash->piece, *budget < PIECE ? *budget : PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        take_off(budget, (size_t)n);
        if (n == 0)
            return finish(reading, digest);
        hash->n_read += (uint64_t)n;
        if (hash->n_read > reading->version.size)
            return -ESTALE; /* it grows: it may have no end */
        if (!EVP_DigestUpdate(hash->context, hash->piece, (size_t)n))
            return -ENOMEM;
    }
    return READING_MORE;
}

bool program_reading_lasting(const struct program_reading *reading)
{
    return reading->guarded &&
           reading->version.changed_ns < reading->hash->began_real_ns - FILE_STATE_TICK_NS;
}
