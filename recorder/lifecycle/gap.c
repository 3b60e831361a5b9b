/* A gap row is a row like others, and can be refused like others: then it stays where it was
 * gathered and is written when the journal has room again. */
#include "recorder/lifecycle/gap.h"

static const uint64_t gather_ns = UINT64_C(1000000000);
static const uint64_t patience_ns = UINT64_C(5000000000);
static const uint64_t storm_ns = UINT64_C(60000000000);

static void append_count(struct line *line, int64_t count)
{
    if (count == GAP_UNKNOWN)
        line_null(line);
    else
        line_u64(line, (uint64_t)count);
}

int gap_write(struct row_output *output, const struct gap *gap)
{
    struct line *line = &output->line;
    uint64_t until = gap->until_ns > gap->from_ns ? gap->until_ns : gap->from_ns;
    line_begin(line, VERB_INSERT, TABLE_GAP, timeline_id(output->timeline));
    row_output_time(output, gap->from_ns);
    row_output_seen_by(output, SEEN_BY_AGENT);
    line_word(line, output->boot_id);
    line_word(line, gap->source);
    line_word(line, gap->cause);
    line_word(line, gap->unit);
    append_count(line, gap->count);
    append_count(line, gap->at_least);
    append_count(line, gap->at_most);
    line_evidence(line, slice_text(gap->detail));
    row_output_time(output, until);
    line_word(line, end_cause_name(END_CLOSED));
    int error = row_output_send(output);
    if (!error)
        counter_add(output->counters, COUNTER_GAPS, 1);
    return error;
}

static void open_gatherer(struct gap_gatherer *gatherer, uint64_t since_ns, uint64_t now_ns)
{
    gatherer->open = true;
    gatherer->goes_on = gatherer->last_ns && now_ns < gatherer->last_ns + gather_ns;
    gatherer->first_ns = gatherer->goes_on ? gatherer->last_ns : since_ns;
    if (!gatherer->goes_on) {
        gatherer->begin_ns = since_ns;
        gatherer->last_ns = now_ns;
    }
    gatherer->opened_ns = now_ns;
    gatherer->count = 0;
    gatherer->count_unknown = false;
}

void gap_gather(struct gap_gatherer *gatherer, uint64_t since_ns, uint64_t now_ns, int64_t count)
{
    if (!gatherer->open)
        open_gatherer(gatherer, since_ns, now_ns);
    if (since_ns < gatherer->begin_ns)
        gatherer->begin_ns = gatherer->first_ns = since_ns;
    if (now_ns > gatherer->last_ns)
        gatherer->last_ns = now_ns;
    if (count == GAP_UNKNOWN)
        gatherer->count_unknown = true;
    else
        gatherer->count += (uint64_t)count;
}

static void write_gathered(struct gap_gatherer *gatherer, struct row_output *output)
{
    struct gap gap = {.source = gatherer->source,
                      .cause = gatherer->cause,
                      .unit = gatherer->unit,
                      .from_ns = gatherer->first_ns,
                      .until_ns = gatherer->last_ns,
                      .count = gatherer->count_unknown ? GAP_UNKNOWN : (int64_t)gatherer->count,
                      .at_least = gatherer->count_unknown ? (int64_t)gatherer->count : GAP_UNKNOWN,
                      .at_most = GAP_UNKNOWN};
    gatherer->open = gap_write(output, &gap) != 0;
}

void gap_gatherer_tick(struct gap_gatherer *gatherer, struct row_output *output, uint64_t now_ns)
{
    uint64_t most_ns = gatherer->goes_on ? storm_ns : patience_ns;
    if (gatherer->open &&
        (now_ns >= gatherer->opened_ns + most_ns || now_ns >= gatherer->last_ns + gather_ns))
        write_gathered(gatherer, output);
}

void gap_gatherer_hurry(struct gap_gatherer *gatherer, struct row_output *output, uint64_t now_ns,
                        uint64_t until_ns)
{
    if (!gap_gatherer_settled_until(gatherer, until_ns) &&
        now_ns >= gatherer->opened_ns + patience_ns)
        write_gathered(gatherer, output);
}
