/* Looks at the type, hands pieces of execs to the event set and every serial to the hole counter.
 */
#include "collectors/audit/audit_decoder.h"

#include "collectors/audit/audit_event.h"
#include "collectors/audit/audit_kernel.h"
#include "collectors/audit/audit_record.h"
#include "collectors/audit/audit_serial.h"
#include "collectors/audit/audit_socket.h"
#include "collectors/audit/audit_type.h"
#include "collectors/audit/audit_user.h"
#include "collectors/netlink/common_message.h"

#include <linux/audit.h>
#include <stdlib.h>

#define STALE_NS       1000000000ull /* a note comes when records were lost: wait no longer for them */
#define MILLISECOND_NS 1000000ull

struct audit_decoder {
    struct audit_event_set *events;
    struct audit_socket_set *sockets;
    struct audit_kernel_set *kernel;
    struct audit_serial serials;
    struct audit_user_scratch scratch;
};

struct hole_context {
    fact_handler handler;
    void *user;
    uint64_t boot_ns;
    const struct audit_serial *serials;
};

int audit_decoder_new(struct decoder **decoderp)
{
    struct audit_decoder *self = calloc(1, sizeof(*self));
    int r = self ? audit_event_set_new(&self->events) : -ENOMEM;
    if (r == 0)
        r = audit_socket_set_new(&self->sockets);
    if (r == 0)
        r = audit_kernel_set_new(&self->kernel);
    if (r < 0) {
        audit_decoder_free((struct decoder *)self);
        return r;
    }
    *decoderp = (struct decoder *)self;
    return 0;
}

struct decoder *audit_decoder_free(struct decoder *decoder)
{
    struct audit_decoder *self = (struct audit_decoder *)decoder;
    if (self) {
        audit_event_set_free(self->events);
        audit_socket_set_free(self->sockets);
        audit_user_scratch_deinit(&self->scratch);
        audit_kernel_set_free(self->kernel);
    }
    free(self);
    return NULL;
}

static void report_hole(void *user, uint32_t first, uint32_t last)
{
    const struct hole_context *context = user;
    const struct fact fact = {
        .kind = FACT_AUDIT_HOLE,
        .source = SOURCE_AUDIT,
 /* A later serial had been seen by the mark, so they were missing by then. */
        .boot_ns = context->serials->mark_ns ? context->serials->mark_ns : context->boot_ns,
        .audit_hole = {.first = first, .last = last}
    };
    context->handler(context->user, &fact);
}

struct login_fields {
    struct fact_audit_login login;
    uint32_t result;
};

#define LOGIN_NEEDED 0xfu /* the first four of the names below */

/* Returns the bit of the field's name; 0 for others. */
static unsigned add_login_field(struct login_fields *fields, const struct audit_field *field)
{
    struct fact_audit_login *login = &fields->login;
    const struct {
        const char *name;
        uint32_t *value;
    } rows[] = {
        {"pid",      &login->pid          },
        {"auid",     &login->login_uid    },
        {"ses",      &login->session      },
        {"res",      &fields->result      },
        {"old-auid", &login->old_login_uid},
        {"old-ses",  &login->old_session  },
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (slice_is(field->name, rows[i].name))
            return audit_field_u32(field, rows[i].value) ? 1u << i : 0;
    return 0;
}

static int decode_login(const struct audit_record *record, uint64_t boot_ns, fact_handler handler,
                        void *user)
{
    struct login_fields fields = {
        .login = {.serial = record->serial,
                  .real_ms = record->real_ms,
                  .old_login_uid = ID_UNSET,
                  .old_session = ID_UNSET}
    };
    struct slice rest = record->fields;
    struct audit_field field;
    unsigned known = 0;
    while (audit_field_next(&rest, &field))
        known |= add_login_field(&fields, &field);
    if ((known & LOGIN_NEEDED) != LOGIN_NEEDED || fields.login.pid == 0)
        return -EBADMSG;
    if (fields.result != 1)
        return 0; /* refused: nothing was set */
    const struct fact fact = {.kind = FACT_AUDIT_LOGIN,
                              .source = SOURCE_AUDIT,
                              .boot_ns = boot_ns,
                              .audit_login = fields.login};
    handler(user, &fact);
    return 0;
}

static int decode_data(struct audit_decoder *self, const struct message *message,
                       fact_handler handler, void *user)
{
    uint16_t type;
    if (!audit_record_type(message->bytes, &type))
        return -EBADMSG;
    enum audit_use use = audit_type_use(type);
    if (use == AUDIT_USE_CONTROL)
        return 0;
    struct audit_record record;
    int r = audit_record_parse(message->bytes, &record);
    if (r < 0)
        return r;
    struct hole_context context = {
        .handler = handler, .user = user, .boot_ns = message->boot_ns, .serials = &self->serials};
    audit_serial_see(&self->serials, record.serial, message->boot_ns, report_hole, &context);
    switch (use) {
    case AUDIT_USE_EXEC:
        r = audit_event_set_add(self->events, &record, message->boot_ns, handler, user);
        if (record.type == AUDIT_CWD && r == 0)
            return audit_kernel_set_add(self->kernel, &record, message->boot_ns, handler, user);
        if (r != AUDIT_EVENT_OTHER)
            return r;
        r = audit_kernel_set_add(self->kernel, &record, message->boot_ns, handler, user);
        if (r != AUDIT_KERNEL_SET_OTHER)
            return r;
        return audit_socket_set_add(self->sockets, &record, message->boot_ns, handler, user);
    case AUDIT_USE_KERNEL:
        return audit_kernel_set_add(self->kernel, &record, message->boot_ns, handler, user);
    case AUDIT_USE_SOCKET:
        return audit_socket_set_add(self->sockets, &record, message->boot_ns, handler, user);
    case AUDIT_USE_LOGIN:
        return decode_login(&record, message->boot_ns, handler, user);
    case AUDIT_USE_USER:
        return audit_user_decode(&self->scratch, &record, message->boot_ns, handler, user);
    case AUDIT_USE_SKIP:
    case AUDIT_USE_CONTROL:
        break;
    }
    return 0;
}

/* "NAME=NUMBER", and nothing behind it. */
static bool note_number(struct slice note, const char *name, uint32_t *number)
{
    struct audit_field field;
    return audit_field_next(&note, &field) && slice_is(field.name, name) &&
           audit_field_u32(&field, number) && note.length == 0;
}

static void decode_note(struct audit_decoder *self, const struct message *message,
                        fact_handler handler, void *user)
{
    uint32_t number;
    struct hole_context context = {
        .handler = handler, .user = user, .boot_ns = message->boot_ns, .serials = &self->serials};
    audit_serial_tick(&self->serials, message->boot_ns, report_hole, &context);
    if (message->boot_ns > STALE_NS)
        audit_event_set_expire(self->events, message->boot_ns - STALE_NS, handler, user);
    if (note_number(message->bytes, "last_serial", &number)) {
        audit_serial_resume(&self->serials, number);
    } else if (note_number(message->bytes, "rules_deleted", &number)) {
        const uint64_t span_ns = number * MILLISECOND_NS;
        const struct fact fact = {.kind = FACT_AUDIT_RULES,
                                  .source = SOURCE_AUDIT,
                                  .boot_ns = message->boot_ns,
                                  .audit_rules = {.since_ns = message->boot_ns > span_ns
                                                                  ? message->boot_ns - span_ns
                                                                  : 0}};
        handler(user, &fact);
    } else if (note_number(message->bytes, "lost", &number) && number > 0) {
        const struct fact fact = {.kind = FACT_AUDIT_LOST,
                                  .source = SOURCE_AUDIT,
                                  .boot_ns = message->boot_ns,
                                  .audit_lost = {.records = number}};
        handler(user, &fact);
    }
}

int audit_decoder_decode(struct decoder *decoder, const struct message *message,
                         fact_handler handler, void *user)
{
    struct audit_decoder *self = (struct audit_decoder *)decoder;
    if (common_message_decode(message, handler, user))
        return 0;
    if (message->kind == MESSAGE_DATA)
        return decode_data(self, message, handler, user);
    if (message->kind == MESSAGE_NOTE)
        decode_note(self, message, handler, user);
    return 0;
}
