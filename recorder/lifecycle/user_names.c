/* A table of libcrypto's, by uid. When the bound is reached, new names are not kept and rows get
 * NULL, which is honest, while memory stays bounded. */
#include "recorder/lifecycle/user_names.h"

#include "recorder/lifecycle/shared_text.h"

#include <openssl/lhash.h>
#include <stdlib.h>

enum { NAMES_MOST = 65536 };

static const uint64_t miss_ns = UINT64_C(1000000000), again_ns = UINT64_C(5000000000);

struct user_name {
    uint32_t uid;
    bool known, in_file;
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

void user_names_learn(struct user_names *names, const struct fact_user_name *fact)
{
    struct user_name *name = entry(names, fact->uid, true);
    if (!name)
        return;
    name->known = true;
    if (fact->origin == USER_AS_BEFORE)
        return;
    name->in_file = fact->origin == USER_OF_FILE;
    shared_text_unref(name->name);
    name->name = slice_is_null(fact->name) ? NULL : shared_text_new(fact->name);
}

/* Time is zero for who has no clock yet. */
static void ask(struct user_names *names, struct user_name *name, uint64_t now_ns,
                uint64_t after_ns)
{
    if (!names->request.ask || (name->asked_ns && now_ns - name->asked_ns <= after_ns))
        return;
    name->asked_ns = now_ns ? now_ns : 1;
    names->request.ask(names->request.user, name->uid);
}

bool user_names_find(struct user_names *names, uint32_t uid, uint64_t now_ns, struct slice *text)
{
    *text = SLICE_NULL;
    if (uid == ID_UNSET)
        return true;
    struct user_name *name = entry(names, uid, true);
    if (!name)
        return true;
    if (!name->known && names->request.ask) {
        ask(names, name, now_ns, miss_ns);
        return false;
    }
    if (!name->in_file)
        ask(names, name, now_ns, again_ns);
    *text = shared_text_slice(name->name);
    return true;
}
