/*
 * Owning: save, register, backlog, rules, enable. Registering comes first, because in an enabled
 * kernel each later change makes a record, which without an owner goes to the kernel log.
 *
 * Undoing is the reverse: rules, enabled, backlog, pid last, when the kernel's queue is empty: what
 * is in it when the owner leaves goes to the kernel log as well. Each value is put back only if it
 * is still what we made it.
 *
 * A registered pid may be of a process that is gone: the kernel notices only when it sends.
 */
#include "collectors/audit/audit_setup.h"

#include "core/cleanup.h"
#include "core/log.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUEST_TIMEOUT_MS 1000
#define FLUSH_ATTEMPTS     500
#define FLUSH_NAP_MS       2

int audit_setup_open(struct audit_setup *self, const struct source_options *options,
                     struct error_text *error)
{
    *self = (struct audit_setup){
        .wants_rules = !options->audit_rules || strcmp(options->audit_rules, "none") != 0,
        .wants_sockets = !options->bpf_active,
        .wants_kernel = options->kernel_events,
        .wants_paths = options->kernel_events && options->kernel_event_paths,
        .backlog_limit = options->audit_backlog_limit,
        .directory = options->state_directory ? strdup(options->state_directory) : NULL,
    };
    if (options->state_directory && !self->directory)
        return error_set(error, -ENOMEM, "audit: out of memory");
    int r = audit_control_open(&self->control, error);
    if (r < 0 || !self->directory)
        return r;
    char boot_id[40];
    audit_state_read_boot_id(boot_id);
    r = audit_state_load(&self->state, self->directory);
    if (r == 0 && strcmp(self->state.boot_id, boot_id) != 0) {
        audit_state_deinit(&self->state); /* what it speaks of ended with that boot */
        r = audit_state_remove(self->directory);
    } else if (r == 0) {
        self->changed = true;
        log_notice("audit", "an earlier run did not end cleanly: what it changed is taken over");
    } else if (r == -EBADMSG) {
        log_warning("audit", "%s/audit_state cannot be understood and is not used",
                    self->directory);
    }
    return r == 0 || r == -ENOENT || r == -EBADMSG
               ? 0
               : error_set(error, r, "audit: %s/audit_state cannot be read: %s", self->directory,
                           strerror(-r));
}

int audit_setup_inherit(struct audit_setup *self, const char *directory, uint32_t pid,
                        struct error_text *error)
{
    *self = (struct audit_setup){.directory = strdup(directory)};
    int r = self->directory ? audit_state_load(&self->state, directory) : -ENOMEM;
    if (r == -ENOENT || (r == 0 && self->state.pid != pid))
        return 0;
    if (r < 0)
        return error_set(error, r, "audit: %s/audit_state cannot be read: %s", directory,
                         strerror(-r));
    r = audit_control_open(&self->control, error);
    self->changed = r == 0;
    return r;
}

void audit_setup_close(struct audit_setup *self)
{
    audit_control_close(&self->control);
    audit_state_deinit(&self->state);
    free(self->directory);
    *self = (struct audit_setup){.control = AUDIT_CONTROL_NULL};
}

/* No such process, or only its exit status is left. */
static bool process_is_gone(uint32_t pid)
{
    if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
        return true;
    char path[64], state = 0;
    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    if (!file)
        return false;
    char line[256] = "";
    size_t n = fread(line, 1, sizeof(line) - 1, file);
    line[n] = 0;
    const char *after_name = strrchr(line, ')');
    if (after_name && after_name[1] == ' ')
        state = after_name[2];
    return state == 'Z' || state == 'X';
}

/* Registered: nobody, we, an earlier run of us, or nobody who is alive. */
static bool owner_is_nobody_else(const struct audit_setup *self, uint32_t pid)
{
    return pid == 0 || pid == (uint32_t)getpid() ||
           (self->changed && self->state.owner && pid == self->state.pid) || process_is_gone(pid);
}

bool audit_setup_has_other_owner(const struct audit_setup *self, const struct audit_status *status)
{
    return !owner_is_nobody_else(self, status->pid);
}

static int save(const struct audit_setup *self, struct error_text *error)
{
    return self->directory ? audit_state_save(&self->state, self->directory, error) : 0;
}

static int move_rules(struct audit_rules *to, const struct audit_rules *from)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < from->n; i++)
        if (!audit_rules_contain(to, from->list[i]))
            r = audit_rules_append(to, from->list[i], audit_rule_size(from->list[i]));
    return r;
}

static void count_suppressing(struct audit_setup *self, const struct audit_rules *now)
{
    self->n_suppressing = 0;
    for (size_t i = 0; i < now->n; i++)
        self->n_suppressing += audit_rule_suppresses(now->list[i]) &&
                               !audit_rules_contain(&self->state.added_rules, now->list[i]);
}

/* Rules of an earlier run stay "added by us"; of the wanted ones those that were not there are. */
static int plan_rules(struct audit_setup *self, const struct audit_rules *wanted)
{
    struct audit_rules now = AUDIT_RULES_NULL;
    int r = audit_control_list_rules(&self->control, &now);
    for (size_t i = 0; r == 0 && i < wanted->n; i++)
        if (!audit_rules_contain(&now, wanted->list[i]) &&
            !audit_rules_contain(&self->state.added_rules, wanted->list[i]))
            r = audit_rules_append(&self->state.added_rules, wanted->list[i],
                                   audit_rule_size(wanted->list[i]));
    if (r == 0 && !self->changed)
        r = move_rules(&self->state.former_rules, &now);
    if (r == 0)
        count_suppressing(self, &now);
    audit_rules_deinit(&now);
    return r;
}

/* Fill and save self->state for what is about to be done. */
static int prepare(struct audit_setup *self, bool as_owner, const struct audit_rules *wanted,
                   struct error_text *error)
{
    struct audit_status status;
    int r = audit_control_status(&self->control, &status);
    if (r == 0)
        r = plan_rules(self, wanted);
    if (r < 0)
        return error_set(error, r, "audit: status and rules cannot be read: %s", strerror(-r));
    struct audit_state *state = &self->state;
    if (!self->changed || !state->owner) {
        state->former_enabled = status.enabled;
        state->former_backlog_limit = status.backlog_limit;
        state->former_backlog_wait_time = status.backlog_wait_time;
    }
    audit_state_read_boot_id(state->boot_id);
    state->pid = (uint32_t)getpid();
    state->owner = as_owner;
    state->set_backlog_limit = self->backlog_limit > state->former_backlog_limit
                                   ? self->backlog_limit
                                   : state->former_backlog_limit;
    r = save(self, error);
    self->changed = self->changed || r == 0;
    return r;
}

/* Returns the number of rules of @p wanted that are loaded now, or an error. */
static int load_rules(struct audit_setup *self, const struct audit_rules *wanted)
{
    int n = 0, result = 0;
    for (size_t i = 0; i < wanted->n; i++) {
        int r = audit_control_add_rule(&self->control, wanted->list[i]);
        if (r == 0 || r == -EEXIST)
            n++;
        else
            result = r;
    }
    return n ? n : result;
}

static int add_keyed_rules(struct audit_setup *self, const struct audit_rules *keyed)
{
    int r = load_rules(self, keyed);
    self->n_keyed = r > 0 ? (size_t)r : 0;
    return r < 0 ? r : 0;
}

int audit_setup_register(struct audit_setup *self, struct netlink_socket *events)
{
    (void)self;
    char buffer[AUDIT_CONTROL_SET_SIZE] __attribute__((aligned(8)));
    const struct audit_status status = {.mask = AUDIT_STATUS_PID, .pid = (uint32_t)getpid()};
    return netlink_socket_request(events, audit_control_put_set(buffer, &status),
                                  REQUEST_TIMEOUT_MS, NULL, NULL);
}

static int take_over(struct audit_setup *self, struct netlink_socket *events,
                     const struct audit_rules *exclusions, const struct audit_rules *keyed)
{
    const struct audit_status backlog = {
        .mask = AUDIT_STATUS_BACKLOG_LIMIT | AUDIT_STATUS_BACKLOG_WAIT_TIME,
        .backlog_limit = self->state.set_backlog_limit,
        .backlog_wait_time = 0,
    };
    const struct audit_status enabled = {.mask = AUDIT_STATUS_ENABLED, .enabled = 1};
    int r = audit_setup_register(self, events);
    if (r == 0)
        r = audit_control_set(&self->control, &backlog);
    if (r == 0)
        r = load_rules(self, exclusions);
    if (r >= 0)
        r = audit_control_set(&self->control, &enabled);
    return r < 0 ? r : add_keyed_rules(self, keyed);
}

static int append_wanted(const struct audit_setup *self, struct audit_rules *keyed)
{
    int r = audit_rules_append_keyed(keyed, self->wants_sockets);
    return r == 0 && self->wants_kernel ? audit_rules_append_kernel(keyed) : r;
}

int audit_setup_own(struct audit_setup *self, struct netlink_socket *events,
                    struct error_text *error)
{
    struct audit_rules exclusions = AUDIT_RULES_NULL, keyed = AUDIT_RULES_NULL;
    struct audit_rules wanted = AUDIT_RULES_NULL;
    int r = audit_rules_append_exclusions(&exclusions, self->wants_paths);
    if (r == 0 && self->wants_rules)
        r = append_wanted(self, &keyed);
    if (r == 0)
        r = move_rules(&wanted, &keyed);
    if (r == 0)
        r = move_rules(&wanted, &exclusions);
    if (r < 0)
        error_set(error, r, "audit: rules cannot be made: %s", strerror(-r));
    else
        r = prepare(self, true, &wanted, error);
    if (r == 0 && (r = take_over(self, events, &exclusions, &keyed)) < 0)
        error_set(error, r, "audit: cannot take over: %s", strerror(-r));
    audit_rules_deinit(&exclusions);
    audit_rules_deinit(&keyed);
    audit_rules_deinit(&wanted);
    return r;
}

int audit_setup_visit(struct audit_setup *self, struct error_text *error)
{
    audit_setup_restore(self);
    if (!self->wants_rules)
        return 0;
    struct audit_rules keyed = AUDIT_RULES_NULL;
    int r = append_wanted(self, &keyed);
    if (r < 0)
        error_set(error, r, "audit: rules cannot be made: %s", strerror(-r));
    else
        r = prepare(self, false, &keyed, error);
    if (r == 0 && (r = add_keyed_rules(self, &keyed)) < 0)
        error_set(error, r, "audit: rules cannot be loaded: %s", strerror(-r));
    audit_rules_deinit(&keyed);
    return r;
}

int audit_setup_look(struct audit_setup *self, struct error_text *error)
{
    struct audit_rules now = AUDIT_RULES_NULL;
    int r = audit_control_list_rules(&self->control, &now);
    self->n_keyed = 0;
    for (size_t i = 0; i < now.n; i++)
        self->n_keyed += audit_rule_is_keyed(now.list[i]);
    audit_rules_deinit(&now);
    return r < 0 ? error_set(error, r, "audit: rules cannot be read: %s", strerror(-r)) : 0;
}

/* A rule cannot be moved, and the same one cannot be there twice: its twin is loaded, at the end,
 * before it is deleted, so that no event is missed. */
static int move_behind_others(struct audit_setup *self)
{
    struct audit_rules *added = &self->state.added_rules;
    size_t n_before = added->n;
    struct error_text error = ERROR_TEXT_NULL;
    int r = 0;
    for (size_t i = 0; r == 0 && i < n_before; i++)
        r = audit_rules_append_twin(added, added->list[i]);
    if (r == 0)
        r = save(self, &error);
    for (size_t i = n_before; r >= 0 && i < added->n; i++)
        r = audit_control_add_rule(&self->control, added->list[i]);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n_before; i++) {
        r = audit_control_delete_rule(&self->control, added->list[i]);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    audit_rules_drop_first(added, n_before);
    r = save(self, &error);
    return r < 0 ? r : (int)n_before;
}

int audit_setup_repair(struct audit_setup *self)
{
    if (!self->changed || self->cannot_repair)
        return 0;
    struct audit_rules now = AUDIT_RULES_NULL;
    int n = 0, r = audit_control_list_rules(&self->control, &now);
    self->n_missing = 0;
    if (r == 0)
        count_suppressing(self, &now);
    for (size_t i = 0; r == 0 && i < self->state.added_rules.n; i++) {
        const struct audit_rule_data *rule = self->state.added_rules.list[i];
        if (audit_rules_contain(&now, rule))
            continue;
        r = audit_control_add_rule(&self->control, rule);
        n += r == 0;
        self->n_missing += r == 0;
        if (r == -EEXIST) /* this kernel lists it in another form; each trial makes a record */
            self->cannot_repair = true;
    }
    if (r >= 0 && !self->state.owner && audit_rules_precede_others(&now)) {
        r = move_behind_others(self);
        n += r > 0 ? r : 0;
    }
    audit_rules_deinit(&now);
    return r < 0 ? r : n;
}

static void delete_rules(struct audit_setup *self)
{
    for (size_t i = 0; i < self->state.added_rules.n; i++) {
        int r = audit_control_delete_rule(&self->control, self->state.added_rules.list[i]);
        if (r < 0 && r != -ENOENT)
            log_warning("audit", "a rule of ours cannot be deleted: %s", strerror(-r));
    }
}

/* Wait until the kernel's own thread has sent all records that it has. False: it cannot. */
static bool flush_kernel_queue(struct audit_setup *self)
{
    struct audit_status status;
    for (int i = 0; i < FLUSH_ATTEMPTS; i++) {
        if (audit_control_status(&self->control, &status) < 0 || status.backlog == 0)
            return true;
        poll(NULL, 0, FLUSH_NAP_MS);
    }
    log_warning("audit", "%u records are still in the kernel's queue and go to the kernel log",
                status.backlog);
    return false;
}

static void put_back(struct audit_setup *self, const struct audit_status *status)
{
    int r = audit_control_set(&self->control, status);
    if (r < 0)
        log_warning("audit", "the former state cannot be put back (mask %#x): %s", status->mask,
                    strerror(-r));
}

static bool hears_records(const struct audit_setup *self, const struct audit_status *now)
{
    return self->held || now->pid == (uint32_t)getpid();
}

/* Others keep what is theirs. Who is gone can be taken out when its socket is closed. */
static void leave(struct audit_setup *self, const struct audit_status *now)
{
    if (self->held) {
        cleanup_close(self->held);
        *self->held = -1;
    }
    if (now->pid != 0 && owner_is_nobody_else(self, now->pid))
        put_back(self, &(struct audit_status){.mask = AUDIT_STATUS_PID, .pid = 0});
}

static void restore_owner(struct audit_setup *self, const struct audit_status *now)
{
    const struct audit_state *state = &self->state;
    if (owner_is_nobody_else(self, now->pid) && now->enabled != state->former_enabled)
        put_back(self, &(struct audit_status){.mask = AUDIT_STATUS_ENABLED,
                                              .enabled = state->former_enabled});
    /* With records in the queue and its wait time back, each request would wait for room. */
    bool flushed = !hears_records(self, now) || flush_kernel_queue(self);
    if (!flushed)
        leave(self, now);
    if (now->backlog_wait_time == 0 && state->former_backlog_wait_time != 0)
        put_back(self,
                 &(struct audit_status){.mask = AUDIT_STATUS_BACKLOG_WAIT_TIME,
                                        .backlog_wait_time = state->former_backlog_wait_time});
    if (now->backlog_limit == state->set_backlog_limit &&
        now->backlog_limit != state->former_backlog_limit)
        put_back(self, &(struct audit_status){.mask = AUDIT_STATUS_BACKLOG_LIMIT,
                                              .backlog_limit = state->former_backlog_limit});
    if (flushed)
        leave(self, now);
}

/* Only who is registered can still be changed. */
static void restore_locked(struct audit_setup *self, const struct audit_status *now)
{
    log_warning(
        "audit",
        "audit was made immutable (enabled 2): %zu rules of ours%s stay until the next boot",
        self->state.added_rules.n, self->state.owner ? " and the backlog limit" : "");
    if (!self->state.owner)
        return;
    if (hears_records(self, now))
        flush_kernel_queue(self);
    leave(self, now);
}

void audit_setup_restore(struct audit_setup *self)
{
    if (!self->changed)
        return;
    struct audit_status now;
    int r = audit_control_status(&self->control, &now);
    if (r < 0) {
        log_warning("audit", "the former state is not put back: %s", strerror(-r));
        return;
    }
    if (now.enabled == AUDIT_SETUP_LOCKED) {
        restore_locked(self, &now);
    } else {
        delete_rules(self);
        if (self->state.owner)
            restore_owner(self, &now);
    }
    self->n_keyed = 0;
    self->changed = false;
    audit_state_deinit(&self->state);
    if (self->directory && (r = audit_state_remove(self->directory)) < 0)
        log_warning("audit", "%s/audit_state cannot be removed: %s", self->directory, strerror(-r));
}
