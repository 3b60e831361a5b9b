/* The file is read whole into memory that is wiped, so that its size and kind are known before
 * libcrypto sees a byte of it. An encrypted key would make libcrypto ask at the terminal for a
 * password, which is answered with none: an agent has nobody to ask. */
#include "recorder/signing_key.h"

#include "core/cleanup.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_LIMIT 4096 /* a PEM file of such a key has 119 bytes; there may be comments */
#define HASH_SIZE  32

static const char purpose[] = "vestige batch\n";
#define PURPOSE_LENGTH (sizeof(purpose) - 1)

struct signing_key {
    EVP_PKEY *pair;
    uint8_t public_key[PUBLIC_KEY_SIZE];
};

DEFINE_CLEANUP(cleanup_pair, EVP_PKEY, EVP_PKEY_free);
DEFINE_CLEANUP(cleanup_context, EVP_MD_CTX, EVP_MD_CTX_free);
DEFINE_CLEANUP(cleanup_bio, BIO, BIO_free_all);

struct signing_key *signing_key_free(struct signing_key *key)
{
    if (key) {
        EVP_PKEY_free(key->pair);
        free(key);
    }
    return NULL;
}

/** Takes over @p pair, also when it fails. */
static int key_consume(struct signing_key **keyp, EVP_PKEY *pair)
{
    struct signing_key *key = calloc(1, sizeof(*key));
    if (!key) {
        EVP_PKEY_free(pair);
        return -ENOMEM;
    }
    key->pair = pair;
    size_t length = sizeof(key->public_key);
    if (EVP_PKEY_get_raw_public_key(pair, key->public_key, &length) != 1 ||
        length != PUBLIC_KEY_SIZE) {
        ERR_clear_error();
        signing_key_free(key);
        return -EBADMSG;
    }
    *keyp = key;
    return 0;
}

/* ---- making one ---- */

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        text += n;
        length -= (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/** The name is durable when its directory is. */
static int sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory AUTO_FREE = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!directory)
        return -ENOMEM;
    int fd AUTO_CLOSE = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_file(const char *path, const char *text, size_t length)
{
    int fd AUTO_CLOSE = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, text, length);
    if (r == 0)
        r = sync_directory_of(path);
    if (r < 0)
        unlink(path);
    return r;
}

static int write_pair(const char *path, EVP_PKEY *pair)
{
    /* secure: what it held is wiped when it is freed */
    BIO *text CLEANUP(cleanup_bio) = BIO_new(BIO_s_secmem());
    char *data;
    if (!text || PEM_write_bio_PKCS8PrivateKey(text, pair, NULL, NULL, 0, NULL, NULL) != 1) {
        ERR_clear_error();
        return -ENOMEM;
    }
    long length = BIO_get_mem_data(text, &data);
    return write_file(path, data, (size_t)length);
}

int signing_key_create(struct signing_key **keyp, const char *path, struct error_text *error)
{
    EVP_PKEY *pair CLEANUP(cleanup_pair) = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!pair) {
        ERR_clear_error();
        return error_set(error, -EIO, "libcrypto cannot make an Ed25519 key");
    }
    struct signing_key *key;
    if (!EVP_PKEY_up_ref(pair))
        return error_set(error, -EIO, "libcrypto cannot make an Ed25519 key");
    int r = key_consume(&key, pair);
    if (r < 0)
        return error_set(error, r, "cannot make a signing key: %s", strerror(-r));
    r = write_pair(path, pair);
    if (r == 0) {
        *keyp = key;
        return 0;
    }
    signing_key_free(key);
    if (r == -EEXIST)
        return error_set(error, r, "%s exists; a signing key is never written over", path);
    return error_set(error, r, "cannot write %s: %s", path, strerror(-r));
}

/* ---- reading one ---- */

static int check_file(int fd, const char *path, struct error_text *error)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, -EBADMSG, "%s is not a regular file", path);
    if (status.st_mode & 077)
        return error_set(error, -EPERM,
                         "%s can be read or written by others than its owner (mode %04o), so its"
                         " signatures prove nothing; `chmod 600` it if you know that nobody has"
                         " read it, else give the host another key",
                         path, (unsigned)status.st_mode & 07777);
    if (status.st_size > FILE_LIMIT)
        return error_set(error, -EBADMSG, "%s is too large for a signing key", path);
    return 0;
}

static ssize_t read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    while (length < size) {
        ssize_t n = read(fd, text + length, size - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        length += (size_t)n;
    }
    return (ssize_t)length;
}

static int no_password(char *buffer, int size, int writing, void *user)
{
    (void)buffer, (void)size, (void)writing, (void)user;
    return -1;
}

static int parse(struct signing_key **keyp, const char *text, size_t length)
{
    BIO *source CLEANUP(cleanup_bio) = BIO_new_mem_buf(text, (int)length);
    if (!source)
        return -ENOMEM;
    EVP_PKEY *pair = PEM_read_bio_PrivateKey(source, NULL, no_password, NULL);
    ERR_clear_error();
    if (!pair)
        return -EBADMSG;
    if (!EVP_PKEY_is_a(pair, "ED25519")) {
        EVP_PKEY_free(pair);
        return -EBADMSG;
    }
    return key_consume(keyp, pair);
}

int signing_key_load(struct signing_key **keyp, const char *path, struct error_text *error)
{
    /* A FIFO with no writer must not hold us up. */
    int fd AUTO_CLOSE = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
    int r = check_file(fd, path, error);
    if (r < 0)
        return r;
    char text[FILE_LIMIT];
    ssize_t length = read_all(fd, text, sizeof(text));
    r = length < 0 ? (int)length : parse(keyp, text, (size_t)length);
    OPENSSL_cleanse(text, sizeof(text));
    if (r == -EBADMSG)
        return error_set(error, r,
                         "%s holds no Ed25519 key without a password in PEM form; take the"
                         " signing.key that the host got at its enrolment",
                         path);
    return r < 0 ? error_set(error, r, "cannot read %s: %s", path, strerror(-r)) : 0;
}

/* ---- using one ---- */

void signing_key_public(const struct signing_key *key, uint8_t public_key[PUBLIC_KEY_SIZE])
{
    memcpy(public_key, key->public_key, PUBLIC_KEY_SIZE);
}

static void make_message(const uint8_t hash[HASH_SIZE], uint8_t message[PURPOSE_LENGTH + HASH_SIZE])
{
    memcpy(message, purpose, PURPOSE_LENGTH);
    memcpy(message + PURPOSE_LENGTH, hash, HASH_SIZE);
}

int signing_key_sign(const struct signing_key *key, const uint8_t hash[HASH_SIZE],
                     uint8_t signature[SIGNATURE_SIZE])
{
    uint8_t message[PURPOSE_LENGTH + HASH_SIZE];
    size_t length = SIGNATURE_SIZE;
    EVP_MD_CTX *context CLEANUP(cleanup_context) = EVP_MD_CTX_new();
    make_message(hash, message);
    if (context && EVP_DigestSignInit(context, NULL, NULL, NULL, key->pair) == 1 &&
        EVP_DigestSign(context, signature, &length, message, sizeof(message)) == 1 &&
        length == SIGNATURE_SIZE)
        return 0;
    ERR_clear_error();
    return -EIO;
}

int signature_check(const uint8_t public_key[PUBLIC_KEY_SIZE], const uint8_t hash[HASH_SIZE],
                    const uint8_t signature[SIGNATURE_SIZE])
{
    uint8_t message[PURPOSE_LENGTH + HASH_SIZE];
    EVP_MD_CTX *context CLEANUP(cleanup_context) = EVP_MD_CTX_new();
    EVP_PKEY *key CLEANUP(cleanup_pair) =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, PUBLIC_KEY_SIZE);
    make_message(hash, message);
    if (!context || !key || EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) != 1) {
        ERR_clear_error();
        return -ENOMEM;
    }
    int r = EVP_DigestVerify(context, signature, SIGNATURE_SIZE, message, sizeof(message));
    ERR_clear_error();
    return r == 1 ? 0 : -EBADMSG;
}
