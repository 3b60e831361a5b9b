/* A table of libcrypto's, by uid. When the bound is reached, new names are not kept and rows get
 * NULL, which is honest, while memory stays bounded. */
#include "recorder/user_names.h"

#include "core/fact.h"
#include "recorder/shared_text.h"

#include <openssl/lhash.h>
#include <stdlib.h>

enum { NAMES_MOST = 65536 };

struct user_name {
    uint32_t uid;
    bool known;
    uint64_t asked_ns;
    struct shared_text *name;
};

struct user_names {
    OPENSSL_LHASH *by_uid;
    struct user_names_request request;
};

static unsigned long name_hash(const void *name)
{
    return ((const struct user_name *)name)->uid * 2654435761UL;
}

static int name_compare(const void *a, const void *b)
{
    return ((const struct user_name *)a)->uid != ((const struct user_name *)b)->uid;
}

int user_names_new(struct user_names **namesp, struct user_names_request request)
{
    struct user_names *names = calloc(1, sizeof(*names));
    if (!names)
        return -ENOMEM;
    names->request = request;
    names->by_uid = OPENSSL_LH_new(name_hash, name_compare);
    if (!names->by_uid) {
        free(names);
        return -ENOMEM;
    }
    *namesp = names;
    return 0;
}

static void free_name(void *item)
{
    struct user_name *name = item;
    shared_text_unref(name->name);
    free(name);
}

struct user_names *user_names_free(struct user_names *names)
{
    if (names) {
        OPENSSL_LH_doall(names->by_uid, free_name);
        OPENSSL_LH_free(names->by_uid);
        free(names);
    }
    return NULL;
}

static struct user_name *entry(struct user_names *names, uint32_t uid, bool create)
{
    struct user_name key = {.uid = uid};
    struct user_name *name = OPENSSL_LH_retrieve(names->by_uid, &key);
    if (name || !create || OPENSSL_LH_num_items(names->by_uid) >= NAMES_MOST)
        return name;
    name = calloc(1, sizeof(*name));
    if (!name)
        return NULL;
    name->uid = uid;
    OPENSSL_LH_insert(names->by_uid, name);
    if (OPENSSL_LH_error(names->by_uid)) {
        free(name);
        return NULL;
    }
    return name;
}

void user_names_learn(struct user_names *names, uint32_t uid, struct slice text)
{
    struct user_name *name = entry(names, uid, true);
    if (!name)
        return;
    shared_text_unref(name->name);
    name->name = slice_is_null(text) ? NULL : shared_text_new(text);
    name->known = true;
}

bool user_names_find(struct user_names *names, uint32_t uid, uint64_t now_ns, struct slice *text)
{
    *text = SLICE_NULL;
    if (uid == ID_UNSET)
        return true;
    struct user_name *name = entry(names, uid, true);
    if (!name)
        return true;
    if (name->known || !names->request.ask) {
        *text = shared_text_slice(name->name);
        return true;
    }
    if (name->asked_ns == 0 || now_ns - name->asked_ns > 1000000000) {
        name->asked_ns = now_ns ? now_ns : 1;
        names->request.ask(names->request.user, uid);
    }
    return false;
}
