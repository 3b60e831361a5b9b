#pragma once
/* What the files of these lifecycles share; nobody else includes it. */
#include "recorder/lifecycle/text_rows.h"
#include "recorder/networks/networks.h"

#include <linux/if.h>
#include <openssl/lhash.h>
#include <sys/queue.h>

enum network_row_kind { NETWORK_INTERFACE, NETWORK_ADDRESS, NETWORK_ROUTE };

/* What a row is about, but for a route's next hop. Compared as bytes, so without any padding. */
struct network_key {
    uint32_t kind;
    uint32_t interface;     /* index; of a route 0 */
    uint32_t table, metric; /* of a route */
    uint8_t family, service, prefix_length, source_prefix_length;
    uint8_t address[16]; /* the address, or the route's destination */
    uint8_t other[16];   /* the address's peer, or the route's source */
};
_Static_assert(sizeof(struct network_key) == 52, "no padding");

TAILQ_HEAD(network_rows, network_row);

/* The open rows of one key: one, or those of a route's next hops. */
struct network_place {
    struct network_key key;
    struct network_rows rows;
};

struct network_hop {
    struct inet_address gateway; /* family 0: none */
    uint8_t type;                /* RTN_UNICAST ... */
};

struct network_row {
    struct text_row row;
    TAILQ_ENTRY(network_row) in_place;
    TAILQ_ENTRY(network_row) in_link;
    struct network_place *place; /* NULL: of an earlier run, or ended */
    struct network_link *link;
    struct network_row *next_left_open; /* another one of an earlier run that says the same */
    struct network_hop hop;             /* of a route */
    uint32_t generation;                /* of the dump that last named it */
    bool multipath;                     /* its route has other next hops */
    bool replaced;                      /* unless the message at hand names it */
};

struct network_link {
    TAILQ_ENTRY(network_link) in_links;
    uint32_t index; /* 0: for routes without interface */
    char name[IFNAMSIZ];
    uint8_t mac[LINK_ADDRESS_MOST];
    uint8_t mac_length;
    bool up;
    uint32_t generation;
    struct network_rows rows;
};

TAILQ_HEAD(network_links, network_link);

enum { NETWORK_REMOVED_MOST = 256 };

struct networks {
    struct row_output *output;
    size_t most;
    OPENSSL_LHASH *by_index;    /* struct network_link */
    OPENSSL_LHASH *places;      /* struct network_place by key */
    OPENSSL_LHASH *restored;    /* struct network_row by id, while lines are restored */
    OPENSSL_LHASH *left_open;   /* and then by what they say */
    struct network_links links; /* all; the first is no_interface */
    struct network_link no_interface;
    struct text_rows rows;
    struct buffer text; /* scratch */
    size_t n_rows;
    uint32_t generation; /* of the last dump that began */
    bool scan_wanted, scanning, routes_only;
    uint64_t removed[NETWORK_REMOVED_MOST]; /* hashes of routes that went since the dump began */
    size_t n_removed;                       /* of which only so many are held */
    uint64_t scan_began_ns, last_real_us;
    uint64_t beyond;                    /* rows for which there was no room, not yet in a gap */
    uint64_t scan_beyond, known_beyond; /* likewise, of this full dump and of the one before */
};

unsigned long network_hash(const void *bytes, size_t length);

/* networks_rows.c */
struct network_place *network_place_find(const struct networks *n, const struct network_key *key);
/** What is true from now on; NULL when there is no room or no memory, which is counted. */
struct network_row *network_row_begin(struct networks *n, const struct network_key *key,
                                      const struct network_hop *hop, struct network_link *link,
                                      uint64_t at_ns);
/** The row is freed, at once or when it is written. */
void network_row_end(struct networks *n, struct network_row *row, uint64_t ended_us,
                     enum end_cause cause);
/** End it and begin it anew, with what its interface is called now. */
void network_row_restart(struct networks *n, struct network_row *row, uint64_t at_ns);
/** Forget a row that is in no list. */
void network_row_free(struct networks *n, struct network_row *row);
void network_rows_free(struct networks *n);
void network_beyond(struct networks *n);

/* networks_restore.c */
int network_restore_init(struct networks *n) MUST_CHECK;
void network_restore_deinit(struct networks *n);
/** When an earlier run has left a row open that says the same, @p row goes on with it. */
bool network_restore_take(struct networks *n, struct network_row *row);
/** End what is left open. */
void network_restore_end(struct networks *n, uint64_t ended_us, enum end_cause cause);
