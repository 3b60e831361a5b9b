/* The number of a line is SHA-256 over the secret and the line's key, which has one length, cut to
 * 128 bits; its halves are summed apart, so that each is one atomic addition. */
#include "reports/verify/line_sums.h"

#include <stdlib.h>

int line_sums_init(struct line_sums *sums, size_t n)
{
    sums->n = n ? n : 1;
    sums->sums = calloc(2 * sums->n, sizeof(*sums->sums));
    return sums->sums ? 0 : -ENOMEM;
}

void line_sums_deinit(struct line_sums *sums)
{
    free(sums->sums);
    sums->sums = NULL;
}

size_t line_sums_bucket(const struct line_sums *sums, uint64_t batch)
{
    return (size_t)(batch % sums->n);
}

bool line_sums_is_zero(const struct line_sums *sums, size_t bucket)
{
    return sums->sums[2 * bucket] == 0 && sums->sums[2 * bucket + 1] == 0;
}

static uint8_t *put(uint8_t *to, const void *from, size_t length)
{
    memcpy(to, from, length);
    return to + length;
}

int line_sums_change(struct line_sums *sums, struct batch_digest *digest,
                     const uint8_t secret[LINE_SECRET_SIZE], const struct line_key *line, bool add)
{
    uint8_t text[54], *end = text; /* with its padding one block of SHA-256 */
    uint8_t table = (uint8_t)line->table, verb = (uint8_t)line->verb;
    uint64_t number[2];
    end = put(end, secret, LINE_SECRET_SIZE);
    end = put(end, &line->id, sizeof(line->id));
    end = put(end, &line->batch, sizeof(line->batch));
    end = put(end, &line->host_id, sizeof(line->host_id));
    end = put(end, &table, 1);
    end = put(end, &verb, 1);
    end = put(end, line->digest, BATCH_DIGEST_SIZE);
    int outcome =
        batch_digest_line(digest, slice_of(text, (size_t)(end - text)), (uint8_t *)(void *)number);
    if (outcome)
        return outcome;
    _Atomic uint64_t *sum = &sums->sums[2 * line_sums_bucket(sums, line->batch)];
    for (int i = 0; i < 2; i++)
        atomic_fetch_add_explicit(&sum[i], add ? number[i] : 0 - number[i], memory_order_relaxed);
    return 0;
}
