/*
 * A row waits for a moment: the records behind the first one say what the call was done to, the
 * process connector has told of the program by then, and its user has a name.
 *
 * Which image of the pid it was: audit stamps at the entry of the call, by a clock that is up to
 * 10 ms behind; of the images that ran in that time it is the one with the name in the record.
 *
 * What is beyond a rate is counted only. The rate is that of one program's calls of one kind by one
 * user, so that nobody's storm takes from what another user does; what only the privileged can do
 * is outside of it when it succeeded. A call of which only a further record says whether it changed
 * anything waits apart, and costs nothing until then.
 *
 * The wall clock is compared with the boot clock at each gulp. Two readings can be torn apart by
 * whatever runs between them, so a jump counts only when it is still there some gulps later.
 */
#include "recorder/kernel_events/kernel_events.h"

#include "core/hash.h"
#include "recorder/lifecycle/comm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>

enum { USERS = 32, PROGRAMS = 64, LOOK_BACK = 64, STEADY_GULPS = 3 };
enum { TARGET_BYTES_MOST = 16 << 20 }; /* of all that wait */

/* Records are stamped at the entry of the system call, by a clock of up to 10 ms, downwards. */
static const uint64_t stamp_slack_ns = 10000000;
/* Before /proc has been read nobody knows whose a pid is; rows wait so long for it. */
static const uint64_t scan_ns = UINT64_C(5000000000);
/* The kernel slews the clock by less between two gulps. */
static const int64_t jump_ns = 2000000;

struct kernel_event {
    TAILQ_ENTRY(kernel_event) in_waiting;
    struct fact_kernel_event what; /* its slices are not used */
    uint64_t ns, deadline_ns;      /* boot clock; when it was done, when it is written */
    char comm[16];
    bool has_target;
    struct buffer target;
};

/* How many rows the calls of one hash still may have. */
struct program_credit {
    uint64_t thousandths, at_ns;
};

TAILQ_HEAD(kernel_event_list, kernel_event);

struct kernel_events {
    struct kernel_events_options options;
    struct kernel_event_list waiting; /* in the order of their deadlines */
    size_t n_waiting, target_bytes;
    struct kernel_event_list unproven; /* without the record that makes them rows */
    size_t n_unproven;
    struct program_credit programs[USERS][PROGRAMS]; /* the first user is root */
    uint64_t n_beyond;
    bool clock_known;
    int64_t wall_ns, other_wall_ns; /* followed; seen since, but not for long enough */
    uint64_t other_since_ns;
    int other_gulps;
};

static uint64_t now_ns(const struct kernel_events *events)
{
    return events->options.output->timeline->now_boot_ns;
}

int kernel_events_new(struct kernel_events **eventsp, const struct kernel_events_options *options)
{
    struct kernel_events *events = calloc(1, sizeof(*events));
    if (!events)
        return -ENOMEM;
    events->options = *options;
    TAILQ_INIT(&events->waiting);
    TAILQ_INIT(&events->unproven);
    for (size_t i = 0; i < USERS * PROGRAMS; i++)
        events->programs[i / PROGRAMS][i % PROGRAMS].thousandths =
            (uint64_t)KERNEL_EVENTS_RATE * KERNEL_EVENTS_BURST_S * 1000;
    *eventsp = events;
    return 0;
}

static void release(struct kernel_events *events, struct kernel_event *event)
{
    events->target_bytes -= event->target.capacity;
    buffer_deinit(&event->target);
    free(event);
}

static void forget(struct kernel_events *events, struct kernel_event *event)
{
    TAILQ_REMOVE(&events->waiting, event, in_waiting);
    events->n_waiting--;
    release(events, event);
}

static struct kernel_event *take_unproven(struct kernel_events *events, struct kernel_event *event)
{
    TAILQ_REMOVE(&events->unproven, event, in_waiting);
    events->n_unproven--;
    return event;
}

struct kernel_events *kernel_events_free(struct kernel_events *events)
{
    while (events && !TAILQ_EMPTY(&events->waiting))
        forget(events, TAILQ_FIRST(&events->waiting));
    while (events && !TAILQ_EMPTY(&events->unproven))
        release(events, take_unproven(events, TAILQ_FIRST(&events->unproven)));
    free(events);
    return NULL;
}

/* -- rows -- */

static const char *kind_name(enum kernel_event_kind kind)
{
    static const char *const names[KERNEL_EVENT_N] = {
        [KERNEL_MODULE_LOAD] = "module_load",
        [KERNEL_MODULE_UNLOAD] = "module_unload",
        [KERNEL_MOUNT] = "mount",
        [KERNEL_REMOUNT] = "remount",
        [KERNEL_UMOUNT] = "umount",
        [KERNEL_PTRACE] = "ptrace",
        [KERNEL_SETNS] = "setns",
        [KERNEL_UNSHARE] = "unshare",
        [KERNEL_CLONE] = "clone",
        [KERNEL_BPF_LOAD] = "bpf_load",
        [KERNEL_IO_URING_SETUP] = "io_uring_setup",
        [KERNEL_KEXEC_LOAD] = "kexec_load",
        [KERNEL_CLOCK_SET] = "clock_set",
        [KERNEL_AUDIT_CHANGE] = "audit_change",
        [KERNEL_TAMPER] = "tamper",
        [KERNEL_SIGNAL] = "signal",
        [KERNEL_CLOCK_STEP] = "clock_step",
    };
    return names[kind];
}

/* What BPF tells of, with an exact time and no serial. */
static bool is_to_agent(enum kernel_event_kind kind)
{
    return kind == KERNEL_SIGNAL || kind == KERNEL_TAMPER;
}

static void append_id64(struct line *line, uint64_t value)
{
    if (value)
        line_u64(line, value);
    else
        line_null(line);
}

static void append_user(struct kernel_events *events, uint32_t uid)
{
    struct slice name;
    user_names_find(events->options.names, uid, now_ns(events), &name);
    line_id32(&events->options.output->line, uid);
    line_evidence(&events->options.output->line, name);
}

/* False: nobody knows. */
static bool find_actor(struct kernel_events *events, const struct kernel_event *event,
                       struct actor *found)
{
    struct actor images[PROCESSES_ACTORS_MOST];
    size_t n = event->what.pid ? processes_actors(events->options.processes, event->what.pid,
                                                  event->ns, event->ns + stamp_slack_ns, images)
                               : 0;
    if (n == 0)
        return false;
    size_t at = n - 1;
    for (size_t i = n; i-- > 0;)
        if (memcmp(images[i].comm, event->comm, sizeof(event->comm)) == 0) {
            at = i;
            break;
        }
    *found = images[at];
    return true;
}

static void write_row(struct kernel_events *events, const struct kernel_event *event,
                      uint64_t process_id)
{
    struct row_output *output = events->options.output;
    struct line *line = &output->line;
    const struct fact_kernel_event *what = &event->what;
    uint64_t at_us = timeline_real_us(output->timeline, event->ns);
    line_begin(line, VERB_INSERT, TABLE_KERNEL_EVENT, timeline_id(output->timeline));
    line_time(line, at_us);
    row_output_seen_by(output, what->kind == KERNEL_CLOCK_STEP ? SEEN_BY_AGENT
                               : is_to_agent(what->kind)       ? SEEN_BY_BPF
                                                               : SEEN_BY_AUDIT);
    append_id64(line, process_id);
    append_id64(line, what->pid);
    line_evidence(line, comm_slice(event->comm));
    append_user(events, what->uid);
    append_user(events, what->login_uid);
    line_word(line, kind_name(what->kind));
    line_evidence(line, event->has_target ? buffer_slice(&event->target) : SLICE_NULL);
    line_word(line, what->known ? what->success ? "success" : "failure" : NULL);
    line_time(line, at_us);
    line_word(line, end_cause_name(END_CLOSED));
    int error = row_output_send(output);
    if (error)
        row_output_refused(output, false, error);
}

static void finish(struct kernel_events *events, struct kernel_event *event)
{
    struct actor actor = {0};
    bool known = find_actor(events, event, &actor);
    bool own = known && actor.own;
    if (!own || is_to_agent(event->what.kind))
        write_row(events, event, actor.process_id);
    forget(events, event);
}

/* -- facts -- */

/* The name is the caller's choice: what it meets by its hash are calls of the same user only, and
 * changing it gains little. Nobody shares anything with root. */
static struct program_credit *credit_of(struct kernel_events *events, const char comm[16],
                                        const struct fact_kernel_event *what)
{
    const uint8_t kind = (uint8_t)what->kind;
    uint64_t user = hash_slice(HASH_START, slice_of(&what->uid, sizeof(what->uid)));
    uint64_t program =
        hash_slice(hash_slice(HASH_START, slice_of(comm, 16)), slice_of(&kind, sizeof(kind)));
    user ^= user >> 32;
    program ^= program >> 32;
    return &events->programs[what->uid == 0 ? 0 : 1 + user % (USERS - 1)][program % PROGRAMS];
}

static bool is_unlimited(const struct fact_kernel_event *what)
{
    switch (what->kind) {
    case KERNEL_MODULE_LOAD:
    case KERNEL_MODULE_UNLOAD:
    case KERNEL_KEXEC_LOAD:
    case KERNEL_BPF_LOAD:
    case KERNEL_CLOCK_SET:
    case KERNEL_AUDIT_CHANGE:
    case KERNEL_TAMPER:
    case KERNEL_SIGNAL:
        return what->known && what->success;
    default:
        return false;
    }
}

static bool allows(struct kernel_events *events, struct program_credit *credit)
{
    const uint64_t full_ms = (uint64_t)KERNEL_EVENTS_BURST_S * 1000;
    uint64_t now = now_ns(events);
    uint64_t elapsed_ms = now > credit->at_ns ? (now - credit->at_ns) / 1000000 : 0;
    if (elapsed_ms) {
        credit->at_ns = now;
        credit->thousandths += (elapsed_ms < full_ms ? elapsed_ms : full_ms) * KERNEL_EVENTS_RATE;
        if (credit->thousandths > full_ms * KERNEL_EVENTS_RATE)
            credit->thousandths = full_ms * KERNEL_EVENTS_RATE;
    }
    if (credit->thousandths < 1000) {
        events->n_beyond++;
        return false;
    }
    credit->thousandths -= 1000;
    return true;
}

/* Whatever does not fit is cut, which its end shows. */
static void append_target(struct buffer *to, struct slice text)
{
    size_t room = KERNEL_TARGET_MOST - to->length;
    buffer_append_slice(to, slice_of(text.data, text.length < room ? text.length : room));
    if (text.length > room && !to->failed)
        memcpy(to->data + KERNEL_TARGET_MOST - 3, "...", 3);
}

static void add_target(struct kernel_events *events, struct kernel_event *event,
                       struct slice target, bool further)
{
    if (slice_is_null(target))
        return;
    events->target_bytes -= event->target.capacity;
    if (!further)
        buffer_clear(&event->target);
    else if (event->target.length)
        append_target(&event->target, slice_text("; "));
    append_target(&event->target, target);
    event->has_target = !event->target.failed;
    events->target_bytes += event->target.capacity;
}

static struct kernel_event *event_new(struct kernel_events *events, uint64_t ns)
{
    struct kernel_event *event = calloc(1, sizeof(*event));
    if (!event) {
        events->n_beyond++;
        return NULL;
    }
    event->ns = ns;
    event->target.limit = KERNEL_TARGET_MOST;
    return event;
}

static void wait_for_more(struct kernel_events *events, struct kernel_event *event)
{
    while (events->n_waiting >= KERNEL_EVENTS_MOST ||
           (events->n_waiting && events->target_bytes > TARGET_BYTES_MOST))
        finish(events, TAILQ_FIRST(&events->waiting));
    event->deadline_ns = now_ns(events) + events->options.settle_ns;
    TAILQ_INSERT_TAIL(&events->waiting, event, in_waiting);
    events->n_waiting++;
}

/* What is pushed out only read: the record of a change comes right behind that of its call. */
static void wait_for_proof(struct kernel_events *events, struct kernel_event *event)
{
    if (events->n_unproven >= LOOK_BACK)
        release(events, take_unproven(events, TAILQ_FIRST(&events->unproven)));
    TAILQ_INSERT_TAIL(&events->unproven, event, in_waiting);
    events->n_unproven++;
}

static uint64_t called_ns(const struct kernel_events *events, const struct fact *fact)
{
    int64_t real_ns;
    if (is_to_agent(fact->kernel_event.kind))
        return fact->boot_ns;
    if (__builtin_mul_overflow(fact->kernel_event.real_ms, INT64_C(1000000), &real_ns))
        return fact->boot_ns;
    return timeline_stamp(events->options.output->timeline, real_ns, fact->boot_ns).boot_ns;
}

static void on_event(struct kernel_events *events, const struct fact *fact)
{
    char comm[16];
    const struct fact_kernel_event *what = &fact->kernel_event;
    comm_set(comm, what->comm);
    if (!is_unlimited(what) && !allows(events, credit_of(events, comm, what)))
        return;
    struct kernel_event *event = event_new(events, called_ns(events, fact));
    if (!event)
        return;
    event->what = *what;
    event->what.comm = event->what.target = SLICE_NULL;
    memcpy(event->comm, comm, sizeof(comm));
    add_target(events, event, what->target, false);
    if (what->needs_target)
        wait_for_proof(events, event);
    else
        wait_for_more(events, event);
    /* Asked for now, the names are known when it is written. */
    struct slice name;
    user_names_find(events->options.names, event->what.uid, now_ns(events), &name);
    user_names_find(events->options.names, event->what.login_uid, now_ns(events), &name);
}

/* Records of one call come close together. */
static void on_target(struct kernel_events *events, const struct fact_kernel_target *target)
{
    struct kernel_event *event;
    int n = 0;
    TAILQ_FOREACH_REVERSE(event, &events->waiting, kernel_event_list, in_waiting)
    {
        if (n++ == LOOK_BACK)
            break;
        if (event->what.serial == target->serial && event->what.kind != KERNEL_CLOCK_STEP &&
            !is_to_agent(event->what.kind)) {
            add_target(events, event, target->target, target->further);
            return;
        }
    }
    TAILQ_FOREACH(event, &events->unproven, in_waiting)
    {
        if (event->what.serial == target->serial) {
            add_target(events, event, target->target, target->further);
            wait_for_more(events, take_unproven(events, event));
            return;
        }
    }
}

void kernel_events_fact(struct kernel_events *events, const struct fact *fact)
{
    if (!events->options.active)
        return;
    if (fact->kind == FACT_KERNEL_EVENT)
        on_event(events, fact);
    else if (fact->kind == FACT_KERNEL_TARGET)
        on_target(events, &fact->kernel_target);
}

/* -- the clock -- */

static void add_step(struct kernel_events *events, int64_t step_ns)
{
    struct kernel_event *event = event_new(events, events->other_since_ns);
    if (!event)
        return;
    uint64_t size = step_ns < 0 ? 0 - (uint64_t)step_ns : (uint64_t)step_ns;
    event->what = (struct fact_kernel_event){.kind = KERNEL_CLOCK_STEP,
                                             .known = true,
                                             .success = true,
                                             .uid = ID_UNSET,
                                             .login_uid = ID_UNSET};
    buffer_printf(&event->target, "%c%" PRIu64 ".%06" PRIu64 " s", step_ns < 0 ? '-' : '+',
                  size / 1000000000, size % 1000000000 / 1000);
    event->has_target = true;
    events->target_bytes += event->target.capacity;
    wait_for_more(events, event);
}

static bool is_near(int64_t a, int64_t b)
{
    int64_t distance;
    return !__builtin_sub_overflow(a, b, &distance) && distance <= jump_ns && distance >= -jump_ns;
}

void kernel_events_clock(struct kernel_events *events, uint64_t boot_ns, int64_t wall_ns)
{
    int64_t step_ns;
    if (!events->options.active)
        return;
    if (!events->clock_known || is_near(wall_ns, events->wall_ns)) {
        events->clock_known = true;
        events->wall_ns = wall_ns;
        events->other_gulps = 0;
        return;
    }
    if (events->other_gulps == 0 || !is_near(wall_ns, events->other_wall_ns)) {
        events->other_gulps = 0;
        events->other_since_ns = boot_ns;
    }
    events->other_wall_ns = wall_ns;
    if (++events->other_gulps < STEADY_GULPS)
        return;
    if (!__builtin_sub_overflow(wall_ns, events->wall_ns, &step_ns))
        add_step(events, step_ns);
    events->wall_ns = wall_ns;
    events->other_gulps = 0;
}

/* -- time -- */

void kernel_events_tick(struct kernel_events *events)
{
    struct kernel_event *event;
    bool whose_known = processes_last_scan_ns(events->options.processes) != 0;
    while ((event = TAILQ_FIRST(&events->waiting)) &&
           event->deadline_ns + (whose_known ? 0 : scan_ns) <= now_ns(events))
        finish(events, event);
}

bool kernel_events_settled_until(const struct kernel_events *events, uint64_t boot_ns)
{
    const struct kernel_event *event = TAILQ_FIRST(&events->waiting);
    return !event || event->deadline_ns > boot_ns + events->options.settle_ns;
}

uint64_t kernel_events_take_beyond(struct kernel_events *events)
{
    uint64_t n = events->n_beyond;
    events->n_beyond = 0;
    return n;
}

void kernel_events_flush(struct kernel_events *events)
{
    while (!TAILQ_EMPTY(&events->waiting))
        finish(events, TAILQ_FIRST(&events->waiting));
}
