/* A row is kept as what it is about (its place and next hop) and as the text of its line, so that
 * it can be written when its interface has long been called something else. What waits for the
 * sink, open or ended, counts as a row in memory until it is written. */
#include "recorder/networks/networks_private.h"

#include "core/evidence_text.h"
#include "core/hash.h"
#include "core/inet_address.h"

#include <stdlib.h>

unsigned long network_hash(const void *bytes, size_t length)
{
    return (unsigned long)hash_slice(HASH_START, slice_of(bytes, length));
}

struct network_place *network_place_find(const struct networks *n, const struct network_key *key)
{
    struct network_place place = {.key = *key};
    return OPENSSL_LH_retrieve(n->places, &place);
}

static struct network_place *place_get(struct networks *n, const struct network_key *key)
{
    struct network_place *place = network_place_find(n, key);
    if (place)
        return place;
    place = calloc(1, sizeof(*place));
    if (!place)
        return NULL;
    place->key = *key;
    TAILQ_INIT(&place->rows);
    OPENSSL_LH_insert(n->places, place);
    if (OPENSSL_LH_error(n->places)) {
        free(place);
        return NULL;
    }
    return place;
}

void network_beyond(struct networks *n)
{
    if (!n->scanning)
        n->beyond++;
    else if (!n->routes_only)
        n->scan_beyond++;
}

/* -- the text of a line -- */

static void append_name(struct buffer *text, const struct network_link *link)
{
    struct buffer evidence CLEANUP(buffer_deinit) = BUFFER_NULL;
    if (link->index)
        evidence_text_append(&evidence, slice_text(link->name));
    text->failed |= evidence.failed;
    evidence_field_append(text, link->index ? buffer_slice(&evidence) : SLICE_NULL);
}

static void append_mac(struct buffer *text, const struct network_link *link)
{
    if (link->mac_length == 0)
        buffer_append_text(text, "\\N");
    for (size_t i = 0; i < link->mac_length; i++)
        buffer_printf(text, i ? ":%02x" : "%02x", link->mac[i]);
}

static void append_address(struct buffer *text, uint8_t family, const uint8_t bytes[16])
{
    struct inet_address address = {.family = family};
    char words[INET_ADDRESS_TEXT];
    memcpy(address.bytes, bytes, sizeof(address.bytes));
    inet_address_text(&address, words);
    buffer_append_text(text, words[0] ? words : "\\N");
}

static const char *family_name(uint8_t family)
{
    return family == AF_INET ? "inet" : "inet6";
}

static void append_interface(struct buffer *text, const struct network_key *key,
                             const struct network_link *link)
{
    append_name(text, link);
    buffer_append_byte(text, '\t');
    append_mac(text, link);
    buffer_append_byte(text, '\t');
    append_address(text, key->family, key->address);
    if (key->kind == NETWORK_INTERFACE)
        buffer_append_text(text, "\t\\N\t\\N");
    else
        buffer_printf(text, "\t%u\t%s", key->prefix_length, family_name(key->family));
}

static void append_route(struct buffer *text, const struct network_key *key,
                         const struct network_hop *hop, const struct network_link *link)
{
    append_address(text, key->family, key->address);
    buffer_printf(text, "\t%u\t", key->prefix_length);
    append_address(text, hop->gateway.family, hop->gateway.bytes);
    buffer_append_byte(text, '\t');
    append_name(text, link);
    buffer_printf(text, "\t%u\t%u\t%s", key->table, key->metric, family_name(key->family));
}

static struct shared_text *values_text(struct networks *n, const struct network_key *key,
                                       const struct network_hop *hop,
                                       const struct network_link *link)
{
    buffer_clear(&n->text);
    if (key->kind == NETWORK_ROUTE)
        append_route(&n->text, key, hop, link);
    else
        append_interface(&n->text, key, link);
    return n->text.failed ? NULL : shared_text_new(buffer_slice(&n->text));
}

/* -- writing -- */

void network_row_free(struct networks *n, struct network_row *row)
{
    shared_text_unref(row->row.values);
    free(row);
    n->n_rows--;
}

void networks_tick(struct networks *n)
{
    text_rows_tick(&n->rows);
}

void networks_flush(struct networks *n)
{
    text_rows_flush(&n->rows);
}

/* -- rows -- */

static struct network_row *new_row(struct networks *n, const struct network_key *key,
                                   const struct network_hop *hop, const struct network_link *link)
{
    struct network_row *row = calloc(1, sizeof(*row));
    if (!row)
        return NULL;
    row->row = (struct text_row){.table = key->kind == NETWORK_ROUTE ? TABLE_ROUTE
                                                                     : TABLE_INTERFACE_ADDRESS,
                                 .seen_by = SEEN_BY_RTNETLINK,
                                 .values = values_text(n, key, hop, link)};
    row->place = row->row.values ? place_get(n, key) : NULL;
    if (!row->place) {
        shared_text_unref(row->row.values);
        free(row);
        return NULL;
    }
    return row;
}

struct network_row *network_row_begin(struct networks *n, const struct network_key *key,
                                      const struct network_hop *hop, struct network_link *link,
                                      uint64_t at_ns)
{
    struct network_row *row = n->n_rows < n->most ? new_row(n, key, hop, link) : NULL;
    if (!row) {
        network_beyond(n);
        return NULL;
    }
    n->n_rows++;
    row->hop = *hop;
    row->link = link;
    row->generation = n->generation;
    TAILQ_INSERT_TAIL(&row->place->rows, row, in_place);
    TAILQ_INSERT_TAIL(&link->rows, row, in_link);
    if (network_restore_take(n, row))
        return row;
    text_row_begin(&n->rows, &row->row, timeline_real_us(n->output->timeline, at_ns));
    return row;
}

static void unlink_row(struct networks *n, struct network_row *row)
{
    struct network_place *place = row->place;
    if (!place)
        return;
    TAILQ_REMOVE(&place->rows, row, in_place);
    TAILQ_REMOVE(&row->link->rows, row, in_link);
    if (TAILQ_EMPTY(&place->rows))
        free(OPENSSL_LH_delete(n->places, place));
    row->place = NULL;
}

void network_row_end(struct networks *n, struct network_row *row, uint64_t ended_us,
                     enum end_cause cause)
{
    unlink_row(n, row);
    text_row_end(&n->rows, &row->row, ended_us, cause);
}

void network_row_restart(struct networks *n, struct network_row *row, uint64_t at_ns)
{
    const struct network_key key = row->place->key;
    const struct network_row before = *row;
    network_row_end(n, row, timeline_real_us(n->output->timeline, at_ns), END_REMOVED);
    struct network_row *after = network_row_begin(n, &key, &before.hop, before.link, at_ns);
    if (!after)
        return;
    after->generation = before.generation;
    after->multipath = before.multipath;
}

void network_rows_free(struct networks *n)
{
    struct network_link *link;
    struct network_row *row;
    text_rows_deinit(&n->rows);
    TAILQ_FOREACH(link, &n->links, in_links)
    while ((row = TAILQ_FIRST(&link->rows))) {
        TAILQ_REMOVE(&link->rows, row, in_link);
        network_row_free(n, row);
    }
    if (n->places)
        OPENSSL_LH_doall(n->places, free);
}

static void checkpoint_left_open(void *item, void *user)
{
    struct networks *n = user;
    for (const struct network_row *row = item; row; row = row->next_left_open)
        text_row_checkpoint(&n->rows, &row->row);
}

void networks_checkpoint(struct networks *n)
{
    const struct network_link *link;
    const struct network_row *row;
    TAILQ_FOREACH(link, &n->links, in_links)
    TAILQ_FOREACH(row, &link->rows, in_link)
    text_row_checkpoint(&n->rows, &row->row);
    text_rows_checkpoint_waiting(&n->rows);
    OPENSSL_LH_doall_arg(n->left_open, checkpoint_left_open, n);
}
