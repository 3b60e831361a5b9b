#pragma once
/* What keys a configuration has. */
#include <stddef.h>
#include <stdint.h>

enum key_type { KEY_U32, KEY_U64, KEY_PATH, KEY_WORD, KEY_TEXT, KEY_LIST };

struct config_key {
    const char *section, *name;
    enum key_type type;
    size_t offset;
    uint64_t least, most, value; /* numbers, with the default */
    const char *text; /* paths, texts, lists: the default. Words: all, the default first */
    const char *unit;
    const char *help;
};

/** Sections and their keys, in the order of the dump; behind the last one a key without section. */
extern const struct config_key config_keys[];

/** The word that equals @p length bytes of @p word and lives as long as the program; NULL: none. */
const char *config_word(const char *word, size_t length);
