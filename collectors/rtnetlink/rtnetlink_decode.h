#pragma once
/* Decoding of rtnetlink's messages. Pure, and without memory from message to message. */
#include "collectors/source.h"

int rtnetlink_decoder_new(struct decoder **decoderp) MUST_CHECK;
int rtnetlink_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                     void *user) MUST_CHECK;
struct decoder *rtnetlink_decoder_free(struct decoder *decoder);

/* What the source says of its dumps, as the text of a note. */
enum rtnetlink_note {
    RTNETLINK_SCAN_WANTED,
    RTNETLINK_SCAN_BEGAN,        /* of links, addresses and routes */
    RTNETLINK_SCAN_ROUTES_BEGAN, /* of routes */
    RTNETLINK_SCAN_COMPLETE,
    RTNETLINK_SCAN_INCOMPLETE,
    RTNETLINK_NOTE_N
};
struct slice rtnetlink_note_text(enum rtnetlink_note note);
