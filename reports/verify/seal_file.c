/* The text is made without checks first: they are of what it says. */
#include "reports/verify/seal_file_private.h"

#include "core/cleanup.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <time.h>

static const char explanation[] =
    "# Where the chain of each host's sealed batches ended, as the server had it.\n"
    "# Kept elsewhere, it proves with `vestige verify --against` that nobody, root\n"
    "# of the server included, changed or removed later what had arrived by then.\n"
    "# It does not prove that what a host sealed was true, nor anything about later\n"
    "# batches, or about hosts that are not named here.\n";

void seal_deinit(struct seal *seal)
{
    buffer_deinit(&seal->hosts);
    seal->n_hosts = 0;
}

struct seal_host *seal_add(struct seal *seal)
{
    static const struct seal_host empty;
    buffer_append(&seal->hosts, &empty, sizeof(empty));
    if (seal->hosts.failed)
        return NULL;
    return (struct seal_host *)(void *)seal->hosts.data + seal->n_hosts++;
}

const struct seal_host *seal_host_at(const struct seal *seal, size_t index)
{
    return (const struct seal_host *)(const void *)seal->hosts.data + index;
}

bool seal_name_valid(struct slice name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (name.length == 0 || name.length >= SEAL_NAME_SIZE)
        return false;
    for (size_t i = 0; i < name.length; i++)
        if (!name.data[i] || !strchr(good, name.data[i]))
            return false;
    return true;
}

/* ---- writing ---- */

static void print_hex(struct buffer *to, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        buffer_printf(to, "%s%02x", i % 4 == 0 ? " " : "", bytes[i]);
    buffer_append_byte(to, '\n');
}

static void print_moment(struct buffer *to, const char *key, int64_t us)
{
    char text[32];
    time_t seconds = (time_t)(us / SEAL_SECOND_US);
    struct tm tm;
    if (us < 0 || !gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%d %T", &tm))
        to->failed = true;
    else
        buffer_printf(to, "%s %s.%06d\n", key, text, (int)(us % SEAL_SECOND_US));
}

void seal_print_head(struct buffer *to, const struct seal *seal)
{
    buffer_append_text(to, "vestige seal 1\n");
    print_moment(to, "at", seal->at_us);
    buffer_printf(to, "hosts %zu\n", seal->n_hosts);
}

static void print_halves(struct buffer *to, const char *key, const uint8_t bytes[32])
{
    for (size_t half = 0; half < 2; half++) {
        buffer_append_text(to, key);
        print_hex(to, bytes + 16 * half, 16);
    }
}

void seal_print_host(struct buffer *to, const struct seal_host *host)
{
    char key[40];
    buffer_printf(to, "host %" PRIu64 " %s\nbatches %" PRIu64 "\nlast %" PRIu64 "\n", host->host_id,
                  host->name, host->n_batches, host->last);
    if (host->last) {
        print_moment(to, "received", host->received_us);
        print_halves(to, "hash", host->hash);
    }
    for (size_t i = 0; i < host->n_keys; i++) {
        snprintf(key, sizeof(key), "key %" PRIu64, host->keys[i].number);
        print_halves(to, key, host->keys[i].public_key);
    }
}

/* Of the text from @p from on. */
bool seal_compute_check(const struct buffer *text, size_t from, uint8_t check[SEAL_CHECK_SIZE])
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    struct slice all = buffer_slice(text);
    if (text->failed ||
        EVP_Digest(all.data + from, all.length - from, hash, NULL, EVP_sha256(), NULL) != 1)
        return false;
    memcpy(check, hash, SEAL_CHECK_SIZE);
    return true;
}

static void print_check(struct buffer *to, const char *key, const struct buffer *text, size_t from)
{
    uint8_t check[SEAL_CHECK_SIZE];
    buffer_append_text(to, key);
    if (seal_compute_check(text, from, check))
        print_hex(to, check, sizeof(check));
    else
        to->failed = true;
}

void seal_print(struct buffer *to, const struct seal *seal)
{
    struct buffer plain = BUFFER_NULL; /* what is said, without checks */
    buffer_append_text(to, explanation);
    for (size_t i = 0; i <= seal->n_hosts; i++) {
        size_t from = plain.length;
        if (i == 0)
            seal_print_head(&plain, seal);
        else
            seal_print_host(&plain, seal_host_at(seal, i - 1));
        if (!plain.failed)
            buffer_append(to, plain.data + from, plain.length - from);
        print_check(to, "check", &plain, from);
        buffer_append_byte(to, '\n');
    }
    print_check(to, "end", &plain, 0);
    buffer_deinit(&plain);
}
