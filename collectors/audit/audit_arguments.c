/*
 * The kernel writes `argc=N` once, then `aI="text"` or `aI=HEX` for each argument. One that does
 * not fit into a record becomes `aI_len=LENGTH aI[0]=... aI[1]=...`, spread over as many records as
 * it takes; each piece is quoted or hexadecimal on its own, and LENGTH counts
 * the characters that are written, two for each byte in hexadecimal. Indexes only grow.
 *
 * An index that was jumped over was in a lost record. A long argument is complete when its pieces
 * are counted without a hole and either have the declared length or are followed by something else
 * in the same record: then the kernel itself ended there (another process may change the memory
 * between the measuring and the copying). An argument with a hole is left out, as a lost one is, so
 * that fewer arguments than `argc` always tells.
 */
#include "collectors/audit/audit_arguments.h"

#define KEPT_CAPACITY (16u * 1024)

void audit_arguments_deinit(struct audit_arguments *self)
{
    buffer_deinit(&self->bytes);
    buffer_deinit(&self->list);
}

static void clear_buffer(struct buffer *buffer)
{
    if (buffer->capacity > KEPT_CAPACITY)
        buffer_deinit(buffer);
    buffer_clear(buffer);
}

void audit_arguments_clear(struct audit_arguments *self)
{
    clear_buffer(&self->bytes);
    clear_buffer(&self->list);
    *self = (struct audit_arguments){.bytes = self->bytes, .list = self->list};
}

/* Keep what was appended since @p offset as the next argument. */
static void keep(struct audit_arguments *self, size_t offset)
{
    const struct audit_argument argument = {.offset = offset,
                                            .length = self->bytes.length - offset};
    if (!self->bytes.failed)
        buffer_append(&self->list, &argument, sizeof(argument));
    self->full = self->list.failed || self->bytes.failed;
    if (self->full)
        self->bytes.length = offset;
}

static void close_argument(struct audit_arguments *self, bool in_same_record)
{
    if (!self->open)
        return;
    self->open = false;
    if (self->damaged || self->bytes.failed ||
        (self->received_length < self->declared_length && !in_same_record))
        self->bytes.length = self->open_offset;
    else
        keep(self, self->open_offset);
}

enum name_kind { NAME_OTHER, NAME_ARGC, NAME_WHOLE, NAME_LENGTH, NAME_PIECE };

struct argument_name {
    enum name_kind kind;
    uint32_t index, piece;
};

/* A number at the front of @p text, at most UINT32_MAX - 1 so that the next one exists too. */
static bool take_index(struct slice *text, uint32_t *index)
{
    uint64_t number = 0;
    size_t i = 0;
    for (; i < text->length && (unsigned)text->data[i] - '0' < 10; i++) {
        number = number * 10 + (uint64_t)(text->data[i] - '0');
        if (number >= UINT32_MAX)
            return false;
    }
    *text = slice_of(text->data + i, text->length - i);
    *index = (uint32_t)number;
    return i > 0;
}

static struct argument_name parse_name(struct slice name)
{
    struct argument_name result = {.kind = NAME_OTHER};
    if (slice_is(name, "argc"))
        return (struct argument_name){.kind = NAME_ARGC};
    if (name.length < 2 || name.data[0] != 'a')
        return result;
    struct slice rest = slice_of(name.data + 1, name.length - 1);
    if (!take_index(&rest, &result.index))
        return result;
    if (rest.length == 0) {
        result.kind = NAME_WHOLE;
    } else if (rest.data[0] == '[') {
        rest = slice_of(rest.data + 1, rest.length - 1);
        if (take_index(&rest, &result.piece) && slice_is(rest, "]"))
            result.kind = NAME_PIECE;
    } else if (slice_is(rest, "_len")) {
        result.kind = NAME_LENGTH;
    }
    return result;
}

/* An index that does not grow, or is beyond argc, is a lie. */
static bool index_is_plausible(const struct audit_arguments *self, uint32_t index)
{
    return index >= self->next && (!self->argc_known || index < self->argc);
}

static int add_whole(struct audit_arguments *self, uint32_t index, const struct audit_field *field)
{
    if (!index_is_plausible(self, index))
        return -EBADMSG;
    self->next = index + 1;
    size_t offset = self->bytes.length;
    int r = audit_field_text(field, &self->bytes);
    if (r < 0)
        return r;
    if (r == AUDIT_TEXT_KNOWN)
        keep(self, offset);
    return 0;
}

static int open_argument(struct audit_arguments *self, uint32_t index, uint64_t declared_length)
{
    if (!index_is_plausible(self, index))
        return -EBADMSG;
    self->next = index + 1;
    self->open = true;
    self->damaged = false;
    self->open_index = index;
    self->next_piece = 0;
    self->declared_length = declared_length;
    self->received_length = 0;
    self->open_offset = self->bytes.length;
    return 0;
}

static int add_piece(struct audit_arguments *self, const struct argument_name *name,
                     const struct audit_field *field)
{
    /* Without its beginning the argument has no length, and its first pieces are lost. */
    if (!self->open) {
        int r = open_argument(self, name->index, 0);
        if (r < 0)
            return r;
        self->damaged = true;
    }
    if (name->piece != self->next_piece)
        self->damaged = true;
    self->next_piece = name->piece + 1;
    if (self->damaged)
        return 0;
    self->received_length += field->value.length;
    int r = audit_field_text(field, &self->bytes);
    if (r != AUDIT_TEXT_KNOWN)
        self->damaged = true;
    return r < 0 ? r : 0;
}

static int add_field(struct audit_arguments *self, const struct audit_field *field,
                     bool first_in_record)
{
    const struct argument_name name = parse_name(field->name);
    uint32_t number;
    if (self->open && !(name.kind == NAME_PIECE && name.index == self->open_index))
        close_argument(self, !first_in_record);
    switch (name.kind) {
    case NAME_ARGC:
        if (self->argc_known || self->next > 0 || !audit_field_u32(field, &number))
            return -EBADMSG;
        self->argc_known = true;
        self->argc = number;
        return 0;
    case NAME_WHOLE:
        return add_whole(self, name.index, field);
    case NAME_LENGTH:
        return audit_field_u32(field, &number) ? open_argument(self, name.index, number) : -EBADMSG;
    case NAME_PIECE:
        return add_piece(self, &name, field);
    case NAME_OTHER:
        break;
    }
    return 0;
}

int audit_arguments_add(struct audit_arguments *self, struct slice fields)
{
    struct audit_field field;
    int result = 0;
    for (bool first = true; !self->full && audit_field_next(&fields, &field); first = false) {
        int r = add_field(self, &field, first);
        if (r < 0)
            result = r;
    }
    return result;
}

void audit_arguments_finish(struct audit_arguments *self)
{
    close_argument(self, false);
    if (!self->argc_known)
        self->argc = self->next;
}
