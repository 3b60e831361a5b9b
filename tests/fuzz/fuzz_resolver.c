// links: vestige_resolver
/* The first byte chooses: 0 a message of the resolver, 1 a hosts file, 2 a reply of DNS. */
#include "fuzz_messages.h"

#include "collectors/resolver/dns_reply.h"
#include "collectors/resolver/hosts_table.h"
#include "collectors/resolver/resolver_source.h"
#include "core/plain_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is what would have been written. */
static void take_answer(void *user, const struct fact *fact)
{
    const struct slice *message = user;
    uint8_t bytes[RESOLVER_MESSAGE_MOST];
    size_t length = resolver_message_write(bytes, &fact->host_name);
    if (fact->kind != FACT_HOST_NAME || !slice_equal(*message, slice_of(bytes, length)))
        abort();
}

static void run_message(struct slice bytes)
{
    struct message message = {.source = SOURCE_RESOLVER, .kind = MESSAGE_DATA, .bytes = bytes};
    uint64_t n_facts = 0;
    int data = resolver_decode(NULL, &message, take_answer, &bytes);
    message.kind = MESSAGE_NOTE;
    int note = resolver_decode(NULL, &message, fuzz_read_fact, &n_facts);
    if ((data != 0 && data != -EBADMSG) || (note != 0 && note != -EBADMSG))
        abort();
}

struct reading {
    const struct hosts_table *before, *after;
};

static void take_change(void *user, const struct inet_address *address, struct slice name)
{
    const struct reading *reading = user;
    struct slice before = hosts_table_find(reading->before, address);
    struct slice after = hosts_table_find(reading->after, address);
    fuzz_read(name);
    if (slice_is_null(before) && slice_is_null(after))
        abort();
    if (slice_is_null(after) != slice_is_null(name) || !slice_equal(after, name) ||
        (slice_equal(before, after) && !slice_is_null(before) && !slice_is_null(after)))
        abort();
}

/* The whole text against its first half. */
static void run_hosts(struct slice text)
{
    struct hosts_table *half = NULL, *whole = NULL;
    if (hosts_table_new(&half, slice_of(text.data, text.length / 2)) == 0 &&
        hosts_table_new(&whole, text) == 0) {
        struct reading reading = {half, whole};
        hosts_table_compare(half, whole, take_change, &reading);
        reading = (struct reading){whole, half};
        hosts_table_compare(whole, half, take_change, &reading);
    }
    hosts_table_free(half);
    hosts_table_free(whole);
}

static void run_reply(struct slice bytes)
{
    struct dns_name name;
    int r = dns_reply_name(bytes, "1.2.0.192.in-addr.arpa", &name);
    if (r == DNS_REPLY_NAME) {
        if (name.length == 0 || name.length > DNS_NAME_SIZE)
            abort();
        fuzz_read(slice_of(name.bytes, name.length));
    } else if (r != DNS_REPLY_NONE && r != -EBADMSG) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    if (data[0] % 3 == 0)
        run_message(bytes);
    else if (data[0] % 3 == 1)
        run_hosts(bytes);
    else
        run_reply(bytes);
    return 0;
}
