/* Words, so that an examiner can read them in a batch's header, and old ones stay readable. */
#include "recorder/tracker/cursors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void append_login(struct buffer *to, const char *name, const struct login_cursor *cursor)
{
    if (cursor->inode)
        buffer_printf(to, " %s=%" PRIu64 ":%" PRIu64 ":%" PRIu64 ":%" PRIu64, name, cursor->inode,
                      cursor->offset, cursor->first, cursor->last);
}

static struct login_cursor parse_login(const char *value)
{
    uint64_t numbers[4] = {0};
    for (size_t i = 0; i < 4; i++) {
        char *end;
        numbers[i] = strtoull(value, &end, 10);
        if (*end != ':')
            break;
        value = end + 1;
    }
    return (struct login_cursor){numbers[0], numbers[1], numbers[2], numbers[3]};
}

void cursors_append(struct buffer *to, const struct cursors *c)
{
    buffer_append_text(to, "boot=");
    buffer_append_text(to, c->boot_id);
    buffer_append_text(to, " offset=");
    buffer_append_i64(to, c->offset_ns);
    buffer_append_text(to, " id=");
    buffer_append_u64(to, c->last_id);
    buffer_append_text(to, " at=");
    buffer_append_u64(to, c->at_ns);
    buffer_append_text(to, " forks=");
    buffer_append_u64(to, c->processes.forks);
    buffer_append_text(to, " unstored=");
    buffer_append_u64(to, c->processes.unstored);
    buffer_append_text(to, " threads=");
    buffer_append_u64(to, c->processes.threads);
    buffer_append_text(to, " unstored_threads=");
    buffer_append_u64(to, c->processes.unstored_threads);
    if (c->unheard_since_ns)
        buffer_printf(to, " unheard_since=%" PRIu64, c->unheard_since_ns);
    buffer_append_text(to, " serial=");
    buffer_append_u64(to, c->audit_serial);
    append_login(to, "wtmp", &c->wtmp);
    append_login(to, "btmp", &c->btmp);
    if (c->shutdown_us)
        buffer_printf(to, " shutdown=%" PRIu64, c->shutdown_us);
    buffer_append_text(to, c->clean ? " clean=1" : " clean=0");
}

void cursors_parse(struct cursors *c, const char *text)
{
    *c = (struct cursors){0};
    for (const char *word = text; word && *word; word = strchr(word, ' ')) {
        word += *word == ' ';
        const char *value = strchr(word, '=');
        if (!value)
            break;
        size_t length = (size_t)(value - word);
        uint64_t number = strtoull(++value, NULL, 10);
        if (!strncmp(word, "boot=", 5)) {
            size_t n = strcspn(value, " ");
            memcpy(c->boot_id, value, n < 36 ? n : 36);
            c->known = true;
        } else if (!strncmp(word, "offset", length)) {
            c->offset_ns = strtoll(value, NULL, 10);
        } else if (!strncmp(word, "id", length)) {
            c->last_id = number;
        } else if (!strncmp(word, "at", length)) {
            c->at_ns = number;
        } else if (!strncmp(word, "forks", length)) {
            c->processes.forks = number;
        } else if (!strncmp(word, "unstored", length)) {
            c->processes.unstored = number;
        } else if (!strncmp(word, "threads", length)) {
            c->processes.threads = number;
        } else if (!strncmp(word, "unstored_threads", length)) {
            c->processes.unstored_threads = number;
        } else if (!strncmp(word, "unheard_since", length)) {
            c->unheard_since_ns = number;
        } else if (!strncmp(word, "serial", length)) {
            c->audit_serial = (uint32_t)number;
        } else if (!strncmp(word, "wtmp", length)) {
            c->wtmp = parse_login(value);
        } else if (!strncmp(word, "btmp", length)) {
            c->btmp = parse_login(value);
        } else if (!strncmp(word, "clean", length)) {
            c->clean = number == 1;
        } else if (!strncmp(word, "shutdown", length)) {
            c->shutdown_us = number;
        }
    }
}
