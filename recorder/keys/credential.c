/* Keys are of the curve P-256: small, and every TLS library has it. */
#include "recorder/keys/credential.h"

#include "core/cleanup.h"
#include "core/hex.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <time.h>

#define PASSWORD_BYTES 32

DEFINE_CLEANUP(cleanup_pair, EVP_PKEY, EVP_PKEY_free);
DEFINE_CLEANUP(cleanup_request, X509_REQ, X509_REQ_free);
DEFINE_CLEANUP(cleanup_certificate, X509, X509_free);
DEFINE_CLEANUP(cleanup_bio, BIO, BIO_free_all);
DEFINE_CLEANUP(cleanup_context, EVP_MD_CTX, EVP_MD_CTX_free);

int credential_make_password(char password[PASSWORD_SIZE], struct error_text *error)
{
    unsigned char bytes[PASSWORD_BYTES], text[4 * ((PASSWORD_BYTES + 2) / 3) + 1];
    _Static_assert(sizeof(text) <= PASSWORD_SIZE, "base64 of the bytes");
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return error_set(error, -EIO, "libcrypto gives no random bytes");
    int length = EVP_EncodeBlock(text, bytes, sizeof(bytes));
    for (int i = 0; i < length; i++) /* no character that an option file would treat specially */
        password[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i];
    while (length > 0 && password[length - 1] == '=')
        length--;
    password[length] = '\0';
    OPENSSL_cleanse(bytes, sizeof(bytes));
    OPENSSL_cleanse(text, sizeof(text));
    return 0;
}

int credential_hash_password(const char *password, char hash[PASSWORD_HASH_SIZE],
                             struct error_text *error)
{
    unsigned char once[EVP_MAX_MD_SIZE], twice[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!EVP_Digest(password, strlen(password), once, &length, EVP_sha1(), NULL) ||
        !EVP_Digest(once, length, twice, &length, EVP_sha1(), NULL) || length != 20)
        return error_set(error, -EIO, "libcrypto cannot compute the hash of a password");
    hash[0] = '*';
    for (unsigned i = 0; i < length; i++)
        snprintf(hash + 1 + 2 * (size_t)i, 3, "%02X", twice[i]);
    OPENSSL_cleanse(once, sizeof(once));
    return 0;
}

static void take_bio(struct buffer *to, BIO *text)
{
    char *data;
    long length = BIO_get_mem_data(text, &data);
    buffer_append(to, data, (size_t)length);
}

static bool write_key(struct buffer *to, EVP_PKEY *pair)
{
    BIO *text CLEANUP(cleanup_bio) = BIO_new(BIO_s_secmem());
    if (!text || PEM_write_bio_PKCS8PrivateKey(text, pair, NULL, NULL, 0, NULL, NULL) != 1)
        return false;
    take_bio(to, text);
    return !to->failed;
}

static bool write_request(struct buffer *to, EVP_PKEY *pair, const char *name)
{
    X509_REQ *request CLEANUP(cleanup_request) = X509_REQ_new();
    BIO *text CLEANUP(cleanup_bio) = BIO_new(BIO_s_mem());
    char common_name[65]; /* X.520 allows 64 characters */
    snprintf(common_name, sizeof(common_name), "%s", name);
    if (!request || !text || X509_REQ_set_pubkey(request, pair) != 1 ||
        X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)common_name, -1, -1, 0) != 1 ||
        X509_REQ_sign(request, pair, EVP_sha256()) <= 0 ||
        PEM_write_bio_X509_REQ(text, request) != 1)
        return false;
    take_bio(to, text);
    return !to->failed;
}

int credential_make_key(struct buffer *key, struct buffer *request, const char *name,
                        struct error_text *error)
{
    EVP_PKEY *pair CLEANUP(cleanup_pair) = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    if (pair && write_key(key, pair) && write_request(request, pair, name))
        return 0;
    ERR_clear_error();
    return error_set(error, -EIO, "libcrypto cannot make a key and a request for a certificate");
}

int credential_fingerprint(struct slice request, const uint8_t *signing_key, const char *hash,
                           char fingerprint[FINGERPRINT_SIZE], struct error_text *error)
{
    EVP_MD_CTX *context CLEANUP(cleanup_context) = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL) ||
        !EVP_DigestUpdate(context, request.data, request.length) ||
        !EVP_DigestUpdate(context, signing_key, 32) ||
        !EVP_DigestUpdate(context, hash, strlen(hash)) ||
        !EVP_DigestFinal_ex(context, digest, &length) || length != 32)
        return error_set(error, -EIO, "libcrypto cannot compute SHA-256");
    hex_text(fingerprint, digest, length);
    return 0;
}

int credential_certificate_until(struct slice pem, int64_t *until)
{
    BIO *text CLEANUP(cleanup_bio) = BIO_new_mem_buf(pem.data, (int)pem.length);
    X509 *certificate CLEANUP(cleanup_certificate) =
        text ? PEM_read_bio_X509(text, NULL, NULL, NULL) : NULL;
    struct tm moment = {0};
    if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &moment) != 1) {
        ERR_clear_error();
        return -EBADMSG;
    }
    *until = timegm(&moment);
    return 0;
}
