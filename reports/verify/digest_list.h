#pragma once
/* Reads the digest list that is stored with a seal; its form is in recorder/journal.md. */
#include "core/slice.h"
#include "recorder/row/catalogue.h"

struct digest_list {
    struct slice rest;
    uint64_t left; /* entries of the group that is being read */
    enum table_id table;
    enum verb verb;
};

struct digest_entry {
    enum table_id table;
    enum verb verb;
    uint64_t id;
    const uint8_t *digest; /* BATCH_DIGEST_SIZE bytes, in the list */
};

void digest_list_begin(struct digest_list *list, struct slice text);

enum { DIGEST_LIST_END = 0, DIGEST_LIST_ENTRY = 1 };
/** The next entry: DIGEST_LIST_ENTRY, DIGEST_LIST_END, or -EBADMSG. */
int digest_list_next(struct digest_list *list, struct digest_entry *entry);
