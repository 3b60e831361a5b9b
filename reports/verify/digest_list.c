/* Groups of fixed-size entries behind a line that says what they are and how many follow. */
#include "reports/verify/digest_list.h"

#include "recorder/journal/batch_digest.h"
#include "recorder/journal/batch_header.h"

#include <endian.h>

#define ENTRY_SIZE (sizeof(uint64_t) + BATCH_DIGEST_SIZE)

void digest_list_begin(struct digest_list *list, struct slice text)
{
    *list = (struct digest_list){.rest = text};
}

static bool cut(struct slice *rest, char end, struct slice *word)
{
    const uint8_t *at = rest->length ? memchr(rest->data, end, rest->length) : NULL;
    if (!at)
        return false;
    *word = slice_of(rest->data, (size_t)(at - rest->data));
    *rest = slice_of(at + 1, rest->length - word->length - 1);
    return true;
}

static int begin_group(struct digest_list *list)
{
    struct slice table, verb, n;
    if (!cut(&list->rest, '\t', &table) || !cut(&list->rest, '\t', &verb) ||
        !cut(&list->rest, '\n', &n))
        return -EBADMSG;
    list->table = catalogue_find(table);
    list->verb = verb_find(verb);
    if (list->table == TABLE_NONE || list->verb == VERB_N || !batch_parse_u64(n, &list->left) ||
        list->left == 0 || list->left > list->rest.length / ENTRY_SIZE)
        return -EBADMSG;
    return 0;
}

int digest_list_next(struct digest_list *list, struct digest_entry *entry)
{
    if (!list->left) {
        if (!list->rest.length)
            return DIGEST_LIST_END;
        if (begin_group(list))
            return -EBADMSG;
    }
    uint64_t id;
    memcpy(&id, list->rest.data, sizeof(id));
    *entry =
        (struct digest_entry){list->table, list->verb, be64toh(id), list->rest.data + sizeof(id)};
    list->rest = slice_of(list->rest.data + ENTRY_SIZE, list->rest.length - ENTRY_SIZE);
    list->left--;
    return DIGEST_LIST_ENTRY;
}
