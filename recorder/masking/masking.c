/* Nearly all command lines hold no secret, and are done when no word is suspect. Of the others each
 * argument is a word, and so is each word inside of an argument with blanks. The rules mark spans
 * of bytes in arguments; at the end the arguments with spans are written anew. */
#include "recorder/masking/masking.h"

#include "core/buffer.h"

#include <stdlib.h>

enum { NAMES_MOST = 64, SPANS_MOST = 4096, WORDS_MOST = 65536, DEPTH_MOST = 3, KEEP_BYTES = 65536 };

struct span {
    size_t argument, from, to;
};

struct masking {
    struct masking_rules *rules;
    bool has_own_rules;
    const struct slice *given;
    size_t n_given;
    struct slice names[NAMES_MOST];
    size_t n_names;
    bool named;              /* a program that a rule names is among the words */
    struct buffer spans;     /* of struct span */
    size_t too_many;         /* from this argument on all is masked; SIZE_MAX: none */
    struct buffer text;      /* of the arguments that are written anew */
    struct buffer arguments; /* of struct slice */
};

static struct slice last_part(struct slice path)
{
    const uint8_t *slash = path.length ? memrchr(path.data, '/', path.length) : NULL;
    return slash ? slice_of(slash + 1, path.length - (size_t)(slash + 1 - path.data)) : path;
}

/* Text whose words are looked at: an argument with blanks, or a word of it in quotes. */
struct code {
    struct slice text;
    size_t argument, offset; /* of the text in the argument */
};

/* A whole argument, or a word inside of one; `next` is where in its code the one behind it begins.
 */
struct word {
    struct slice text;
    size_t argument, offset, next;
    const struct code *code; /* NULL: a whole argument */
};

int masking_new(struct masking **maskingp, struct masking_rules *rules)
{
    struct masking *masking = calloc(1, sizeof(*masking));
    if (!masking)
        return -ENOMEM;
    masking->rules = rules;
    *maskingp = masking;
    return 0;
}

struct masking *masking_free(struct masking *masking)
{
    if (!masking)
        return NULL;
    masking_rules_free(masking->rules);
    buffer_deinit(&masking->spans);
    buffer_deinit(&masking->text);
    buffer_deinit(&masking->arguments);
    free(masking);
    return NULL;
}

int masking_open(struct masking **maskingp, const char *path, struct error_text *error)
{
    struct masking_rules *rules = NULL;
    int result = masking_rules_new(&rules);
    if (!result)
        result =
            masking_rules_parse(rules, "usual rules", slice_text(masking_rules_default()), error);
    if (!result && *path)
        result = masking_rules_load(rules, path, error);
    if (!result)
        result = masking_rules_finish(rules);
    if (!result)
        result = masking_new(maskingp, rules);
    if (!result)
        (*maskingp)->has_own_rules = *path;
    if (result == -ENOMEM)
        error_set(error, result, "out of memory for the rules of masking");
    if (result)
        masking_rules_free(rules);
    return result;
}

bool masking_has_own_rules(const struct masking *masking)
{
    return masking->has_own_rules;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n';
}

static bool has_blank(struct slice text)
{
    return text.length &&
           (memchr(text.data, ' ', text.length) || memchr(text.data, '\t', text.length) ||
            memchr(text.data, '\n', text.length));
}

/* Where the word that begins at @p at ends; quotes hold blanks together. */
static size_t word_end(struct slice text, size_t at)
{
    uint8_t quote = 0;
    for (; at < text.length && (quote || !is_blank(text.data[at])); at++) {
        uint8_t byte = text.data[at];
        if (quote ? byte == quote : byte == '\'' || byte == '"')
            quote = quote ? 0 : byte;
        else if (byte == '\\' && quote != '\'' && at + 1 < text.length)
            at++;
    }
    return at;
}

/* The word of the code at @p at or behind it; empty: there is none. Quotes around all of a word
 * belong to the shell. */
static struct word inner_word(const struct code *code, size_t at)
{
    struct slice text = code->text;
    while (at < text.length && is_blank(text.data[at]))
        at++;
    size_t to = word_end(text, at), next = to;
    if (to - at >= 2 && (text.data[at] == '\'' || text.data[at] == '"') &&
        text.data[to - 1] == text.data[at])
        at++, to--;
    return (struct word){slice_of(text.data + at, to - at), code->argument, code->offset + at, next,
                         code};
}

static struct word whole_word(const struct masking *masking, size_t argument)
{
    return (struct word){masking->given[argument], argument, 0, 0, NULL};
}

static struct code code_of(const struct word *word)
{
    return (struct code){word->text, word->argument, word->offset};
}

static bool suspect_inside(struct masking *masking, const struct code *code, unsigned depth)
{
    size_t at = 0;
    for (size_t i = 0; i < WORDS_MOST && at < code->text.length; i++) {
        struct word word = inner_word(code, at);
        struct code inner = code_of(&word);
        if (word.text.length && masking_rules_suspect(masking->rules, word.text, masking->named))
            return true;
        if (depth > 1 && has_blank(word.text) && suspect_inside(masking, &inner, depth - 1))
            return true;
        at = word.next;
    }
    return false;
}

static bool name_inside(const struct masking *masking, const struct code *code, unsigned depth)
{
    size_t at = 0;
    for (size_t i = 0; i < WORDS_MOST && at < code->text.length; i++) {
        struct word word = inner_word(code, at);
        struct code inner = code_of(&word);
        if (masking_rules_name(masking->rules, last_part(word.text)) ||
            (depth > 1 && has_blank(word.text) && name_inside(masking, &inner, depth - 1)))
            return true;
        at = word.next;
    }
    return false;
}

static bool is_named(const struct masking *masking, struct slice exe)
{
    if (masking_rules_name(masking->rules, last_part(exe)))
        return true;
    for (size_t i = 0; i < masking->n_given; i++) {
        struct code code = {masking->given[i], i, 0};
        if (masking_rules_name(masking->rules, last_part(code.text)) ||
            (has_blank(code.text) && name_inside(masking, &code, DEPTH_MOST)))
            return true;
    }
    return false;
}

static bool suspect(struct masking *masking)
{
    for (size_t i = 0; i < masking->n_given; i++) {
        struct code code = {masking->given[i], i, 0};
        if ((i && code.text.length &&
             masking_rules_suspect(masking->rules, code.text, masking->named)) ||
            (has_blank(code.text) && suspect_inside(masking, &code, DEPTH_MOST)))
            return true;
    }
    return false;
}

static void add_name(struct masking *masking, struct slice word)
{
    word = last_part(word);
    if (masking->n_names < NAMES_MOST && word.length && *word.data != '-')
        masking->names[masking->n_names++] = word;
}

static void add_span(struct masking *masking, const struct word *word, struct masking_span in)
{
    struct span span = {word->argument, word->offset + in.from, word->offset + in.to};
    if (span.from >= span.to)
        return;
    if (masking->spans.length < SPANS_MOST * sizeof(span))
        buffer_append(&masking->spans, &span, sizeof(span));
    else if (masking->too_many > span.argument)
        masking->too_many = span.argument;
}

static bool has_rule(struct masking *masking, enum masking_kind kind, struct slice word)
{
    struct masking_span span;
    for (size_t rule = 0; rule < masking_rules_count(masking->rules); rule++)
        if (masking_rules_kind(masking->rules, rule) == kind &&
            masking_rules_match(masking->rules, rule, word, 0, &span) &&
            masking_rules_concern(masking->rules, rule, masking->names, masking->n_names))
            return true;
    return false;
}

/* The word behind @p word on the same level. One that begins like an option is no value. */
static bool find_behind(const struct masking *masking, const struct word *word, struct word *next)
{
    if (!word->code && word->argument + 1 == masking->n_given)
        return false;
    *next =
        word->code ? inner_word(word->code, word->next) : whole_word(masking, word->argument + 1);
    return next->text.length && *next->text.data != '-';
}

static void mask_in(struct masking *masking, size_t rule, const struct word *word)
{
    struct masking_span span;
    for (size_t start = 0; start < word->text.length &&
                           masking_rules_match(masking->rules, rule, word->text, start, &span);
         start = span.to > start ? span.to : start + 1)
        add_span(masking, word, span);
}

static void mask_last(struct masking *masking, const struct word *word)
{
    struct word last = *word, next;
    if (!word->code)
        last = whole_word(masking, masking->n_given - 1);
    else
        while ((next = inner_word(word->code, last.next)).text.length)
            last = next;
    if (last.argument != word->argument || last.offset != word->offset)
        add_span(masking, &last, (struct masking_span){0, last.text.length});
}

static void apply_rule(struct masking *masking, size_t rule, const struct word *word)
{
    enum masking_kind kind = masking_rules_kind(masking->rules, rule);
    struct masking_span span;
    struct word next;
    if (kind >= MASKING_CODE || !masking_rules_match(masking->rules, rule, word->text, 0, &span) ||
        !masking_rules_concern(masking->rules, rule, masking->names, masking->n_names))
        return;
    if (kind == MASKING_IN)
        mask_in(masking, rule, word);
    else if (kind == MASKING_LAST)
        mask_last(masking, word);
    else if (find_behind(masking, word, &next) && !has_rule(masking, MASKING_EXCEPT, word->text) &&
             masking_rules_behind(masking->rules, rule, next.text, &span))
        add_span(masking, &next, span);
}

/* @p before is the word before it. Code of a shell is no value, but its words may be. */
static void apply_rules(struct masking *masking, const struct word *word, struct slice before)
{
    if (!word->text.length || !masking_rules_suspect(masking->rules, word->text, masking->named) ||
        (has_blank(word->text) && before.length && has_rule(masking, MASKING_CODE, before)))
        return;
    for (size_t rule = 0; rule < masking_rules_count(masking->rules); rule++)
        apply_rule(masking, rule, word);
}

static void mark_inside(struct masking *masking, const struct code *code, unsigned depth)
{
    size_t at = 0;
    struct slice before = slice_of("", 0);
    for (size_t i = 0; i < WORDS_MOST && at < code->text.length; i++) {
        struct word word = inner_word(code, at);
        struct code inner = code_of(&word);
        apply_rules(masking, &word, before);
        before = word.text;
        add_name(masking, word.text);
        if (depth > 1 && has_blank(word.text))
            mark_inside(masking, &inner, depth - 1);
        at = word.next;
    }
}

/* Of argv0 only what is inside of it is looked at. */
static void mark_spans(struct masking *masking, struct slice exe)
{
    buffer_clear(&masking->spans);
    masking->too_many = SIZE_MAX;
    masking->n_names = 0;
    add_name(masking, exe);
    for (size_t i = 0; i < masking->n_given; i++) {
        struct word word = whole_word(masking, i);
        if (i)
            apply_rules(masking, &word, masking->given[i - 1]);
        add_name(masking, word.text);
        struct code code = code_of(&word);
        if (has_blank(word.text))
            mark_inside(masking, &code, DEPTH_MOST);
    }
}

static int compare(const void *left, const void *right)
{
    const struct span *a = left, *b = right;
    if (a->argument != b->argument)
        return a->argument < b->argument ? -1 : 1;
    return (a->from > b->from) - (a->from < b->from);
}

/* Spans of one argument, sorted by where they begin, may overlap. */
static void write_argument(struct buffer *to, struct slice argument, const struct span *span,
                           const struct span *end)
{
    size_t done = 0;
    for (; span < end; span++) {
        size_t from = span->from > done ? span->from : done;
        size_t until = span->to < argument.length ? span->to : argument.length;
        if (until <= done)
            continue;
        if (span->from >= done) {
            buffer_append(to, argument.data + done, from - done);
            buffer_append_text(to, "***");
        }
        done = until;
    }
    buffer_append(to, argument.data + done, argument.length - done);
}

/* The text may move while it grows, so offsets come first, and addresses at the end. */
static int write_arguments(struct masking *masking)
{
    static const struct span all = {0, 0, SIZE_MAX};
    const struct slice *arguments = masking->given;
    size_t n = masking->n_given;
    struct span *span = (struct span *)(void *)masking->spans.data;
    struct span *end = span + masking->spans.length / sizeof(*span);
    qsort(span, (size_t)(end - span), sizeof(*span), compare);
    buffer_clear(&masking->text);
    buffer_clear(&masking->arguments);
    for (size_t i = 0; i < n; i++) {
        struct span *from = span;
        size_t before = masking->text.length;
        while (span < end && span->argument == i)
            span++;
        struct slice argument = arguments[i];
        if (i >= masking->too_many)
            write_argument(&masking->text, argument, &all, &all + 1);
        else if (span > from)
            write_argument(&masking->text, argument, from, span);
        if (masking->text.length > before) {
            argument = slice_of(NULL, masking->text.length - before);
        }
        buffer_append(&masking->arguments, &argument, sizeof(argument));
    }
    if (masking->text.failed || masking->arguments.failed)
        return -ENOMEM;
    struct slice *written = (struct slice *)(void *)masking->arguments.data;
    const uint8_t *text = masking->text.data;
    for (size_t i = 0; i < n; i++)
        if (!written[i].data && !slice_is_null(arguments[i])) {
            written[i].data = text;
            text += written[i].length;
        }
    return 0;
}

static void forget_large(struct buffer *buffer)
{
    if (buffer->capacity > KEEP_BYTES)
        buffer_deinit(buffer);
}

int masking_apply(struct masking *masking, struct slice exe, const struct slice *arguments,
                  size_t n, const struct slice **maskedp)
{
    masking->given = arguments;
    masking->n_given = n;
    masking->named = is_named(masking, exe);
    if (!suspect(masking))
        return 0;
    forget_large(&masking->spans);
    forget_large(&masking->text);
    forget_large(&masking->arguments);
    mark_spans(masking, exe);
    if (masking->spans.failed)
        return -ENOMEM;
    if (!masking->spans.length)
        return 0;
    int result = write_arguments(masking);
    if (result < 0)
        return result;
    *maskedp = (const struct slice *)(void *)masking->arguments.data;
    return 1;
}
