/* The file is read whole into memory that is wiped, so that its size and kind are known before
 * libcrypto sees a byte of it. An encrypted key would make libcrypto ask at the terminal for a
 * password, which is answered with none: an agent has nobody to ask. */
#include "recorder/keys/signing_key.h"

#include "core/cleanup.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define PUBLIC_LIMIT (64 * 1024)
#define FILE_LIMIT   4096 /* a PEM file of such a key has 119 bytes; there may be comments */
#define HASH_SIZE    32

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

static int check_file(int fd, const char *path, mode_t forbidden, off_t limit,
                      struct error_text *error)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, -EBADMSG, "%s is not a regular file", path);
    if (status.st_mode & forbidden)
        return error_set(error, -EPERM,
                         "%s can be read or written by others than its owner (mode %04o), so its"
                         " signatures prove nothing; `chmod 600` it if you know that nobody has"
                         " read it, else give the host another key",
                         path, (unsigned)status.st_mode & 07777);
    if (status.st_size > limit)
        return error_set(error, -EBADMSG, "%s is too large for a file of keys", path);
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

/** The whole file in @p text of @p size bytes. Returns its length. A FIFO with no writer must not
 *  hold us up. */
static ssize_t read_file(const char *path, mode_t forbidden, char *text, size_t size,
                         struct error_text *error)
{
    int fd AUTO_CLOSE = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
    int r = check_file(fd, path, forbidden, (off_t)size, error);
    if (r < 0)
        return r;
    ssize_t length = read_all(fd, text, size);
    return length < 0
               ? error_set(error, (int)length, "cannot read %s: %s", path, strerror((int)-length))
               : length;
}

int signing_key_load(struct signing_key **keyp, const char *path, struct error_text *error)
{
    char text[FILE_LIMIT];
    ssize_t length = read_file(path, 077, text, sizeof(text), error);
    if (length < 0)
        return (int)length;
    int r = parse(keyp, text, (size_t)length);
    OPENSSL_cleanse(text, sizeof(text));
    if (r == -EBADMSG)
        return error_set(error, r,
                         "%s holds no Ed25519 key without a password in PEM form; take the"
                         " signing.key that the host got at its enrolment",
                         path);
    return r < 0 ? error_set(error, r, "cannot read %s: %s", path, strerror(-r)) : 0;
}

static int parse_public(const char *name, const unsigned char *data, long length,
                        uint8_t key[PUBLIC_KEY_SIZE])
{
    size_t size = PUBLIC_KEY_SIZE;
    if (strcmp(name, PEM_STRING_PUBLIC) != 0)
        return -EBADMSG;
    EVP_PKEY *pair CLEANUP(cleanup_pair) = d2i_PUBKEY(NULL, &data, length);
    return pair && EVP_PKEY_is_a(pair, "ED25519") &&
                   EVP_PKEY_get_raw_public_key(pair, key, &size) == 1
               ? 0
               : -EBADMSG;
}

/** The next key of the text; -ENOENT: there is no more. */
static int take_public(BIO *source, uint8_t key[PUBLIC_KEY_SIZE])
{
    char *name, *header;
    unsigned char *data;
    long length;
    if (PEM_read_bio(source, &name, &header, &data, &length) != 1)
        return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? -ENOENT : -EBADMSG;
    int r = parse_public(name, data, length, key);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, (size_t)length); /* it may be a private key, by mistake */
    return r;
}

int public_keys_read(uint8_t (*keys)[PUBLIC_KEY_SIZE], size_t most, size_t *np, const char *path,
                     struct error_text *error)
{
    char *text AUTO_FREE = malloc(PUBLIC_LIMIT);
    if (!text)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    ssize_t length = read_file(path, 0, text, PUBLIC_LIMIT, error);
    if (length < 0)
        return (int)length;
    BIO *source CLEANUP(cleanup_bio) = BIO_new_mem_buf(text, (int)length);
    if (!source)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    size_t n = 0;
    int r = 0;
    while (n < most && (r = take_public(source, keys[n])) == 0)
        n++;
    ERR_clear_error();
    if (n == 0 || (r != 0 && r != -ENOENT))
        return error_set(error, -EBADMSG,
                         "%s: not Ed25519 public keys in PEM form; `openssl pkey -in signing.key"
                         " -pubout` makes one of a signing key",
                         path);
    *np = n;
    return 0;
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
