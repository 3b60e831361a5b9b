/* Audit facts: who (login user, session, ids) and what (program, arguments, directory).
 *
 * An exec's record is joined to the connector's EXEC by pid and order. Records of one pid come in
 * the order of its execs, and all of its images that a record can speak of have been heard of
 * before it. But a record may be lost, and must not be given to the image that follows. Its stamp
 * is of a coarse clock at the entry of the system call: never after the EXEC of its image, and
 * after the EXEC of the image before, less a tick. So the oldest image of the pid that has no
 * record yet and began at or after the stamp is the one, unless the next one may have called for
 * its exec within a tick of that: then the record may be of either. It is kept with the older one
 * as a guess, and becomes certain when the image that follows gets a record of its own. When that
 * never comes, nobody gets the arguments. */
#include "recorder/processes/processes_private.h"

/* Of times that are converted from one clock to another. */
static const uint64_t stamp_slack_ns = 2000000;
/* A tick of the slowest kernel, the milliseconds to which stamps are cut, and the slack. */
static const uint64_t stamp_early_ns = 20000000;
/* So long a virtual machine's coarse clock does not stand still, and an exec does not last. */
static const uint64_t stamp_earliest_ns = 1000000000;

static struct process *older_life(struct processes *p, const struct process *life)
{
    return life->ended ? life->older_life : processes_find_ended(p, life->pid);
}

static struct process_row *newest_of(struct processes *p, struct process *life)
{
    while (life && !life->row)
        life = older_life(p, life);
    return life ? life->row : NULL;
}

static struct process_row *newest_image(struct processes *p, uint32_t pid)
{
    struct process *living = processes_find(p, pid);
    return newest_of(p, living ? living : processes_find_ended(p, pid));
}

static struct process_row *older_image(struct processes *p, const struct process_row *row)
{
    return row->older ? row->older : newest_of(p, older_life(p, row->process));
}

/* The image that ran in this pid until @p row's began, if it is still in memory. */
static struct process_row *image_before(struct processes *p, const struct process_row *row)
{
    struct process_row *older = older_image(p, row);
    if (!older)
        return NULL;
    uint64_t before_id = older->process == row->process ? row->previous_id
                         : row->previous_id             ? 0
                                                        : older->process->current_id;
    return older->id == before_id ? older : NULL;
}

/* Whether an image that began after the stamp may have called for its exec at that time. */
static bool may_be_of(const struct process_row *row, uint64_t ns)
{
    return row->before_ns <= ns + stamp_early_ns && row->exec_ns <= ns + stamp_earliest_ns;
}

struct match {
    struct process_row *row;
    bool certain;
    bool guesses; /* there are some in this pid */
};

static struct match find_image(struct processes *p, const struct fact_audit_exec *exec, uint64_t ns)
{
    struct match match = {NULL, true, false};
    struct process_row *row = newest_image(p, exec->pid);
    for (; row; row = older_image(p, row)) {
        match.guesses |= row->audit_guessed;
        if (row->audit_joined || row->audit_guessed) {
            if (audit_serial_before(row->word.serial, exec->serial))
                break; /* it has had its word, and so have all before it */
            match.row = NULL;
        } else if (row->audit_expected) {
            if (row->exec_ns + stamp_slack_ns < ns)
                break;
            match.certain = !match.row || !may_be_of(match.row, ns);
            match.row = row;
        }
    }
    if (match.row && ns + stamp_earliest_ns < match.row->before_ns)
        match.row = NULL; /* of an image that is not in memory any more */
    return match;
}

static void take_word(struct process_row *row, const struct fact_audit_exec *exec)
{
    row->word = (struct audit_word){
        .real_ms = exec->real_ms,
        .serial = exec->serial,
        .ppid = exec->ppid,
        .login_uid = exec->login_uid,
        .session = exec->session,
        .ids = {exec->uid, exec->euid, exec->gid, exec->egid}
    };
}

static void describe(struct processes *p, struct image *image, const struct fact_audit_exec *exec)
{
    comm_set(image->comm, exec->comm);
    image_fill(p, image, exec->exe, exec->argv, exec->n_argv, exec->argc, exec->cwd, exec->tty);
}

static void guess(struct processes *p, struct process_row *row, const struct fact_audit_exec *exec)
{
    take_word(row, exec);
    row->audit_guessed = true;
    if (row->image && !row->image->known && !row->image->fields) {
        describe(p, row->image, exec);
        row->image->guessed = true;
    }
}

void audit_forget_guess(struct process_row *row)
{
    row->audit_guessed = false;
    if (!row->image || !row->image->guessed)
        return;
    image_consume_fields(row->image, NULL);
    memset(row->image->comm, 0, sizeof(row->image->comm));
    row->image->guessed = false;
}

/* The word is the row's own. */
static void confirm(struct processes *p, struct process_row *row)
{
    const struct audit_word *word = &row->word;
    struct process *process = row->process;
    if (row->image) {
        row->image->known = true;
        row->image->guessed = false;
    }
    row->login_uid = word->login_uid;
    row->session = word->session;
    if (!row->inserted)
        row->birth = word->ids;
    if (!row->ppid)
        row->ppid = word->ppid;
    if (row == process->row) {
        connector_flush_comm(p, process);
        process->login_uid = word->login_uid;
        process->session = word->session;
        if (process->now.uid == ID_UNSET)
            process->now = word->ids;
    }
    row->audit_guessed = false;
    row->audit_joined = true;
    row->seen_by |= SEEN_BY_AUDIT;
    counter_add(p->output->counters, COUNTER_AUDIT_JOINED, 1);
    program_ask(p, row);
    rows_evaluate(p, row);
}

/* A certain word makes those that were guessed directly before it certain: had one been this row's,
 * this one would be nobody's. */
static void confirm_guesses(struct processes *p, const struct process_row *row)
{
    struct process_row *before = image_before(p, row);
    while (before && before->audit_guessed) {
        struct process_row *next = image_before(p, before);
        confirm(p, before);
        before = next;
    }
}

static void join(struct processes *p, const struct match *match, const struct fact_audit_exec *exec)
{
    struct process_row *row = match->row;
    take_word(row, exec);
    if (row->image && !row->image->known)
        describe(p, row->image, exec);
    if (match->guesses)
        confirm_guesses(p, row);
    confirm(p, row);
}

static void on_exec(struct processes *p, const struct fact *fact)
{
    const struct fact_audit_exec *exec = &fact->audit_exec;
    struct timeline_moment at =
        timeline_stamp(p->output->timeline, exec->real_ms * 1000000, fact->boot_ns);
    if (at.boot_ns > p->audit_horizon_ns)
        p->audit_horizon_ns = at.boot_ns;
    struct match match = find_image(p, exec, at.boot_ns);
    if (!match.row && at.other_ns != at.boot_ns)
        match = find_image(p, exec, at.other_ns);
    if (!match.row)
        match = (struct match){alone_exec(p, exec, at.boot_ns), true, match.guesses};
    if (!match.row)
        counter_add(p->output->counters, COUNTER_AUDIT_UNJOINED, 1);
    else if (match.certain)
        join(p, &match, exec);
    else
        guess(p, match.row, exec);
}

void audit_fact(struct processes *p, const struct fact *fact)
{
    if (fact->kind == FACT_AUDIT_EXEC)
        on_exec(p, fact);
    else
        login_fact(p, fact);
}
