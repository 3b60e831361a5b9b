#pragma once
/*
 * Which network namespace an nsid means. The thread that finds namespaces writes it, the reader
 * asks for each datagram; neither waits for more than a search.
 */
#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

struct nsid_map;

enum { NSID_MAP_MOST = 4096 };

int nsid_map_new(struct nsid_map **mapp) MUST_CHECK;
struct nsid_map *nsid_map_free(struct nsid_map *map);
/** From now on @p nsid means the namespace with this inode number. Returns 0, or -ENOSPC when
 *  NSID_MAP_MOST others are known. */
int nsid_map_set(struct nsid_map *map, int32_t nsid, uint64_t inode) MUST_CHECK;
void nsid_map_remove(struct nsid_map *map, int32_t nsid);
/** 0: unknown. */
uint64_t nsid_map_find(struct nsid_map *map, int32_t nsid);
