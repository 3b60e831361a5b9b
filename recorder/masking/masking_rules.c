/* Each pattern is compiled by the JIT where that is allowed. A match may take so many steps only,
 * so that no argument can stop the tracker. Most words hold no secret: one pattern, the alternation
 * of all that are anchored, tells that at once. The others are tried one by one, because PCRE2
 * looks for what each of them has to begin with or to hold, which it cannot for an alternation. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "recorder/masking/masking_rules.h"

#include "core/buffer.h"
#include "core/cleanup.h"

#include <fnmatch.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MOST = 64 << 10, NAME_MOST = 256, MATCH_STEPS = 20000, PAIRS = 16 };

struct rule {
    char *programs; /* NULL: any */
    enum masking_kind kind;
    bool anchored; /* at the beginning of a word, and in the alternation */
    pcre2_code *pattern, *behind;
};

struct masking_rules {
    struct rule rules[MASKING_RULES_MOST];
    size_t n;
    struct buffer
        alternations[2]; /* of anchored patterns: for any program; for those that are named */
    pcre2_code *any[2];
    struct buffer
        programs[256]; /* globs by their first byte, each with its NUL; of '*' and '?': [0] */
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

static const struct {
    const char *word;
    enum masking_kind kind;
} kinds[] = {
    {"in",     MASKING_IN    },
    {"after",  MASKING_AFTER },
    {"last",   MASKING_LAST  },
    {"code",   MASKING_CODE  },
    {"except", MASKING_EXCEPT},
};

static void free_rule(struct rule *rule)
{
    free(rule->programs);
    pcre2_code_free(rule->pattern);
    pcre2_code_free(rule->behind);
}

struct masking_rules *masking_rules_free(struct masking_rules *rules)
{
    if (!rules)
        return NULL;
    for (size_t i = 0; i < rules->n; i++)
        free_rule(&rules->rules[i]);
    for (size_t i = 0; i < 2; i++) {
        buffer_deinit(&rules->alternations[i]);
        pcre2_code_free(rules->any[i]);
    }
    for (size_t i = 0; i < 256; i++)
        buffer_deinit(&rules->programs[i]);
    pcre2_match_data_free(rules->match);
    pcre2_match_context_free(rules->limits);
    free(rules);
    return NULL;
}

int masking_rules_new(struct masking_rules **rulesp)
{
    struct masking_rules *rules = calloc(1, sizeof(*rules));
    if (!rules)
        return -ENOMEM;
    rules->match = pcre2_match_data_create(PAIRS, NULL);
    rules->limits = pcre2_match_context_create(NULL);
    if (!rules->match || !rules->limits) {
        masking_rules_free(rules);
        return -ENOMEM;
    }
    pcre2_set_match_limit(rules->limits, MATCH_STEPS);
    *rulesp = rules;
    return 0;
}

static pcre2_code *compile(struct slice pattern, char reason[NAME_MOST])
{
    int number;
    size_t at;
    pcre2_code *code = pcre2_compile(pattern.data, pattern.length,
                                     PCRE2_DOTALL | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP |
                                         PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY,
                                     &number, &at, NULL);
    if (code) {
        pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without it the interpreter matches */
        return code;
    }
    PCRE2_UCHAR message[120];
    pcre2_get_error_message(number, message, sizeof(message));
    snprintf(reason, NAME_MOST, "the pattern is wrong at byte %zu: %s", at + 1, (char *)message);
    return NULL;
}

static bool has_secret(const pcre2_code *code)
{
    return pcre2_substring_number_from_name(code, (PCRE2_SPTR) "secret") > 0;
}

static struct slice next_word(struct slice *rest)
{
    while (rest->length && (*rest->data == ' ' || *rest->data == '\t'))
        *rest = slice_of(rest->data + 1, rest->length - 1);
    size_t n = 0;
    while (n < rest->length && rest->data[n] != ' ' && rest->data[n] != '\t')
        n++;
    struct slice word = slice_of(rest->data, n);
    *rest = slice_of(rest->data + n, rest->length - n);
    return word;
}

static bool find_kind(struct slice word, enum masking_kind *kind)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (slice_is(word, kinds[i].word)) {
            *kind = kinds[i].kind;
            return true;
        }
    return false;
}

static bool is_anchored(const pcre2_code *code)
{
    uint32_t options = 0;
    return pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &options) == 0 &&
           (options & PCRE2_ANCHORED);
}

/* Each pattern keeps what it sets by (?i) to itself, because it stands in a group. */
static void join_alternation(struct buffer *alternation, struct slice pattern)
{
    buffer_append_text(alternation, alternation->length ? "|(?:" : "(?:");
    buffer_append_slice(alternation, pattern);
    buffer_append_text(alternation, ")");
}

static void list_programs(struct masking_rules *rules, const char *programs)
{
    for (size_t length; *programs; programs += length + (programs[length] != '\0')) {
        length = strcspn(programs, ",+");
        bool wild = strchr("*?[", *programs);
        struct buffer *list = &rules->programs[wild ? 0 : (uint8_t)*programs];
        buffer_append(list, programs, length);
        buffer_append_byte(list, '\0');
    }
}

static int compile_rule(struct rule *rule, struct slice pattern, struct slice behind,
                        char reason[NAME_MOST])
{
    rule->pattern = compile(pattern, reason);
    if (!rule->pattern)
        return -EINVAL;
    if (behind.length && rule->kind != MASKING_AFTER) {
        snprintf(reason, NAME_MOST, "only `after` takes a second pattern; a blank is \\s");
        return -EINVAL;
    }
    if (behind.length && !(rule->behind = compile(behind, reason)))
        return -EINVAL;
    const pcre2_code *secret = rule->kind == MASKING_IN ? rule->pattern : rule->behind;
    if (secret && !has_secret(secret)) {
        snprintf(reason, NAME_MOST, "the pattern has no group (?<secret>...)");
        return -EINVAL;
    }
    return 0;
}

static int add_rule(struct masking_rules *rules, struct slice line, char reason[NAME_MOST])
{
    struct slice rest = line, programs = next_word(&rest), kind = next_word(&rest),
                 pattern = next_word(&rest), behind = next_word(&rest);
    struct rule *rule = &rules->rules[rules->n];
    if (rules->n == MASKING_RULES_MOST) {
        snprintf(reason, NAME_MOST, "there are more than %d rules", MASKING_RULES_MOST);
        return -EINVAL;
    }
    *rule = (struct rule){0};
    if (!pattern.length || next_word(&rest).length || !find_kind(kind, &rule->kind)) {
        snprintf(reason, NAME_MOST, "write PROGRAMS in|after|last|code|except PATTERN [PATTERN]");
        return -EINVAL;
    }
    int result = compile_rule(rule, pattern, behind, reason);
    if (!result && !slice_is(programs, "*")) {
        rule->programs = strndup((const char *)programs.data, programs.length);
        result = rule->programs ? 0 : -ENOMEM;
    }
    if (result) {
        free_rule(rule);
        return result;
    }
    rules->n++;
    rule->anchored = is_anchored(rule->pattern);
    if (rule->kind < MASKING_CODE && rule->anchored)
        join_alternation(&rules->alternations[rule->programs != NULL], pattern);
    if (rule->kind < MASKING_CODE && rule->programs)
        list_programs(rules, rule->programs);
    return 0;
}

int masking_rules_parse(struct masking_rules *rules, const char *name, struct slice text,
                        struct error_text *error)
{
    char reason[NAME_MOST] = "";
    for (unsigned number = 1; text.length; number++) {
        const uint8_t *newline = memchr(text.data, '\n', text.length);
        size_t length = newline ? (size_t)(newline - text.data) : text.length;
        struct slice line = slice_of(text.data, length), rest = line, first = next_word(&rest);
        text = slice_of(text.data + length + (newline != NULL),
                        text.length - length - (newline != NULL));
        if (!first.length || *first.data == '#')
            continue;
        if (length > MASKING_LINE_MOST || memchr(line.data, 0, length))
            return error_set(error, -EINVAL, "%s:%u: longer than %d bytes, or with a NUL byte",
                             name, number, MASKING_LINE_MOST);
        int result = add_rule(rules, line, reason);
        if (result)
            return error_set(error, result, "%s:%u: %s", name, number,
                             result == -ENOMEM ? "out of memory" : reason);
    }
    return 0;
}

int masking_rules_load(struct masking_rules *rules, const char *path, struct error_text *error)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    FILE *file AUTO_FCLOSE = fopen(path, "re");
    if (!file)
        return error_set(error, -errno, "cannot read the rules of masking, %s: %s", path,
                         strerror(errno));
    uint8_t *room = buffer_reserve(&text, FILE_MOST + 1);
    if (!room)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    text.length = fread(room, 1, FILE_MOST + 1, file);
    if (ferror(file))
        return error_set(error, -EIO, "%s: cannot read it", path);
    if (text.length > FILE_MOST)
        return error_set(error, -EINVAL, "%s: larger than %d KiB", path, FILE_MOST >> 10);
    return masking_rules_parse(rules, path, buffer_slice(&text), error);
}

int masking_rules_finish(struct masking_rules *rules)
{
    int number;
    size_t at;
    for (size_t i = 0; i < 2; i++) {
        struct buffer *text = &rules->alternations[i];
        if (text->failed)
            return -ENOMEM;
        if (!text->length)
            continue;
        rules->any[i] =
            pcre2_compile(text->data, text->length,
                          PCRE2_DOTALL | PCRE2_DUPNAMES | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP |
                              PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE,
                          &number, &at, NULL);
        if (rules->any[i])
            pcre2_jit_compile(rules->any[i], PCRE2_JIT_COMPLETE);
        buffer_deinit(text);
    }
    return 0; /* without it each pattern is tried */
}

static int match(struct masking_rules *rules, const pcre2_code *code, struct slice word,
                 size_t start)
{
    return pcre2_match(code, word.data, word.length, start, 0, rules->match, rules->limits);
}

static bool is_listed(const struct buffer *globs, const char *name)
{
    const char *glob = (const char *)globs->data;
    for (size_t at = 0; at < globs->length; at += strlen(glob + at) + 1)
        if (!fnmatch(glob + at, name, 0))
            return true;
    return false;
}

bool masking_rules_name(const struct masking_rules *rules, struct slice program)
{
    char name[NAME_MOST];
    if (!program.length || program.length >= sizeof(name))
        return false;
    memcpy(name, program.data, program.length);
    name[program.length] = '\0';
    return is_listed(&rules->programs[program.data[0]], name) ||
           is_listed(&rules->programs[0], name);
}

bool masking_rules_suspect(struct masking_rules *rules, struct slice word, bool named)
{
    for (size_t i = 0; i <= named; i++)
        if (rules->any[i] && match(rules, rules->any[i], word, 0) != PCRE2_ERROR_NOMATCH)
            return true;
    for (const struct rule *rule = rules->rules, *end = rule + rules->n; rule < end; rule++)
        if (rule->kind < MASKING_CODE && (named || !rule->programs) &&
            !(rule->anchored && rules->any[rule->programs != NULL]) &&
            match(rules, rule->pattern, word, 0) != PCRE2_ERROR_NOMATCH)
            return true;
    return false;
}

size_t masking_rules_count(const struct masking_rules *rules)
{
    return rules->n;
}

enum masking_kind masking_rules_kind(const struct masking_rules *rules, size_t rule)
{
    return rules->rules[rule].kind;
}

/* One glob, which ends at a comma, a plus or the end of the list. */
static bool is_among(const char *glob, size_t length, const struct slice *names, size_t n)
{
    char pattern[NAME_MOST], name[NAME_MOST];
    if (length >= sizeof(pattern))
        return false;
    memcpy(pattern, glob, length);
    pattern[length] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (names[i].length >= sizeof(name))
            continue;
        memcpy(name, names[i].data, names[i].length);
        name[names[i].length] = '\0';
        if (!fnmatch(pattern, name, 0))
            return true;
    }
    return false;
}

static bool all_among(const char *globs, size_t length, const struct slice *names, size_t n)
{
    for (size_t done = 0; done < length;) {
        const char *plus = memchr(globs + done, '+', length - done);
        size_t one = plus ? (size_t)(plus - globs) - done : length - done;
        if (!is_among(globs + done, one, names, n))
            return false;
        done += one + 1;
    }
    return true;
}

bool masking_rules_concern(const struct masking_rules *rules, size_t rule,
                           const struct slice *names, size_t n)
{
    const char *programs = rules->rules[rule].programs;
    if (!programs)
        return true;
    for (size_t length; *programs; programs += length + (programs[length] == ',')) {
        length = strcspn(programs, ",");
        if (all_among(programs, length, names, n))
            return true;
    }
    return false;
}

/* A match gives the group, or the whole when there is none; a failure the whole word. */
static bool find(struct masking_rules *rules, const pcre2_code *code, struct slice word,
                 size_t start, struct masking_span *span)
{
    int outcome = match(rules, code, word, start);
    *span = (struct masking_span){0, word.length};
    if (outcome == PCRE2_ERROR_NOMATCH)
        return false;
    if (outcome < 0)
        return true;
    const size_t *pairs = pcre2_get_ovector_pointer(rules->match);
    int group = pcre2_substring_number_from_name(code, (PCRE2_SPTR) "secret");
    if (group <= 0 || group >= PAIRS || pairs[2 * group] == PCRE2_UNSET)
        *span = (struct masking_span){pairs[0], pairs[1]};
    else
        *span = (struct masking_span){pairs[2 * group], pairs[2 * group + 1]};
    return true;
}

bool masking_rules_match(struct masking_rules *rules, size_t rule, struct slice word, size_t start,
                         struct masking_span *span)
{
    return find(rules, rules->rules[rule].pattern, word, start, span);
}

bool masking_rules_behind(struct masking_rules *rules, size_t rule, struct slice word,
                          struct masking_span *span)
{
    const pcre2_code *behind = rules->rules[rule].behind;
    *span = (struct masking_span){0, word.length};
    return !behind || find(rules, behind, word, 0, span);
}
