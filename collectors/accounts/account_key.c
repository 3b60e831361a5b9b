/* A file of exactly the key's bytes, which appears whole or not at all. */
#include "collectors/accounts/account_key.h"

#include "core/cleanup.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <sys/stat.h>

enum { PATH_SIZE = 256 };

static bool read_key(struct account_key *key, const char *path)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return false;
    /* What others could read or have written is no secret any more. */
    if (!S_ISREG(status.st_mode) || status.st_size != ACCOUNT_KEY_BYTES || status.st_mode & 077)
        return false;
    return read(fd, key->bytes, sizeof(key->bytes)) == ACCOUNT_KEY_BYTES;
}

static bool write_key(const struct account_key *key, const char *path)
{
    AUTO_CLOSE int fd =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    return fd >= 0 && fchmod(fd, S_IRUSR | S_IWUSR) == 0 &&
           write(fd, key->bytes, sizeof(key->bytes)) == ACCOUNT_KEY_BYTES && fsync(fd) == 0;
}

int account_key_get(struct account_key *key, const char *directory, bool *kept)
{
    char path[PATH_SIZE], fresh[PATH_SIZE];
    int n = directory ? snprintf(path, sizeof(path), "%s/accounts.key", directory) : -1;
    int n_fresh = directory ? snprintf(fresh, sizeof(fresh), "%s/accounts.key.new", directory) : -1;
    bool place = n > 0 && n_fresh > 0 && (size_t)n_fresh < sizeof(fresh);
    *kept = place && read_key(key, path);
    if (*kept)
        return 0;
    if (RAND_bytes(key->bytes, sizeof(key->bytes)) != 1)
        return -EIO;
    *kept = place && write_key(key, fresh) && rename(fresh, path) == 0;
    return 0;
}
