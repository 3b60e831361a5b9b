/* A table by address and a list by use. Remote addresses are chosen by strangers, so the hash has a
 * secret: nobody can choose addresses that fall into one slot. No row depends on it. */
#include "recorder/tracker/host_names_private.h"

#include "core/plain_address.h"

#include <arpa/inet.h>
#include <openssl/rand.h>
#include <stdlib.h>

static const uint64_t second_ns = UINT64_C(1000000000);

enum { NAME_S = 3600, NO_NAME_S = 300, SILENCE_S = 30, ANSWER_S = 60 };

static unsigned long entry_hash(const void *item)
{
    return ((const struct host_name *)item)->hash;
}

static int entry_compare(const void *a, const void *b)
{
    return plain_address_compare(&((const struct host_name *)a)->address,
                                 &((const struct host_name *)b)->address);
}

static unsigned long address_hash(const struct host_names *names,
                                  const struct inet_address *address)
{
    uint64_t words[2];
    memcpy(words, address->bytes, sizeof(words));
    unsigned __int128 product = (unsigned __int128)(words[0] ^ names->secret[0]) *
                                (words[1] ^ names->secret[1] ^ address->family);
    return (unsigned long)((uint64_t)product ^ (uint64_t)(product >> 64));
}

int host_names_new(struct host_names **namesp, const struct host_names_options *options)
{
    struct host_names *names = calloc(1, sizeof(*names));
    if (!names)
        return -ENOMEM;
    names->options = *options;
    TAILQ_INIT(&names->used);
    names->by_address = OPENSSL_LH_new(entry_hash, entry_compare);
    if (!names->by_address ||
        RAND_bytes((unsigned char *)names->secret, sizeof(names->secret)) != 1) {
        host_names_free(names);
        return -ENOMEM;
    }
    *namesp = names;
    return 0;
}

static void forget(struct host_names *names, struct host_name *name)
{
    TAILQ_REMOVE(&names->used, name, in_use);
    OPENSSL_LH_delete(names->by_address, name);
    shared_text_unref(name->name);
    free(name);
}

struct host_names *host_names_free(struct host_names *names)
{
    if (names) {
        while (!TAILQ_EMPTY(&names->used))
            forget(names, TAILQ_FIRST(&names->used));
        OPENSSL_LH_free(names->by_address);
        host_names_restore_free(names);
        free(names);
    }
    return NULL;
}

static void send_line(struct host_names *names)
{
    int error = row_output_send(names->options.output);
    if (error)
        row_output_refused(names->options.output, false, error);
}

void host_names_end_row(struct host_names *names, struct host_name *name, uint64_t ended_us,
                        enum end_cause cause)
{
    struct line *line = &names->options.output->line;
    if (!name->id)
        return;
    line_begin(line, VERB_END, TABLE_ADDRESS_NAME, name->id);
    line_time(line, ended_us > name->created_us ? ended_us : name->created_us);
    line_word(line, end_cause_name(cause));
    send_line(names);
    name->id = 0;
    names->n_rows--;
}

static int insert_row(struct host_names *names, const struct host_name *name)
{
    static const char *const sources[] = {"hosts", "dns"};
    _Static_assert(sizeof(sources) / sizeof(sources[0]) == NAME_ORIGIN_N, "name each origin");
    struct line *line = &names->options.output->line;
    char address[INET6_ADDRSTRLEN];
    inet_ntop(name->address.family, name->address.bytes, address, sizeof(address));
    line_begin(line, VERB_INSERT, TABLE_ADDRESS_NAME, name->id);
    line_time(line, name->created_us);
    row_output_seen_by(names->options.output, SEEN_BY_AGENT);
    line_word(line, address);
    line_evidence(line, shared_text_slice(name->name));
    line_word(line, sources[name->origin]);
    line_nulls(line, 2);
    return row_output_send(names->options.output);
}

/* A row that is refused is written when it is learned again. */
static void begin_row(struct host_names *names, struct host_name *name, uint64_t created_us)
{
    name->id = timeline_id(names->options.output->timeline);
    name->created_us = created_us;
    int error = insert_row(names, name);
    if (error) {
        row_output_refused(names->options.output, false, error);
        name->id = 0;
        return;
    }
    names->n_rows++;
}

void host_names_trim(struct host_names *names, size_t most, uint64_t ended_us)
{
    while (OPENSSL_LH_num_items(names->by_address) > most) {
        struct host_name *last = TAILQ_LAST(&names->used, host_name_list);
        host_names_end_row(names, last, ended_us, END_CLOSED);
        forget(names, last);
    }
}

static struct host_name *find(struct host_names *names, const struct inet_address *address)
{
    struct host_name key = {.address = *address, .hash = address_hash(names, address)};
    return OPENSSL_LH_retrieve(names->by_address, &key);
}

struct host_name *host_names_entry(struct host_names *names, const struct inet_address *address)
{
    struct host_name *name = find(names, address);
    if (name)
        return name;
    name = calloc(1, sizeof(*name));
    if (!name)
        return NULL;
    name->address = *address;
    name->hash = address_hash(names, address);
    OPENSSL_LH_insert(names->by_address, name);
    if (OPENSSL_LH_error(names->by_address)) {
        free(name);
        return NULL;
    }
    TAILQ_INSERT_HEAD(&names->used, name, in_use);
    return name;
}

static uint64_t now_us(const struct host_names *names)
{
    const struct timeline *timeline = names->options.output->timeline;
    return timeline_real_us(timeline, timeline->now_boot_ns);
}

/* An answer that is lost on its way must not be waited for for ever. */
static void ask(const struct host_names *names, struct host_name *name, uint64_t now_ns)
{
    if (!names->options.ask || names->options.ask(names->options.user, &name->address))
        name->due_ns = now_ns + ANSWER_S * second_ns;
}

bool host_names_find(struct host_names *names, const struct inet_address *address, uint64_t now_ns,
                     struct slice *text)
{
    struct inet_address plain = plain_address(address);
    *text = SLICE_NULL;
    if (!names->options.active || plain.family == 0 || plain_address_is_unspecified(&plain))
        return true;
    struct host_name *name = host_names_entry(names, &plain);
    if (!name)
        return true;
    TAILQ_REMOVE(&names->used, name, in_use);
    TAILQ_INSERT_HEAD(&names->used, name, in_use);
    host_names_trim(names, names->options.addresses_most, now_us(names));
    if (now_ns >= name->due_ns)
        ask(names, name, now_ns);
    *text = name->known ? shared_text_slice(name->name) : SLICE_NULL;
    return name->known;
}

static bool same_answer(const struct host_name *name, const struct fact_host_name *fact)
{
    struct slice before = shared_text_slice(name->name);
    return name->id && name->origin == fact->origin &&
           slice_is_null(before) == slice_is_null(fact->name) && slice_equal(before, fact->name);
}

static void learn_answer(struct host_names *names, struct host_name *name,
                         const struct fact_host_name *fact, uint64_t boot_ns)
{
    bool any = !slice_is_null(fact->name);
    struct shared_text *text = any ? shared_text_new(fact->name) : NULL;
    if (any && !text)
        return;
    name->known = true;
    name->due_ns = boot_ns + (any ? NAME_S : NO_NAME_S) * second_ns;
    if (same_answer(name, fact)) {
        shared_text_unref(text);
        return;
    }
    uint64_t learned_us = timeline_real_us(names->options.output->timeline, boot_ns);
    host_names_end_row(names, name, learned_us, END_REMOVED);
    shared_text_unref(name->name);
    name->name = text;
    name->origin = fact->origin;
    begin_row(names, name, learned_us);
}

void host_names_learn(struct host_names *names, const struct fact_host_name *fact, uint64_t boot_ns)
{
    struct inet_address plain = plain_address(&fact->address);
    struct host_name *name = find(names, &plain);
    if (!name)
        return; /* not in use, or forgotten since it was asked for */
    if (fact->answered) {
        learn_answer(names, name, fact, boot_ns);
    } else if (fact->origin == NAME_FROM_DNS) {
        name->known = true;
        name->due_ns = boot_ns + SILENCE_S * second_ns;
    } else if (name->origin == NAME_FROM_HOSTS && (name->known || name->id)) {
        uint64_t gone_us = timeline_real_us(names->options.output->timeline, boot_ns);
        host_names_end_row(names, name, gone_us, END_REMOVED);
        name->due_ns = 0;
    }
}

void host_names_checkpoint(struct host_names *names)
{
    struct host_name *name;
    TAILQ_FOREACH_REVERSE(name, &names->used, host_name_list, in_use)
    if (name->id && insert_row(names, name) != 0)
        return; /* the checkpoint before stays */
}

size_t host_names_open_rows(const struct host_names *names)
{
    return names->n_rows;
}
