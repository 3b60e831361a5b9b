/* What a fact means. A dump gives the same facts as the changes do, so that a row that is there
 * already is only marked; what a complete dump did not mark is gone. Facts of interfaces that are
 * not known come only before the first dump and after a loss: the dump that follows tells. */
#include "recorder/networks/networks_private.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>

static unsigned long link_hash(const void *item)
{
    return ((const struct network_link *)item)->index * 2654435761UL;
}

static int link_compare(const void *a, const void *b)
{
    return ((const struct network_link *)a)->index != ((const struct network_link *)b)->index;
}

static unsigned long place_hash(const void *item)
{
    const struct network_place *place = item;
    return network_hash(&place->key, sizeof(place->key));
}

static int place_compare(const void *a, const void *b)
{
    return memcmp(&((const struct network_place *)a)->key, &((const struct network_place *)b)->key,
                  sizeof(struct network_key));
}

static void row_over(void *user, struct text_row *row)
{
    network_row_free(user, (struct network_row *)(void *)row);
}

int networks_new(struct networks **networksp, const struct networks_options *options)
{
    struct networks *n = calloc(1, sizeof(*n));
    if (!n)
        return -ENOMEM;
    n->output = options->output;
    n->most = options->most;
    text_rows_init(&n->rows, options->output, row_over, n);
    TAILQ_INIT(&n->links);
    TAILQ_INIT(&n->no_interface.rows);
    TAILQ_INSERT_TAIL(&n->links, &n->no_interface, in_links);
    n->by_index = OPENSSL_LH_new(link_hash, link_compare);
    n->places = OPENSSL_LH_new(place_hash, place_compare);
    if (network_restore_init(n) < 0 || !n->by_index || !n->places) {
        networks_free(n);
        return -ENOMEM;
    }
    *networksp = n;
    return 0;
}

struct networks *networks_free(struct networks *n)
{
    if (!n)
        return NULL;
    network_rows_free(n);
    OPENSSL_LH_doall(n->by_index, free);
    OPENSSL_LH_free(n->by_index);
    OPENSSL_LH_free(n->places);
    network_restore_deinit(n);
    buffer_deinit(&n->text);
    free(n);
    return NULL;
}

static uint64_t real_us(const struct networks *n, uint64_t at_ns)
{
    return timeline_real_us(n->output->timeline, at_ns);
}

/* -- interfaces -- */

static struct network_link *find_link(const struct networks *n, uint32_t index)
{
    struct network_link key = {.index = index};
    return OPENSSL_LH_retrieve(n->by_index, &key);
}

static void drop_link(struct networks *n, struct network_link *link)
{
    TAILQ_REMOVE(&n->links, link, in_links);
    free(OPENSSL_LH_delete(n->by_index, link));
}

static void end_link(struct networks *n, struct network_link *link, uint64_t ended_us,
                     enum end_cause cause)
{
    struct network_row *row;
    while ((row = TAILQ_FIRST(&link->rows)))
        network_row_end(n, row, ended_us, cause);
    if (link != &n->no_interface)
        drop_link(n, link);
}

static void describe(struct network_link *link, const struct fact_link *fact)
{
    size_t length = fact->name.length < IFNAMSIZ ? fact->name.length : IFNAMSIZ - 1;
    memset(link->name, 0, sizeof(link->name));
    memcpy(link->name, fact->name.data, length);
    memcpy(link->mac, fact->address, sizeof(link->mac));
    link->mac_length = fact->address_length;
    link->up = fact->up;
}

static const struct network_hop no_hop;

static struct network_link *new_link(struct networks *n, const struct fact_link *fact)
{
    struct network_link *link = calloc(1, sizeof(*link));
    if (!link)
        return NULL;
    link->index = fact->index;
    describe(link, fact);
    TAILQ_INIT(&link->rows);
    OPENSSL_LH_insert(n->by_index, link);
    if (OPENSSL_LH_error(n->by_index)) {
        free(link);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&n->links, link, in_links);
    return link;
}

static struct network_link *begin_link(struct networks *n, const struct fact *fact)
{
    const struct network_key key = {.kind = NETWORK_INTERFACE, .interface = fact->link.index};
    struct network_link *link = new_link(n, &fact->link);
    if (!link) {
        network_beyond(n);
        return NULL;
    }
    if (network_row_begin(n, &key, &no_hop, link, fact->boot_ns))
        return link;
    drop_link(n, link);
    return NULL;
}

/* Rows of the interface and its addresses have its name and MAC address, those of routes the name
 * alone. A row that begins anew goes to the end of the list. */
static void restart_rows(struct networks *n, struct network_link *link, bool routes, uint64_t at_ns)
{
    const struct network_row *last = TAILQ_LAST(&link->rows, network_rows);
    struct network_row *row = TAILQ_FIRST(&link->rows), *next;
    for (; row; row = next) {
        next = row == last ? NULL : TAILQ_NEXT(row, in_link);
        if (routes || row->row.table == TABLE_INTERFACE_ADDRESS)
            network_row_restart(n, row, at_ns);
    }
}

/* The kernel has removed the routes through an interface that is down, of IPv4 without a word; of
 * those with several next hops a dump tells what is left. */
static void end_routes(struct networks *n, struct network_link *link, uint64_t ended_us)
{
    struct network_row *row = TAILQ_FIRST(&link->rows), *next;
    for (; row; row = next) {
        next = TAILQ_NEXT(row, in_link);
        if (row->row.table == TABLE_ROUTE && !row->multipath)
            network_row_end(n, row, ended_us, END_REMOVED);
    }
}

static void change_link(struct networks *n, struct network_link *link, const struct fact *fact)
{
    const struct network_link before = *link;
    describe(link, &fact->link);
    bool renamed = strcmp(before.name, link->name) != 0;
    bool other_mac = before.mac_length != link->mac_length ||
                     memcmp(before.mac, link->mac, link->mac_length) != 0;
    if (before.up && !link->up)
        end_routes(n, link, real_us(n, fact->boot_ns));
    if (renamed || other_mac)
        restart_rows(n, link, renamed, fact->boot_ns);
}

static void mark(const struct networks *n, struct network_row *row)
{
    row->generation = n->generation;
    row->replaced = false;
}

static void on_link(struct networks *n, const struct fact *fact)
{
    struct network_link *link = find_link(n, fact->link.index);
    if (fact->link.end) {
        if (link)
            end_link(n, link, real_us(n, fact->boot_ns), END_REMOVED);
        return;
    }
    if (link)
        change_link(n, link, fact);
    else
        link = begin_link(n, fact);
    if (!link)
        return;
    const struct network_key key = {.kind = NETWORK_INTERFACE, .interface = link->index};
    const struct network_place *place = network_place_find(n, &key);
    link->generation = n->generation;
    if (place)
        mark(n, TAILQ_FIRST(&place->rows));
}

/* The interface of a fact; NULL: it is not known, or there was no room for it. */
static struct network_link *link_of(struct networks *n, uint32_t index)
{
    struct network_link *link = index ? find_link(n, index) : &n->no_interface;
    if (!link && n->n_rows >= n->most)
        network_beyond(n);
    return link;
}

/* -- addresses -- */

static void on_address(struct networks *n, const struct fact *fact)
{
    const struct fact_address *address = &fact->address;
    struct network_link *link = link_of(n, address->interface);
    struct network_key key = {.kind = NETWORK_ADDRESS,
                              .interface = address->interface,
                              .family = address->address.family,
                              .prefix_length = address->prefix_length};
    if (!link)
        return;
    memcpy(key.address, address->address.bytes, sizeof(key.address));
    memcpy(key.other, address->peer.bytes, sizeof(key.other));
    const struct network_place *place = network_place_find(n, &key);
    if (!place && !address->end)
        network_row_begin(n, &key, &no_hop, link, fact->boot_ns);
    else if (place && address->end)
        network_row_end(n, TAILQ_FIRST(&place->rows), real_us(n, fact->boot_ns), END_REMOVED);
    else if (place)
        mark(n, TAILQ_FIRST(&place->rows));
}

/* -- routes -- */

static struct network_key route_key(const struct fact_route *route)
{
    struct network_key key = {.kind = NETWORK_ROUTE,
                              .table = route->table,
                              .metric = route->metric,
                              .family = route->family,
                              .service = route->service,
                              .prefix_length = route->prefix_length,
                              .source_prefix_length = route->source_prefix_length};
    memcpy(key.address, route->destination.bytes, sizeof(key.address));
    memcpy(key.other, route->source.bytes, sizeof(key.other));
    return key;
}

static struct network_row *find_hop(const struct network_place *place,
                                    const struct network_link *link, const struct network_hop *hop)
{
    struct network_row *row = place ? TAILQ_FIRST(&place->rows) : NULL;
    while (row && (row->link != link || row->hop.type != hop->type ||
                   row->hop.gateway.family != hop->gateway.family ||
                   memcmp(row->hop.gateway.bytes, hop->gateway.bytes, 16) != 0))
        row = TAILQ_NEXT(row, in_place);
    return row;
}

/* An interface is said to be down before the kernel removes its routes, and to be up before it adds
 * any: what a dump shows in between is about to go. */
static bool is_about_to_go(const struct network_link *link, const struct fact_route *route)
{
    return link->index && !link->up && route->n_hops == 1 && route->type == RTN_UNICAST;
}

/* A part of a dump may be older than the removal that is heard before it. What is passed over
 * wrongly is found by the next dump, which each removal brings about. */
static void remember_removal(struct networks *n, const struct network_key *key)
{
    if (n->scanning && n->n_removed < NETWORK_REMOVED_MOST)
        n->removed[n->n_removed++] = network_hash(key, sizeof(*key));
}

static bool may_be_gone(const struct networks *n, const struct network_key *key)
{
    uint64_t hash = network_hash(key, sizeof(*key));
    for (size_t i = 0; i < n->n_removed; i++)
        if (n->removed[i] == hash)
            return true;
    return n->n_removed == NETWORK_REMOVED_MOST;
}

static bool is_stale(const struct networks *n, const struct network_link *link,
                     const struct network_key *key, const struct fact_route *route)
{
    return is_about_to_go(link, route) || (route->dumped && may_be_gone(n, key));
}

static void on_hop(struct networks *n, const struct fact *fact, const struct network_key *key)
{
    const struct fact_route *route = &fact->route;
    const struct network_hop hop = {.gateway = route->gateway, .type = route->type};
    struct network_link *link = link_of(n, route->interface);
    if (!link)
        return;
    struct network_row *row = find_hop(network_place_find(n, key), link, &hop);
    if (route->end)
        remember_removal(n, key);
    if (row && route->end) {
        network_row_end(n, row, real_us(n, fact->boot_ns), END_REMOVED);
        return;
    }
    if (!row && !route->end && !is_stale(n, link, key, route))
        row = network_row_begin(n, key, &hop, link, fact->boot_ns);
    if (!row)
        return;
    mark(n, row);
    row->multipath = route->n_hops > 1;
}

/* A route that replaces takes the place of one: when there are several of the same destination,
 * metric and service, it is not said of which, and a dump tells. */
static void begin_replacing(struct network_place *place)
{
    struct network_row *row;
    bool several = TAILQ_NEXT(TAILQ_FIRST(&place->rows), in_place) != NULL, certain = true;
    TAILQ_FOREACH(row, &place->rows, in_place)
    certain &= row->multipath || !several;
    TAILQ_FOREACH(row, &place->rows, in_place)
    row->replaced = certain;
}

static void end_replaced(struct networks *n, struct network_place *place, uint64_t ended_us)
{
    struct network_row *row = TAILQ_FIRST(&place->rows), *next;
    for (; row; row = next) {
        next = TAILQ_NEXT(row, in_place); /* the last one takes its place along */
        if (row->replaced)
            network_row_end(n, row, ended_us, END_REMOVED);
    }
}

static void on_route(struct networks *n, const struct fact *fact)
{
    const struct fact_route *route = &fact->route;
    const struct network_key key = route_key(route);
    struct network_place *place = network_place_find(n, &key);
    if (route->replaces && route->hop == 0 && place)
        begin_replacing(place);
    on_hop(n, fact, &key);
    place = network_place_find(n, &key);
    if (route->replaces && route->hop + 1 == route->n_hops && place)
        end_replaced(n, place, real_us(n, fact->boot_ns));
}

/* -- dumps -- */

static void sweep_rows(struct networks *n, struct network_link *link, uint64_t ended_us)
{
    struct network_row *row = TAILQ_FIRST(&link->rows), *next;
    for (; row; row = next) {
        next = TAILQ_NEXT(row, in_link);
        if (row->generation != n->generation && (row->row.table == TABLE_ROUTE || !n->routes_only))
            network_row_end(n, row, ended_us, END_REMOVED);
    }
}

static void sweep(struct networks *n)
{
    uint64_t ended_us = real_us(n, n->scan_began_ns);
    struct network_link *link = TAILQ_FIRST(&n->links), *next;
    for (; link; link = next) {
        next = TAILQ_NEXT(link, in_links);
        if (!n->routes_only && link->index && link->generation != n->generation)
            end_link(n, link, ended_us, END_REMOVED);
        else
            sweep_rows(n, link, ended_us);
    }
    if (!n->routes_only)
        network_restore_end(n, ended_us, END_RECONCILED);
}

/* What a dump finds no room for is no news when the last one found as little. */
static void count_beyond(struct networks *n)
{
    if (n->routes_only)
        return;
    if (n->scan_beyond > n->known_beyond)
        n->beyond += n->scan_beyond - n->known_beyond;
    n->known_beyond = n->scan_beyond;
}

static void on_scan(struct networks *n, const struct fact *fact)
{
    const struct fact_network_scan *scan = &fact->network_scan;
    if (scan->step == NETWORK_SCAN_WANTED) {
        n->scan_wanted = true;
    } else if (scan->step == NETWORK_SCAN_BEGAN) {
        n->scan_wanted = false;
        n->scanning = true;
        n->routes_only = scan->routes_only;
        n->scan_began_ns = fact->boot_ns;
        n->scan_beyond = 0;
        n->n_removed = 0;
        n->generation++;
    } else if (n->scanning) {
        if (scan->complete)
            sweep(n);
        count_beyond(n);
        n->scanning = false;
    }
}

void networks_fact(struct networks *n, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_LINK:
        on_link(n, fact);
        break;
    case FACT_ADDRESS:
        on_address(n, fact);
        break;
    case FACT_ROUTE:
        on_route(n, fact);
        break;
    case FACT_NETWORK_SCAN:
        on_scan(n, fact);
        break;
    default:
        break;
    }
}

void networks_unwatched(struct networks *n)
{
    uint64_t now_us = real_us(n, n->output->timeline->now_boot_ns);
    struct network_link *link = TAILQ_FIRST(&n->links), *next;
    for (; link; link = next) {
        next = TAILQ_NEXT(link, in_links);
        end_link(n, link, now_us, END_UNKNOWN);
    }
    network_restore_end(n, n->last_real_us, END_UNKNOWN);
    n->scan_wanted = n->scanning = false;
}

bool networks_settled(const struct networks *n)
{
    return !n->scan_wanted && !n->scanning;
}

const char *networks_interface_name(const struct networks *n, uint32_t index)
{
    const struct network_link *link = find_link(n, index);
    return link ? link->name : NULL;
}

uint64_t networks_take_beyond(struct networks *n)
{
    uint64_t beyond = n->beyond;
    n->beyond = 0;
    return beyond;
}

size_t networks_rows(const struct networks *n)
{
    return n->n_rows;
}
