/* A table by directory and name, and a list in the order of arrival. */
#include "collectors/inotify/arrivals.h"

#include <openssl/lhash.h>
#include <stdlib.h>

TAILQ_HEAD(arrival_list, arrival);

struct arrivals {
    OPENSSL_LHASH *by_name; /* struct arrival */
    struct arrival_list list;
    size_t n_bytes;
};

static unsigned long arrival_hash(const void *item)
{
    const struct arrival *arrival = item;
    unsigned long hash = 14695981039346656037UL ^ (uintptr_t)arrival->directory;
    for (size_t i = 0; i < arrival->name.length; i++)
        hash = (hash ^ arrival->name.data[i]) * 1099511628211UL;
    return hash;
}

static int arrival_compare(const void *a, const void *b)
{
    const struct arrival *x = a, *y = b;
    return x->directory != y->directory || !slice_equal(x->name, y->name);
}

int arrivals_new(struct arrivals **arrivalsp)
{
    struct arrivals *arrivals = calloc(1, sizeof(*arrivals));
    if (!arrivals)
        return -ENOMEM;
    TAILQ_INIT(&arrivals->list);
    arrivals->by_name = OPENSSL_LH_new(arrival_hash, arrival_compare);
    if (!arrivals->by_name) {
        free(arrivals);
        return -ENOMEM;
    }
    *arrivalsp = arrivals;
    return 0;
}

struct arrivals *arrivals_free(struct arrivals *arrivals)
{
    struct arrival *arrival;
    if (!arrivals)
        return NULL;
    while ((arrival = TAILQ_FIRST(&arrivals->list))) {
        TAILQ_REMOVE(&arrivals->list, arrival, in_list);
        free(arrival);
    }
    OPENSSL_LH_free(arrivals->by_name);
    free(arrivals);
    return NULL;
}

struct arrival *arrivals_find(const struct arrivals *arrivals, struct watched_directory *directory,
                              struct slice name)
{
    struct arrival key = {.directory = directory, .name = name};
    return directory->n_arrivals ? OPENSSL_LH_retrieve(arrivals->by_name, &key) : NULL;
}

static size_t size_of(size_t name_length)
{
    return sizeof(struct arrival) + name_length;
}

struct arrival *arrivals_add(struct arrivals *arrivals, struct watched_directory *directory,
                             struct slice name)
{
    if (arrivals->n_bytes + size_of(name.length) > ARRIVALS_BYTES)
        return NULL;
    struct arrival *arrival = calloc(1, size_of(name.length));
    if (!arrival)
        return NULL;
    *arrival =
        (struct arrival){.directory = directory, .name = slice_of(arrival->bytes, name.length)};
    memcpy(arrival->bytes, name.data, name.length);
    OPENSSL_LH_insert(arrivals->by_name, arrival);
    if (OPENSSL_LH_error(arrivals->by_name)) {
        free(arrival);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&arrivals->list, arrival, in_list);
    arrivals->n_bytes += size_of(name.length);
    directory->n_arrivals++;
    return arrival;
}

void arrivals_remove(struct arrivals *arrivals, struct arrival *arrival)
{
    arrival->directory->n_arrivals--;
    arrivals->n_bytes -= size_of(arrival->name.length);
    OPENSSL_LH_delete(arrivals->by_name, arrival);
    TAILQ_REMOVE(&arrivals->list, arrival, in_list);
    free(arrival);
}

struct arrival *arrivals_first(const struct arrivals *arrivals)
{
    return TAILQ_FIRST(&arrivals->list);
}

struct arrival *arrivals_next(struct arrival *arrival)
{
    return TAILQ_NEXT(arrival, in_list);
}
