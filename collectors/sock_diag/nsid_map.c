/* A sorted array under a mutex. */
#include "collectors/sock_diag/nsid_map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct item {
    uint64_t inode;
    int32_t nsid;
};

struct nsid_map {
    pthread_mutex_t lock;
    size_t n;
    struct item items[NSID_MAP_MOST];
};

int nsid_map_new(struct nsid_map **mapp)
{
    struct nsid_map *map = calloc(1, sizeof(*map));
    if (!map)
        return -ENOMEM;
    pthread_mutex_init(&map->lock, NULL);
    *mapp = map;
    return 0;
}

struct nsid_map *nsid_map_free(struct nsid_map *map)
{
    if (map) {
        pthread_mutex_destroy(&map->lock);
        free(map);
    }
    return NULL;
}

/* Where the nsid is, or has to be put. */
static size_t place_of(const struct nsid_map *map, int32_t nsid)
{
    size_t low = 0, high = map->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->items[middle].nsid < nsid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct nsid_map *map, size_t place, int32_t nsid)
{
    return place < map->n && map->items[place].nsid == nsid;
}

int nsid_map_set(struct nsid_map *map, int32_t nsid, uint64_t inode)
{
    int r = 0;
    pthread_mutex_lock(&map->lock);
    size_t place = place_of(map, nsid);
    if (is_at(map, place, nsid)) {
        map->items[place].inode = inode;
    } else if (map->n == NSID_MAP_MOST) {
        r = -ENOSPC;
    } else {
        memmove(map->items + place + 1, map->items + place,
                (map->n - place) * sizeof(map->items[0]));
        map->items[place] = (struct item){.nsid = nsid, .inode = inode};
        map->n++;
    }
    pthread_mutex_unlock(&map->lock);
    return r;
}

void nsid_map_remove(struct nsid_map *map, int32_t nsid)
{
    pthread_mutex_lock(&map->lock);
    size_t place = place_of(map, nsid);
    if (is_at(map, place, nsid)) {
        map->n--;
        memmove(map->items + place, map->items + place + 1,
                (map->n - place) * sizeof(map->items[0]));
    }
    pthread_mutex_unlock(&map->lock);
}

uint64_t nsid_map_find(struct nsid_map *map, int32_t nsid)
{
    pthread_mutex_lock(&map->lock);
    size_t place = place_of(map, nsid);
    uint64_t inode = is_at(map, place, nsid) ? map->items[place].inode : 0;
    pthread_mutex_unlock(&map->lock);
    return inode;
}
