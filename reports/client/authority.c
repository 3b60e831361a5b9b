/* Serial numbers are 128 random bits, so nothing has to be counted and no file is shared between
 * two administrators but the revocation list. That is made anew, with what it had, and takes its
 * old place by a rename.
 *
 * A list that is past its next update makes a server refuse every certificate, so that update is as
 * far away as the end of the authority itself. */
#include "reports/client/authority.h"

#include "core/cleanup.h"
#include "core/private_file.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum { FILE_MOST = 16 << 20, SERIAL_BYTES = 16, BACK_S = 3600 };

struct authority {
    EVP_PKEY *key;
    X509 *certificate;
    struct buffer pem;
    char directory[4000], list[4096];
};

DEFINE_CLEANUP(cleanup_bio, BIO, BIO_free_all);
DEFINE_CLEANUP(cleanup_x509, X509, X509_free);
DEFINE_CLEANUP(cleanup_request, X509_REQ, X509_REQ_free);
DEFINE_CLEANUP(cleanup_crl, X509_CRL, X509_CRL_free);
DEFINE_CLEANUP(cleanup_bignum, BIGNUM, BN_free);
DEFINE_CLEANUP(cleanup_integer, ASN1_INTEGER, ASN1_INTEGER_free);
DEFINE_CLEANUP(cleanup_time, ASN1_TIME, ASN1_TIME_free);

static int crypto_error(struct error_text *error, const char *what)
{
    unsigned long number = ERR_peek_last_error();
    const char *reason = number ? ERR_reason_error_string(number) : NULL;
    error_set(error, 0, "libcrypto cannot %s: %s", what, reason ? reason : "no reason given");
    ERR_clear_error();
    return -EIO;
}

/* An administrator's program may be a job: nobody is asked for a password. */
static int no_password(char *to, int size, int writing, void *user)
{
    (void)to, (void)size, (void)writing, (void)user;
    return -1;
}

static int read_key(struct authority *authority, struct error_text *error)
{
    struct buffer text CLEANUP(private_buffer_deinit) = BUFFER_NULL;
    char path[4096];
    snprintf(path, sizeof(path), "%s/ca.key", authority->directory);
    int r = private_file_read(path, FILE_MOST, &text, error);
    if (r < 0)
        return r;
    BIO *source CLEANUP(cleanup_bio) = BIO_new_mem_buf(text.data, (int)text.length);
    authority->key = source ? PEM_read_bio_PrivateKey(source, NULL, no_password, NULL) : NULL;
    ERR_clear_error();
    if (!authority->key)
        return error_set(error, -EBADMSG,
                         "%s holds no key that can be read without a password; decrypt it for this"
                         " command, or sign elsewhere",
                         path);
    return 0;
}

static int read_certificate(struct authority *authority, struct error_text *error)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/ca.pem", authority->directory);
    int r = private_file_read(path, FILE_MOST, &authority->pem, error);
    if (r == -ENOENT)
        return error_set(error, r,
                         "%s is not there: make an authority with deploy/fleet/make-ca, or name"
                         " yours with --ca-directory",
                         path);
    if (r < 0)
        return r;
    BIO *source CLEANUP(cleanup_bio) =
        BIO_new_mem_buf(authority->pem.data, (int)authority->pem.length);
    authority->certificate = source ? PEM_read_bio_X509(source, NULL, no_password, NULL) : NULL;
    ERR_clear_error();
    return authority->certificate ? 0 : error_set(error, -EBADMSG, "%s holds no certificate", path);
}

static int check_authority(const struct authority *authority, struct error_text *error)
{
    const char *directory = authority->directory;
    if (X509_check_private_key(authority->certificate, authority->key) != 1) {
        ERR_clear_error();
        return error_set(error, -EBADMSG, "%s: ca.key is not the key of ca.pem", directory);
    }
    if (X509_check_ca(authority->certificate) < 1)
        return error_set(error, -EBADMSG, "%s/ca.pem is the certificate of no authority",
                         directory);
    if (X509_cmp_current_time(X509_get0_notAfter(authority->certificate)) < 0)
        return error_set(error, -EBADMSG, "%s/ca.pem has expired", directory);
    return 0;
}

int authority_open(struct authority **authorityp, const char *directory, struct error_text *error)
{
    struct authority *authority = calloc(1, sizeof(*authority));
    if (!authority)
        return error_set(error, -ENOMEM, "out of memory");
    snprintf(authority->directory, sizeof(authority->directory), "%s", directory);
    snprintf(authority->list, sizeof(authority->list), "%s/ca.crl", authority->directory);
    int r = strlen(directory) < sizeof(authority->directory)
                ? read_certificate(authority, error)
                : error_set(error, -ENAMETOOLONG, "--ca-directory: the path is too long");
    if (r == 0)
        r = read_key(authority, error);
    if (r == 0)
        r = check_authority(authority, error);
    if (r < 0) {
        authority_free(authority);
        return r;
    }
    *authorityp = authority;
    return 0;
}

struct authority *authority_free(struct authority *authority)
{
    if (authority) {
        EVP_PKEY_free(authority->key);
        X509_free(authority->certificate);
        buffer_deinit(&authority->pem);
        free(authority);
    }
    return NULL;
}

struct slice authority_pem(const struct authority *authority)
{
    return buffer_slice(&authority->pem);
}

const char *authority_revocation_list(const struct authority *authority)
{
    return authority->list;
}

/** The digest of RSA and EC keys; Ed25519 has its own. */
static const EVP_MD *digest_of(EVP_PKEY *key)
{
    return EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
}

/* ---- signing ---- */

static bool set_serial(X509 *certificate, char text[AUTHORITY_SERIAL_SIZE])
{
    unsigned char bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x3f) | 0x40); /* positive, and of full length */
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(text + 2 * i, 3, "%02X", bytes[i]);
    BIGNUM *number CLEANUP(cleanup_bignum) = BN_bin2bn(bytes, sizeof(bytes), NULL);
    return number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
}

static bool add_word(X509_NAME *name, const char *field, const char *value)
{
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, (const unsigned char *)value, -1,
                                      -1, 0) == 1;
}

static bool set_names(X509 *certificate, const struct authority *authority, const char *account,
                      const char *serial)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    return add_word(subject, "O", "Vestige") && add_word(subject, "CN", account) &&
           add_word(subject, "serialNumber", serial) &&
           X509_set_issuer_name(certificate, X509_get_subject_name(authority->certificate)) == 1;
}

/** From an hour ago, for a host whose clock is behind; not beyond the authority's own end. */
static bool set_times(X509 *certificate, const struct authority *authority, unsigned days)
{
    const ASN1_TIME *most = X509_get0_notAfter(authority->certificate);
    time_t until = time(NULL) + (time_t)days * 86400;
    if (!X509_gmtime_adj(X509_getm_notBefore(certificate), -BACK_S) ||
        !ASN1_TIME_set(X509_getm_notAfter(certificate), until))
        return false;
    return ASN1_TIME_compare(X509_get0_notAfter(certificate), most) <= 0 ||
           X509_set1_notAfter(certificate, most) == 1;
}

static bool add_extensions(X509 *certificate, const struct authority *authority)
{
    static const struct {
        int nid;
        const char *value;
    } extensions[] = {
        {NID_basic_constraints,        "critical,CA:FALSE"        },
        {NID_key_usage,                "critical,digitalSignature"},
        {NID_ext_key_usage,            "clientAuth"               },
        {NID_subject_key_identifier,   "hash"                     },
        {NID_authority_key_identifier, "keyid"                    },
    };
    X509V3_CTX context;
    X509V3_set_ctx(&context, authority->certificate, certificate, NULL, NULL, 0);
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        X509_EXTENSION *extension =
            X509V3_EXT_conf_nid(NULL, &context, extensions[i].nid, extensions[i].value);
        int added = extension ? X509_add_ext(certificate, extension, -1) : 0;
        X509_EXTENSION_free(extension);
        if (!added)
            return false;
    }
    return true;
}

static int write_name(const X509_NAME *name, char text[AUTHORITY_NAME_SIZE],
                      struct error_text *error)
{
    char *line = X509_NAME_oneline(name, NULL, 0); /* as the server compares it */
    if (!line)
        return crypto_error(error, "write the name of a certificate");
    size_t length = strlen(line);
    if (length < AUTHORITY_NAME_SIZE)
        memcpy(text, line, length + 1);
    OPENSSL_free(line);
    return length < AUTHORITY_NAME_SIZE
               ? 0
               : error_set(error, -ENAMETOOLONG, "the name of the authority is too long");
}

static int describe(const X509 *made, struct certificate *certificate, struct error_text *error)
{
    BIO *text CLEANUP(cleanup_bio) = BIO_new(BIO_s_mem());
    struct tm until = {0};
    char *data;
    if (!text || PEM_write_bio_X509(text, made) != 1 ||
        ASN1_TIME_to_tm(X509_get0_notAfter(made), &until) != 1)
        return crypto_error(error, "write a certificate");
    long length = BIO_get_mem_data(text, &data);
    buffer_append(&certificate->pem, data, (size_t)length);
    certificate->until = timegm(&until);
    int r = write_name(X509_get_subject_name(made), certificate->subject, error);
    if (r == 0)
        r = write_name(X509_get_issuer_name(made), certificate->issuer, error);
    return r == 0 && certificate->pem.failed ? -ENOMEM : r;
}

static int read_request(X509_REQ **requestp, struct slice text, struct error_text *error)
{
    BIO *source CLEANUP(cleanup_bio) = BIO_new_mem_buf(text.data, (int)text.length);
    X509_REQ *request CLEANUP(cleanup_request) =
        source ? PEM_read_bio_X509_REQ(source, NULL, no_password, NULL) : NULL;
    EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;
    bool is_right = key && X509_REQ_verify(request, key) == 1;
    ERR_clear_error();
    if (!is_right)
        return error_set(error, -EBADMSG,
                         "the request for a certificate is none, or not signed with its own key");
    *requestp = request;
    request = NULL;
    return 0;
}

int authority_sign(struct authority *authority, struct slice request_text, const char *account,
                   unsigned days, struct certificate *certificate, struct error_text *error)
{
    X509_REQ *request CLEANUP(cleanup_request) = NULL;
    X509 *made CLEANUP(cleanup_x509) = X509_new();
    int r = read_request(&request, request_text, error);
    if (r < 0)
        return r;
    if (!made || X509_set_version(made, X509_VERSION_3) != 1 ||
        !set_serial(made, certificate->serial) ||
        !set_names(made, authority, account, certificate->serial) ||
        !set_times(made, authority, days) ||
        X509_set_pubkey(made, X509_REQ_get0_pubkey(request)) != 1 ||
        !add_extensions(made, authority) ||
        X509_sign(made, authority->key, digest_of(authority->key)) <= 0)
        return crypto_error(error, "make a certificate");
    return describe(made, certificate, error);
}

void certificate_deinit(struct certificate *certificate)
{
    buffer_deinit(&certificate->pem);
}

/* ---- taking back ---- */

static int read_list(const struct authority *authority, X509_CRL **listp, struct error_text *error)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    int r = private_file_read(authority->list, FILE_MOST, &text, error);
    if (r == -ENOENT) {
        *listp = X509_CRL_new();
        return *listp ? 0 : -ENOMEM;
    }
    if (r < 0)
        return r;
    BIO *source CLEANUP(cleanup_bio) = BIO_new_mem_buf(text.data, (int)text.length);
    *listp = source ? PEM_read_bio_X509_CRL(source, NULL, no_password, NULL) : NULL;
    ERR_clear_error();
    return *listp ? 0
                  : error_set(error, -EBADMSG, "%s is no revocation list (PEM)", authority->list);
}

static bool set_number(X509_CRL *list)
{
    ASN1_INTEGER *number CLEANUP(cleanup_integer) =
        X509_CRL_get_ext_d2i(list, NID_crl_number, NULL, NULL);
    int64_t value = 0;
    if (!number)
        number = ASN1_INTEGER_new();
    else if (ASN1_INTEGER_get_int64(&value, number) != 1)
        return false;
    return number && ASN1_INTEGER_set_int64(number, value + 1) == 1 &&
           X509_CRL_add1_ext_i2d(list, NID_crl_number, number, 0, X509V3_ADD_REPLACE) == 1;
}

static bool set_list(X509_CRL *list, const struct authority *authority)
{
    ASN1_TIME *now CLEANUP(cleanup_time) = ASN1_TIME_set(NULL, time(NULL));
    return now && X509_CRL_set_version(list, 1 /* 2, in its own count */) == 1 &&
           X509_CRL_set_issuer_name(list, X509_get_subject_name(authority->certificate)) == 1 &&
           X509_CRL_set1_lastUpdate(list, now) == 1 &&
           X509_CRL_set1_nextUpdate(list, X509_get0_notAfter(authority->certificate)) == 1 &&
           set_number(list) && X509_CRL_sort(list) == 1 &&
           X509_CRL_sign(list, authority->key, digest_of(authority->key)) > 0;
}

static int add_revoked(X509_CRL *list, ASN1_INTEGER *serial)
{
    X509_REVOKED *there = NULL;
    if (X509_CRL_get0_by_serial(list, &there, serial) > 0)
        return 0;
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *now CLEANUP(cleanup_time) = ASN1_TIME_set(NULL, time(NULL));
    if (entry && now && X509_REVOKED_set_serialNumber(entry, serial) == 1 &&
        X509_REVOKED_set_revocationDate(entry, now) == 1 && X509_CRL_add0_revoked(list, entry) == 1)
        return 0;
    X509_REVOKED_free(entry);
    return -EIO;
}

/** The server has to read it, so it is no secret. */
static int write_list(const struct authority *authority, X509_CRL *list, struct error_text *error)
{
    BIO *text CLEANUP(cleanup_bio) = BIO_new(BIO_s_mem());
    char *data;
    if (!text || PEM_write_bio_X509_CRL(text, list) != 1)
        return crypto_error(error, "write a revocation list");
    long length = BIO_get_mem_data(text, &data);
    int r = private_file_write(authority->list, slice_of(data, (size_t)length), error);
    if (r == 0 && chmod(authority->list, 0644) < 0)
        r = error_set(error, -errno, "cannot let the server read %s: %s", authority->list,
                      strerror(errno));
    return r;
}

/** Two administrators at once would each write the list without what the other added. */
static int lock_directory(const struct authority *authority, struct error_text *error)
{
    int fd = open(authority->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX) == 0)
        return fd;
    int r = -errno;
    if (fd >= 0)
        close(fd);
    return error_set(error, r, "cannot lock %s: %s", authority->directory, strerror(-r));
}

int authority_revoke(struct authority *authority, const char *serial, struct error_text *error)
{
    int lock AUTO_CLOSE = lock_directory(authority, error);
    if (lock < 0)
        return lock;
    BIGNUM *number CLEANUP(cleanup_bignum) = NULL;
    X509_CRL *list CLEANUP(cleanup_crl) = NULL;
    int r = read_list(authority, &list, error);
    if (r < 0)
        return r;
    if (!BN_hex2bn(&number, serial))
        return error_set(error, -EINVAL, "%.40s is no serial number", serial);
    ASN1_INTEGER *wanted CLEANUP(cleanup_integer) = BN_to_ASN1_INTEGER(number, NULL);
    if (!wanted || add_revoked(list, wanted) < 0 || !set_list(list, authority))
        return crypto_error(error, "make a revocation list");
    return write_list(authority, list, error);
}
