#pragma once
/*
 * The names in the text of a hosts file, as libc reads it: an address, the name, aliases, and #
 * begins a comment; lines that are something else are left out, and the first line of an address
 * counts. Pure. Lines of unspecified addresses, by which names are blocked, name nobody.
 */
#include "core/error.h"
#include "core/fact.h"

enum { HOSTS_ENTRIES_MOST = 65536 };

struct hosts_table;

int hosts_table_new(struct hosts_table **tablep, struct slice text) MUST_CHECK;
struct hosts_table *hosts_table_free(struct hosts_table *table);
/** The name of a plain address, or SLICE_NULL. */
struct slice hosts_table_find(const struct hosts_table *table, const struct inet_address *address);
/** There were more than HOSTS_ENTRIES_MOST; those behind are left out. */
bool hosts_table_truncated(const struct hosts_table *table);
/** Lines that were left out because the name is longer than HOST_NAME_MOST. */
uint64_t hosts_table_refused(const struct hosts_table *table);

typedef void (*hosts_change_handler)(void *user, const struct inet_address *address,
                                     struct slice name);
/** What is new, or another name, in @p after; SLICE_NULL for what is in @p before alone. */
void hosts_table_compare(const struct hosts_table *before, const struct hosts_table *after,
                         hosts_change_handler handler, void *user);
