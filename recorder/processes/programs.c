/* A target is a path below a root, and the execs that wait for a look at it; one exec that needs a
 * look of its own has a target of its own. It is asked for in the name of its first exec, whose
 * process may still run the program; for the others only the path can speak.
 *
 *   asked     a request is under way
 *   resting   it was answered; asked for again after the interval if somebody waits, else dropped
 *
 * The process whose root is looked below may end before the look; then another one is tried. */
#include "recorder/processes/programs.h"

#include "core/buffer.h"
#include "core/cleanup.h"
#include "core/counter.h"
#include "core/hash.h"
#include "core/hex.h"
#include "recorder/row/line.h"

#include <openssl/lhash.h>
#include <stdlib.h>
#include <sys/queue.h>

enum { MOST = 16384 };

struct exec {
    TAILQ_ENTRY(exec) in_target, in_order;
    void *subject;
    uint32_t pid;
    uint64_t executed_ns;
    int64_t began_real_ns;
};

TAILQ_HEAD(exec_list, exec);

struct target {
    TAILQ_ENTRY(target) in_state;
    bool shared; /* by all execs of this path and root */
    uint32_t root_pid, other_root_pid;
    struct shared_text *path;
    struct slice key_path; /* of a key that is only looked for */
    uint64_t request;      /* 0: resting */
    uint64_t due_ns;       /* when patience, or the rest, is over */
    struct exec_list execs;
};

TAILQ_HEAD(target_list, target);

struct programs {
    struct programs_options options;
    OPENSSL_LHASH *by_path;    /* struct target, shared ones */
    OPENSSL_LHASH *by_request; /* struct target, asked ones */
    struct target_list asked, resting;
    struct exec_list execs; /* all, in the order in which they came */
    size_t n_execs, n_targets;
    uint64_t last_request, now_ns;
    struct line line; /* scratch */
};

static struct slice target_path(const struct target *target)
{
    return target->path ? shared_text_slice(target->path) : target->key_path;
}

static unsigned long path_hash(const void *item)
{
    const struct target *target = item;
    return (unsigned long)hash_slice(HASH_START + target->root_pid, target_path(target));
}

static int path_compare(const void *a, const void *b)
{
    const struct target *x = a, *y = b;
    return x->root_pid != y->root_pid || !slice_equal(target_path(x), target_path(y));
}

static unsigned long request_hash(const void *item)
{
    return (unsigned long)(((const struct target *)item)->request * 2654435761UL);
}

static int request_compare(const void *a, const void *b)
{
    return ((const struct target *)a)->request != ((const struct target *)b)->request;
}

int programs_new(struct programs **programsp, const struct programs_options *options)
{
    struct programs *programs = calloc(1, sizeof(*programs));
    if (!programs)
        return -ENOMEM;
    programs->options = *options;
    if (!programs->options.most)
        programs->options.most = MOST;
    TAILQ_INIT(&programs->asked);
    TAILQ_INIT(&programs->resting);
    TAILQ_INIT(&programs->execs);
    programs->by_path = OPENSSL_LH_new(path_hash, path_compare);
    programs->by_request = OPENSSL_LH_new(request_hash, request_compare);
    if (!programs->by_path || !programs->by_request) {
        programs_free(programs);
        return -ENOMEM;
    }
    *programsp = programs;
    return 0;
}

static void count(const struct programs *programs, enum counter_id id)
{
    if (programs->options.counters)
        counter_add(programs->options.counters, id, 1);
}

static void drop_target(struct programs *programs, struct target *target)
{
    if (target->shared)
        OPENSSL_LH_delete(programs->by_path, target);
    if (target->request)
        OPENSSL_LH_delete(programs->by_request, target);
    TAILQ_REMOVE(target->request ? &programs->asked : &programs->resting, target, in_state);
    shared_text_unref(target->path);
    programs->n_targets--;
    free(target);
}

static void drop_exec(struct programs *programs, struct target *target, struct exec *exec)
{
    TAILQ_REMOVE(&target->execs, exec, in_target);
    TAILQ_REMOVE(&programs->execs, exec, in_order);
    programs->n_execs--;
    free(exec);
}

static void free_targets(struct programs *programs, struct target_list *list)
{
    struct target *target;
    while ((target = TAILQ_FIRST(list))) {
        while (!TAILQ_EMPTY(&target->execs))
            drop_exec(programs, target, TAILQ_FIRST(&target->execs));
        drop_target(programs, target);
    }
}

struct programs *programs_free(struct programs *programs)
{
    if (programs) {
        free_targets(programs, &programs->asked);
        free_targets(programs, &programs->resting);
        OPENSSL_LH_free(programs->by_path);
        OPENSSL_LH_free(programs->by_request);
        line_deinit(&programs->line);
        free(programs);
    }
    return NULL;
}

/* The caller has taken the target out of the list of those that rest. */
static void ask(struct programs *programs, struct target *target)
{
    const struct exec *first = TAILQ_FIRST(&target->execs);
    target->request = ++programs->last_request;
    target->due_ns = programs->now_ns + programs->options.patience_ns;
    TAILQ_INSERT_TAIL(&programs->asked, target, in_state);
    OPENSSL_LH_insert(programs->by_request, target);
    programs->options.ask(programs->options.ask_user, target->request, first->pid, target->root_pid,
                          shared_text_slice(target->path));
}

static struct target *new_target(struct programs *programs, uint32_t root_pid,
                                 struct shared_text *path, bool shared)
{
    struct target *target = calloc(1, sizeof(*target));
    if (!target || !path) {
        shared_text_unref(path);
        free(target);
        return NULL;
    }
    *target = (struct target){.shared = shared, .root_pid = root_pid, .path = path};
    TAILQ_INIT(&target->execs);
    if (shared) {
        OPENSSL_LH_insert(programs->by_path, target);
        target->shared = !OPENSSL_LH_error(programs->by_path);
    }
    programs->n_targets++;
    return target;
}

bool programs_want(struct programs *programs, const struct programs_exec *wanted, uint64_t now_ns)
{
    struct target key = {.root_pid = wanted->root_pid, .key_path = wanted->path}, *target = NULL;
    programs->now_ns = now_ns;
    if (programs->n_execs >= programs->options.most || programs->n_targets > programs->options.most)
        return false;
    struct exec *exec = calloc(1, sizeof(*exec));
    if (!exec)
        return false;
    if (wanted->root_pid)
        target = OPENSSL_LH_retrieve(programs->by_path, &key);
    bool known = target != NULL;
    if (!known)
        target = new_target(programs, wanted->root_pid, shared_text_new(wanted->path),
                            wanted->root_pid != 0);
    if (!target) {
        free(exec);
        return false;
    }
    *exec = (struct exec){.subject = wanted->subject,
                          .pid = wanted->pid,
                          .executed_ns = wanted->executed_ns,
                          .began_real_ns = wanted->began_real_ns};
    TAILQ_INSERT_TAIL(&target->execs, exec, in_target);
    TAILQ_INSERT_TAIL(&programs->execs, exec, in_order);
    programs->n_execs++;
    if (wanted->other_root_pid)
        target->other_root_pid = wanted->other_root_pid;
    if (!known)
        ask(programs, target);
    return true;
}

static void tell(struct programs *programs, struct target *target, struct exec *exec,
                 struct shared_text *program)
{
    void *subject = exec->subject;
    drop_exec(programs, target, exec);
    if (!program)
        count(programs, COUNTER_PROGRAMS_UNKNOWN);
    programs->options.told(programs->options.user, subject, program);
}

/* The two texts of an answer: with its digest, and as it is for what was only looked at, which is
 * the same unless the digest is of a later look at a process. */
struct answer_texts {
    struct shared_text *digested, *looked_at;
};

/* The values as they stand in a line; the line is of no table, only its text is used. */
static struct shared_text *program_text(struct programs *programs,
                                        const struct fact_program *answer, bool hashed)
{
    char sha256[2 * sizeof(answer->sha256) + 1];
    struct line *line = &programs->line;
    hex_text(sha256, answer->sha256, sizeof(answer->sha256));
    buffer_clear(&line->text);
    line_text(line, hashed ? slice_text(sha256) : SLICE_NULL);
    line_u64(line, answer->size);
    if (answer->modified_real_ns >= 0)
        line_time(line, (uint64_t)answer->modified_real_ns / 1000);
    else
        line_null(line);
    struct slice text = buffer_slice(&line->text);
    return line->text.failed ? NULL : shared_text_new(slice_of(text.data + 1, text.length - 1));
}

static struct answer_texts make_texts(struct programs *programs, const struct fact_program *answer)
{
    struct answer_texts texts = {NULL, NULL};
    if (!answer->known)
        return texts;
    texts.digested = program_text(programs, answer, answer->hashed);
    texts.looked_at =
        answer->shown_ns ? program_text(programs, answer, false) : shared_text_ref(texts.digested);
    return texts;
}

static bool path_proves(const struct exec *exec, const struct fact *fact)
{
    return fact->program.evidence & PROGRAM_AT_PATH && exec->executed_ns <= fact->boot_ns &&
           fact->program.changed_real_ns < exec->began_real_ns;
}

static bool process_proves(const struct programs *programs, const struct exec *exec,
                           const struct fact *fact, uint64_t at_ns)
{
    return fact->program.evidence & PROGRAM_OF_PROCESS &&
           programs->options.still_runs(programs->options.user, exec->subject, at_ns);
}

/* A look in the exec's own name, in the hope that its process runs on. */
static void ask_alone(struct programs *programs, struct target *target, struct exec *exec)
{
    struct target *own =
        new_target(programs, target->root_pid, shared_text_ref(target->path), false);
    if (!own) {
        tell(programs, target, exec, NULL);
        return;
    }
    TAILQ_REMOVE(&target->execs, exec, in_target);
    TAILQ_INSERT_TAIL(&own->execs, exec, in_target);
    ask(programs, own);
}

/* Whether the answer is of what this exec executed. */
static bool proves(const struct programs *programs, const struct exec *exec, bool is_first,
                   const struct fact *fact, const struct answer_texts *texts,
                   struct shared_text **provenp)
{
    uint64_t looked_ns = fact->boot_ns, shown_ns = fact->program.shown_ns;
    if (is_first && shown_ns && process_proves(programs, exec, fact, shown_ns)) {
        *provenp = texts->digested;
        return true;
    }
    *provenp = texts->looked_at;
    return path_proves(exec, fact) || (is_first && process_proves(programs, exec, fact, looked_ns));
}

static void apply(struct programs *programs, struct target *target, const struct fact *fact,
                  const struct answer_texts *texts)
{
    struct exec *first = TAILQ_FIRST(&target->execs), *exec = first, *next;
    struct shared_text *program;
    for (; exec; exec = next) {
        next = TAILQ_NEXT(exec, in_target);
        if (proves(programs, exec, exec == first, fact, texts, &program))
            tell(programs, target, exec, program);
        else if (exec == first)
            tell(programs, target, exec, NULL);
        else if (exec->executed_ns > fact->boot_ns)
            continue;
        else if (programs->options.still_runs(programs->options.user, exec->subject, fact->boot_ns))
            ask_alone(programs, target, exec);
        else
            tell(programs, target, exec, NULL);
    }
}

static void give_up(struct programs *programs, struct target *target)
{
    while (!TAILQ_EMPTY(&target->execs))
        tell(programs, target, TAILQ_FIRST(&target->execs), NULL);
    drop_target(programs, target);
}

static void rest(struct programs *programs, struct target *target)
{
    OPENSSL_LH_delete(programs->by_request, target);
    TAILQ_REMOVE(&programs->asked, target, in_state);
    TAILQ_INSERT_TAIL(&programs->resting, target, in_state);
    target->request = 0;
    target->due_ns = programs->now_ns + programs->options.interval_ns;
    if (!target->shared)
        give_up(programs, target);
}

/* Who comes later finds another target, because the key of this one is another now. */
static void ask_below_other_root(struct programs *programs, struct target *target)
{
    if (target->shared)
        OPENSSL_LH_delete(programs->by_path, target);
    OPENSSL_LH_delete(programs->by_request, target);
    TAILQ_REMOVE(&programs->asked, target, in_state);
    target->shared = false;
    target->root_pid = target->other_root_pid;
    target->other_root_pid = 0;
    ask(programs, target);
}

void programs_answer(struct programs *programs, const struct fact *fact)
{
    struct target key = {.request = fact->program.request};
    struct target *target = OPENSSL_LH_retrieve(programs->by_request, &key);
    if (!target) {
        count(programs, COUNTER_PROGRAMS_LATE);
        return;
    }
    if (!fact->program.known && target->other_root_pid) {
        ask_below_other_root(programs, target);
        return;
    }
    struct answer_texts texts = make_texts(programs, &fact->program);
    apply(programs, target, fact, &texts);
    shared_text_unref(texts.digested);
    shared_text_unref(texts.looked_at);
    rest(programs, target);
}

void programs_tick(struct programs *programs, uint64_t now_ns)
{
    struct target *target;
    programs->now_ns = now_ns;
    while ((target = TAILQ_FIRST(&programs->asked)) && target->due_ns <= now_ns)
        give_up(programs, target);
    while ((target = TAILQ_FIRST(&programs->resting)) && target->due_ns <= now_ns) {
        if (TAILQ_EMPTY(&target->execs)) {
            drop_target(programs, target);
        } else {
            TAILQ_REMOVE(&programs->resting, target, in_state);
            ask(programs, target);
        }
    }
}

bool programs_settled_until(const struct programs *programs, uint64_t boot_ns)
{
    const struct exec *first = TAILQ_FIRST(&programs->execs);
    return !first || first->executed_ns > boot_ns;
}

void programs_give_up(struct programs *programs)
{
    struct target *target;
    while ((target = TAILQ_FIRST(&programs->asked)))
        give_up(programs, target);
    while ((target = TAILQ_FIRST(&programs->resting)))
        give_up(programs, target);
}
