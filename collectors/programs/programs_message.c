/* Only what programs_message_write can have written is taken: every other message is malformed. */
#include "collectors/programs/programs_message.h"

#include "collectors/netlink/common_message.h"
#include "core/bounded_reader.h"

enum { KNOWN_NOTHING, KNOWN_FILE, KNOWN_DIGEST, KNOWN_DIGEST_LATER, KNOWN_N };

static uint8_t *put(uint8_t *to, const void *from, size_t length)
{
    memcpy(to, from, length);
    return to + length;
}

static uint8_t what_is_known(const struct fact_program *program)
{
    if (!program->known)
        return KNOWN_NOTHING;
    if (!program->hashed)
        return KNOWN_FILE;
    return program->shown_ns ? KNOWN_DIGEST_LATER : KNOWN_DIGEST;
}

size_t programs_message_write(uint8_t to[PROGRAMS_MESSAGE_MOST], const struct fact_program *program)
{
    uint8_t *end = put(to, &program->request, sizeof(program->request));
    *end++ = what_is_known(program);
    *end++ = (uint8_t)program->evidence;
    if (program->known) {
        end = put(end, &program->size, sizeof(program->size));
        end = put(end, &program->modified_real_ns, sizeof(program->modified_real_ns));
        end = put(end, &program->changed_real_ns, sizeof(program->changed_real_ns));
        if (program->hashed)
            end = put(end, program->sha256, sizeof(program->sha256));
        if (program->hashed && program->shown_ns)
            end = put(end, &program->shown_ns, sizeof(program->shown_ns));
    }
    return (size_t)(end - to);
}

static int decode_answer(struct slice bytes, struct fact_program *program)
{
    struct bounded_reader reader = bounded_reader_of(bytes.data, bytes.length);
    uint64_t request = bounded_reader_u64(&reader);
    uint8_t known = bounded_reader_u8(&reader);
    uint8_t evidence = bounded_reader_u8(&reader);
    *program = (struct fact_program){.request = request,
                                     .known = known != KNOWN_NOTHING,
                                     .hashed = known == KNOWN_DIGEST || known == KNOWN_DIGEST_LATER,
                                     .evidence = evidence};
    if (program->known) {
        program->size = bounded_reader_u64(&reader);
        program->modified_real_ns = (int64_t)bounded_reader_u64(&reader);
        program->changed_real_ns = (int64_t)bounded_reader_u64(&reader);
    }
    if (program->hashed)
        bounded_reader_copy(&reader, program->sha256, sizeof(program->sha256));
    if (known == KNOWN_DIGEST_LATER)
        program->shown_ns = bounded_reader_u64(&reader);
    bool plausible = known < KNOWN_N && program->known == (evidence != 0) &&
                     evidence <= (PROGRAM_OF_PROCESS | PROGRAM_AT_PATH) &&
                     (known == KNOWN_DIGEST_LATER) == (program->shown_ns != 0);
    return reader.failed || reader.left || !plausible ? -EBADMSG : 0;
}

int programs_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                    void *user)
{
    struct fact fact = {
        .kind = FACT_PROGRAM, .source = message->source, .boot_ns = message->boot_ns};
    (void)decoder;
    if (common_message_decode(message, handler, user))
        return 0;
    if (message->kind != MESSAGE_DATA)
        return -EBADMSG;
    int r = decode_answer(message->bytes, &fact.program);
    if (r == 0)
        handler(user, &fact);
    return r;
}
