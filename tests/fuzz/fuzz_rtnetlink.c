// links: vestige_rtnetlink vestige_tracker
/* Any bytes as messages of rtnetlink: for the decoder, for what looks for the ends of dumps, and,
 * as far as they are facts, for the lifecycles of addresses and routes. */
#include "fuzz_messages.h"

#include "collectors/rtnetlink/rtnetlink_scan.h"
#include "collectors/rtnetlink/rtnetlink_source.h"
#include "recorder/networks/networks.h"
#include "recorder/row/row_sink_memory.h"

enum { ROWS_MOST = 64 };

struct lifecycle {
    struct row_sink_memory memory;
    struct counters counters;
    struct timeline timeline;
    struct row_output output;
    struct networks *networks;
    size_t n_names;
};

static void take_fact(void *user, const struct fact *fact)
{
    struct lifecycle *lifecycle = user;
    networks_fact(lifecycle->networks, fact);
    if (fact->kind == FACT_LINK)
        lifecycle->n_names +=
            networks_interface_name(lifecycle->networks, fact->link.index) != NULL;
    if (networks_rows(lifecycle->networks) > ROWS_MOST)
        abort();
}

/* Every third line is refused, so that rows wait. */
static int append(void *user, const struct line *line)
{
    struct lifecycle *lifecycle = user;
    lifecycle->memory.refuse = ++lifecycle->memory.n_marks % 3 == 0 ? -ENOSPC : 0;
    return row_sink_memory(&lifecycle->memory).append(&lifecycle->memory, line);
}

static void follow(struct lifecycle *lifecycle, struct decoder *decoder, const uint8_t *data,
                   size_t size)
{
    struct rtnetlink_scan scan = rtnetlink_scan_of(1);
    struct message message;
    size_t offset = 0;
    struct gulp *gulp = gulp_new(size);
    if (!gulp)
        abort();
    memcpy(gulp->data, data, size);
    gulp->used = size;
    for (uint64_t now = 1; gulp_next(gulp, &offset, &message); now += 1000000000) {
        enum rtnetlink_step step = rtnetlink_scan_step(&scan, now);
        rtnetlink_scan_look(&scan, &message);
        rtnetlink_scan_done(&scan, step, now);
        if (rtnetlink_source.decode(decoder, &message, take_fact, lifecycle) == 0)
            networks_tick(lifecycle->networks);
    }
    networks_checkpoint(lifecycle->networks);
    networks_unwatched(lifecycle->networks);
    networks_flush(lifecycle->networks);
    gulp_free(gulp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lifecycle lifecycle = {.n_names = 0};
    struct decoder *decoder;
    lifecycle.output = (struct row_output){
        .sink = {.user = &lifecycle, .append = append},
        .timeline = &lifecycle.timeline,
        .counters = &lifecycle.counters
    };
    const struct networks_options options = {.output = &lifecycle.output, .most = ROWS_MOST};
    if (networks_new(&lifecycle.networks, &options) < 0 ||
        rtnetlink_source.decoder_new(&decoder) < 0)
        abort();
    follow(&lifecycle, decoder, data, size);
    rtnetlink_source.decoder_free(decoder);
    networks_free(lifecycle.networks);
    line_deinit(&lifecycle.output.line);
    row_sink_memory_deinit(&lifecycle.memory);
    return fuzz_messages(&rtnetlink_source, data, size);
}
