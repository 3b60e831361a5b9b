/*
 * Two sockets for records (of the owner, of the guest) and one for requests. When the mode changes,
 * the old socket is read to its end and then closed.
 *
 * The mode is looked after in drain: the status is asked for without waiting, every five seconds
 * while records come and every minute otherwise (each answer is a kernel thread, which is a process
 * of this host too), and at once when a record says that audit's configuration changed.
 */
#include "collectors/audit/audit_source.h"

#include "collectors/audit/audit_decoder.h"
#include "collectors/audit/audit_guard.h"
#include "collectors/audit/audit_record.h"
#include "collectors/audit/audit_setup.h"
#include "collectors/audit/audit_type.h"
#include "core/cleanup.h"
#include "core/log.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define MESSAGE_SIZE     16384 /* bytes; a path of 4,096 in hexadecimal, and what stands around it */
#define READLOG_GROUP    (1u << (AUDIT_NLGRP_READLOG - 1))
#define OTHERS_SIZE      80
#define SECOND_NS        1000000000ull
#define MILLISECOND_NS   1000000ull
#define CHECK_ACTIVE_NS  (5 * SECOND_NS)
#define CHECK_IDLE_NS    (60 * SECOND_NS)
#define CHECK_CHANGE_NS  (SECOND_NS / 5)  /* after a record of changed configuration */
#define CHECK_WAITING_NS (SECOND_NS / 2)  /* while an owner is coming or going */
#define REPAIR_NS        SECOND_NS        /* at most so often */
#define YIELD_NS         (10 * SECOND_NS) /* how long another daemon may take to come */
#define RETRY_NS         (2 * SECOND_NS)  /* after a failure */
#define GONE_NS          (3 * SECOND_NS)  /* how long a restarting one may be away */

enum mode { MODE_OWNER, MODE_GUEST, MODE_YIELDING, MODE_STOPPED };

struct audit {
    struct audit_setup setup;
    struct source_options options; /* strings are not used after open */
    struct netlink_socket owner, guest;
    enum mode mode;
    bool may_own;         /* audit_mode is not "guest" */
    bool locked;          /* enabled 2 */
    uint32_t replaced_by; /* pid of another daemon that tried to register; 0: none */
    uint64_t since_ns;    /* guest: since when nobody owns, or 0 */
    uint64_t again_ns;    /* yielding: when to take part again, if nobody comes */
    uint64_t next_check_ns, next_repair_ns;
    uint64_t n_records, n_records_checked;
    uint32_t lost_seen, lost_pending;
    uint64_t rules_seen_ns;    /* all of ours were there */
    uint32_t rules_deleted_ms; /* not yet told: for so long some may not have been; 0: none */
    bool lost_known, configuration_changed, note_pending;
    bool guarded; /* the guard holds the owner's socket */
    char note[512];
};

/* -- notes -- */

/* Whether it says something else than before. */
static bool set_note(struct audit *self, const char *format, ...) PRINTF(2, 3);

static bool set_note(struct audit *self, const char *format, ...)
{
    char text[sizeof(self->note)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (strcmp(text, self->note) == 0)
        return false;
    memcpy(self->note, text, sizeof(text));
    self->note_pending = true;
    return true;
}

static void read_name(uint32_t pid, char name[32])
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%u/comm", pid);
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    if (!file || !fgets(name, 32, file))
        name[0] = 0;
    name[strcspn(name, "\n")] = 0;
    for (char *at = name; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
}

/* What they leave out looks like what never happened. */
static void name_suppressing(const struct audit *self, char text[OTHERS_SIZE])
{
    text[0] = 0;
    if (self->setup.n_suppressing)
        snprintf(text, OTHERS_SIZE, "; %zu rules of others keep records from being made",
                 self->setup.n_suppressing);
}

static void note_owner(struct audit *self)
{
    char others[OTHERS_SIZE];
    name_suppressing(self, others);
    set_note(self,
             "%s\texcluded %sPROCTITLE EOE BPRM_FCAPS; %zu rules; backlog %u; receive buffer "
             "%zu bytes%s%s",
             self->locked ? "owner-immutable" : "owner", self->setup.wants_paths ? "" : "PATH ",
             self->setup.n_keyed, self->setup.state.set_backlog_limit, self->owner.receive_buffer,
             self->owner.buffer_is_small ? ", less than asked for" : "", others);
}

static void note_guest(struct audit *self, const struct audit_status *status)
{
    char owner[64] = "nobody", name[32], others[OTHERS_SIZE];
    name_suppressing(self, others);
    if (status->pid) {
        read_name(status->pid, name);
        snprintf(owner, sizeof(owner), "%s (pid %u)", name, status->pid);
    }
    if (status->enabled == 0)
        set_note(self, "off\taudit is disabled (enabled 0); owner %s", owner);
    else
        set_note(self, "%s\towner %s; %zu rules of ours; receive buffer %zu bytes%s%s",
                 self->locked ? "guest-immutable" : "guest", owner, self->setup.n_keyed,
                 self->guest.receive_buffer,
                 self->guest.buffer_is_small ? ", less than asked for" : "", others);
}

static int flush_notes(struct audit *self, struct gulp *gulp)
{
    int r = 0;
    if (self->note_pending) {
        r = gulp_add(gulp, SOURCE_AUDIT, MESSAGE_NOTE, clock_boot_ns(), slice_text(self->note));
        self->note_pending = r < 0;
    }
    if (r == 0 && self->lost_pending) {
        char text[32];
        snprintf(text, sizeof(text), "lost=%u", self->lost_pending);
        r = gulp_add(gulp, SOURCE_AUDIT, MESSAGE_NOTE, clock_boot_ns(), slice_text(text));
        if (r == 0)
            self->lost_pending = 0;
    }
    if (r == 0 && self->rules_deleted_ms) {
        char text[48];
        snprintf(text, sizeof(text), "rules_deleted=%u", self->rules_deleted_ms);
        r = gulp_add(gulp, SOURCE_AUDIT, MESSAGE_NOTE, clock_boot_ns(), slice_text(text));
        if (r == 0)
            self->rules_deleted_ms = 0;
    }
    return r;
}

/* -- sockets -- */

static int open_socket(struct audit *self, struct netlink_socket *socket, uint32_t groups,
                       struct error_text *error)
{
    if (socket->mnl)
        return 0;
    const struct netlink_socket_options options = {
        .protocol = NETLINK_AUDIT,
        .groups = groups,
        .source = SOURCE_AUDIT,
        .name = "audit",
        .receive_buffer = self->options.receive_buffer,
        .message_size = MESSAGE_SIZE,
        .counters = self->options.counters,
    };
    int r = netlink_socket_open(socket, &options, error);
    return r == -EPERM ? error_set(error, r,
                                   "audit: the records cannot be read beside another daemon: run "
                                   "as root or give it CAP_AUDIT_READ")
                       : r;
}

/* Records that only accompany an event, and that nobody here reads, are dropped before they take
 * room in the buffer. Never the first record of an event: its serial is needed. */
static int attach_filter(struct netlink_socket *socket, bool paths)
{
    const uint32_t type_offset = offsetof(struct nlmsghdr, nlmsg_type);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type_offset),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(AUDIT_PATH), paths ? 3 : 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(AUDIT_PROCTITLE), 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(AUDIT_EOE), 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(AUDIT_BPRM_FCAPS), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    return setsockopt(netlink_socket_fd(socket), SOL_SOCKET, SO_ATTACH_FILTER, &program,
                      sizeof(program)) < 0
               ? -errno
               : 0;
}

/* A socket that left the group, and was not read to its end yet, joins again. */
static int join_group(struct netlink_socket *socket)
{
    int group = AUDIT_NLGRP_READLOG;
    return setsockopt(netlink_socket_fd(socket), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                      sizeof(group)) < 0
               ? -errno
               : 0;
}

static void leave_group(struct netlink_socket *socket)
{
    int group = AUDIT_NLGRP_READLOG;
    if (socket->mnl && setsockopt(netlink_socket_fd(socket), SOL_NETLINK, NETLINK_DROP_MEMBERSHIP,
                                  &group, sizeof(group)) < 0)
        log_warning("audit", "cannot leave the multicast group: %s", strerror(errno));
}

/* -- modes -- */

static void guard_socket(struct audit *self, int fd)
{
    if (fd >= 0 || self->guarded)
        audit_guard_hold(self->options.audit_guard, fd);
    self->guarded = fd >= 0;
}

static void undo(struct audit *self)
{
    audit_setup_restore(&self->setup);
    guard_socket(self, -1);
}

/* Immutable audit is lived with: rules that are there are heard, others cannot be added. */
static void note_locked(struct audit *self, const struct audit_status *status)
{
    bool was_locked = self->locked;
    self->locked = status->enabled == AUDIT_SETUP_LOCKED;
    if (self->locked && !was_locked)
        log_warning("audit",
                    "audit is immutable (enabled 2) until the next boot, with %zu rules of ours; "
                    "where nobody else's record execve, arguments and login users are missing: "
                    "put -S execve -S execveat -F success=1 into the rules that are loaded at boot",
                    self->setup.n_keyed);
}

static int set_up_guest(struct audit *self, const struct audit_status *status,
                        struct error_text *error)
{
    int r = status->enabled == AUDIT_SETUP_LOCKED ? audit_setup_look(&self->setup, error)
                                                  : audit_setup_visit(&self->setup, error);
    guard_socket(self, -1);
    note_locked(self, status);
    return r;
}

static int become_guest(struct audit *self, const struct audit_status *status,
                        struct error_text *error)
{
    int r = open_socket(self, &self->guest, READLOG_GROUP, error);
    if (r < 0)
        return r;
    if ((r = join_group(&self->guest)) < 0)
        return error_set(error, r, "audit: cannot join the multicast group: %s", strerror(-r));
    if ((r = attach_filter(&self->guest, self->setup.wants_paths)) < 0)
        log_warning("audit", "no filter on the socket, more is read than needed: %s", strerror(-r));
    if ((r = set_up_guest(self, status, error)) < 0)
        return r;
    self->mode = MODE_GUEST;
    self->since_ns = 0;
    note_guest(self, status);
    return 0;
}

/* Returns -EEXIST when another daemon was faster. */
static int become_owner(struct audit *self, struct error_text *error)
{
    int r = open_socket(self, &self->owner, 0, error);
    if (r < 0)
        return r;
    leave_group(&self->guest);
    guard_socket(self, netlink_socket_fd(&self->owner));
    r = audit_setup_own(&self->setup, &self->owner, error);
    if (r < 0) {
        undo(self);
        netlink_socket_close(&self->owner);
        netlink_socket_close(&self->guest);
        return r;
    }
    self->mode = MODE_OWNER;
    self->replaced_by = 0;
    note_owner(self);
    return 0;
}

/* Owner if nobody else is or was faster, else guest. */
static int take_part(struct audit *self, const struct audit_status *status,
                     struct error_text *error)
{
    if (self->may_own && status->enabled != AUDIT_SETUP_LOCKED &&
        !audit_setup_has_other_owner(&self->setup, status)) {
        int r = become_owner(self, error);
        if (r != -EEXIST)
            return r;
    }
    return become_guest(self, status, error);
}

/* Another daemon wants to register, and was refused because of us. With nobody registered, records
 * would go to the kernel log, so nothing is left that makes records. */
static void yield(struct audit *self, uint64_t now_ns)
{
    log_notice("audit", "another daemon (pid %u) wants to own audit: let go of it",
               self->replaced_by);
    undo(self);
    self->mode = MODE_YIELDING;
    self->again_ns = now_ns + YIELD_NS;
    self->next_check_ns = now_ns + CHECK_CHANGE_NS;
    self->configuration_changed = false;
    set_note(self, "off\tlet go of audit for another daemon (pid %u)", self->replaced_by);
    self->replaced_by = 0;
}

static void take_part_again(struct audit *self, const struct audit_status *status)
{
    struct error_text error = ERROR_TEXT_NULL;
    if (take_part(self, status, &error) == 0)
        return;
    undo(self);
    self->mode = MODE_YIELDING;
    self->again_ns = clock_boot_ns() + RETRY_NS;
    if (set_note(self, "off\t%s", error.text))
        log_error("audit", "%s", error.text);
}

/* Without room for the former state nothing may be changed; there may be room later. */
static int wait_for_room(struct audit *self, const struct error_text *error)
{
    log_warning("audit", "%s; tried again until there is room", error->text);
    self->mode = MODE_YIELDING;
    self->again_ns = clock_boot_ns() + RETRY_NS;
    set_note(self, "off\t%s", error->text);
    return 0;
}

static void check_owner(struct audit *self, const struct audit_status *status)
{
    if (status->pid == (uint32_t)getpid()) {
        note_locked(self, status);
        if (status->enabled == 0)
            set_note(self, "off\taudit was disabled by somebody else");
        else
            note_owner(self);
        return;
    }
    if (audit_setup_has_other_owner(&self->setup, status)) {
        struct error_text error = ERROR_TEXT_NULL;
        if (become_guest(self, status, &error) < 0)
            take_part_again(self, status);
        return;
    }
    int r = audit_setup_register(&self->setup, &self->owner);
    log_warning("audit", "the kernel lost our registration; registered again%s%s",
                r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
}

static void check_guest(struct audit *self, const struct audit_status *status, uint64_t now_ns)
{
    note_locked(self, status);
    bool nobody = !audit_setup_has_other_owner(&self->setup, status);
    if (nobody && self->may_own && !self->locked) {
        if (self->since_ns == 0)
            self->since_ns = now_ns;
        if (now_ns - self->since_ns >= GONE_NS) {
            take_part_again(self, status);
            return;
        }
    } else {
        self->since_ns = 0;
    }
    note_guest(self, status);
}

static void check_yielding(struct audit *self, const struct audit_status *status, uint64_t now_ns)
{
    if (audit_setup_has_other_owner(&self->setup, status) || now_ns >= self->again_ns)
        take_part_again(self, status);
}

static void count_lost(struct audit *self, uint32_t lost)
{
    if (self->lost_known)
        self->lost_pending += lost >= self->lost_seen ? lost - self->lost_seen : lost;
    self->lost_seen = lost;
    self->lost_known = true;
}

static void handle_status(struct audit *self, const struct audit_status *status, uint64_t now_ns)
{
    count_lost(self, status->lost);
    if (self->mode == MODE_OWNER)
        check_owner(self, status);
    else if (self->mode == MODE_GUEST)
        check_guest(self, status, now_ns);
    else
        check_yielding(self, status, now_ns);
}

static void note_rules(struct audit *self, uint64_t now_ns)
{
    uint64_t span_ms = (now_ns - self->rules_seen_ns) / MILLISECOND_NS + 1;
    if (self->setup.n_missing)
        self->rules_deleted_ms = span_ms < UINT32_MAX ? (uint32_t)span_ms : UINT32_MAX;
    self->rules_seen_ns = now_ns;
}

/* Another program that loads its rules often deletes all rules first. */
static void repair_rules(struct audit *self, uint64_t now_ns)
{
    if (now_ns < self->next_repair_ns)
        return;
    self->next_repair_ns = now_ns + CHECK_IDLE_NS;
    self->configuration_changed = false;
    if (self->locked || self->mode == MODE_YIELDING)
        return;
    int n = audit_setup_repair(&self->setup);
    if (n >= 0)
        note_rules(self, now_ns);
    if (n > 0)
        log_notice("audit",
                   "%d rules of ours had been deleted, or stood before those of others, and are "
                   "loaded again",
                   n);
    else if (n < 0)
        log_warning("audit", "rules of ours cannot be checked: %s", strerror(-n));
}

/* One is coming, or has gone and may come back. */
static bool owner_changes(const struct audit *self)
{
    return self->mode == MODE_YIELDING || (self->mode == MODE_GUEST && self->since_ns);
}

static uint64_t check_interval(const struct audit *self, bool active)
{
    if (owner_changes(self))
        return CHECK_WAITING_NS;
    return active ? CHECK_ACTIVE_NS : CHECK_IDLE_NS;
}

static void look_after(struct audit *self)
{
    uint64_t now_ns = clock_boot_ns();
    struct audit_status status;
    if (self->mode == MODE_STOPPED)
        return;
    if (self->replaced_by && self->mode == MODE_OWNER)
        yield(self, now_ns);
    if (self->setup.control.asked &&
        audit_control_poll_status(&self->setup.control, &status) == AUDIT_CONTROL_ANSWERED) {
        handle_status(self, &status, now_ns);
        if (owner_changes(self) && self->next_check_ns > now_ns + CHECK_WAITING_NS)
            self->next_check_ns = now_ns + CHECK_WAITING_NS;
    }
    repair_rules(self, now_ns);
    bool active = self->n_records != self->n_records_checked;
    if (active && self->next_check_ns > now_ns + CHECK_ACTIVE_NS)
        self->next_check_ns = now_ns + CHECK_ACTIVE_NS; /* it was idle until now */
    if (now_ns < self->next_check_ns)
        return;
    self->n_records_checked = self->n_records;
    self->next_check_ns = now_ns + check_interval(self, active);
    int r = audit_control_ask_status(&self->setup.control);
    if (r < 0)
        log_warning("audit", "the status cannot be asked for: %s", strerror(-r));
}

/* -- the source -- */

/* What came since @p offset: types that nobody wants, and what concerns the mode. */
static void inspect(struct audit *self, const struct gulp *gulp, size_t offset)
{
    struct message message;
    uint16_t type;
    uint64_t n_unknown = 0;
    while (gulp_next(gulp, &offset, &message)) {
        if (message.kind != MESSAGE_DATA || !audit_record_type(message.bytes, &type))
            continue;
        self->n_records++;
        n_unknown += audit_type_use(type) == AUDIT_USE_SKIP;
        if (type == AUDIT_CONFIG_CHANGE)
            self->configuration_changed = true;
        uint32_t pid = 0;
        if (type == AUDIT_REPLACE && message.bytes.length >= NLMSG_HDRLEN + sizeof(pid))
            memcpy(&pid, message.bytes.data + NLMSG_HDRLEN, sizeof(pid));
        /* Our own deregistering is announced as well. */
        if (pid && pid != (uint32_t)getpid() && self->mode == MODE_OWNER)
            self->replaced_by = pid;
    }
    if (n_unknown)
        counter_add(self->options.counters, COUNTER_MESSAGES_UNKNOWN, n_unknown);
}

static void hurry_checks(struct audit *self)
{
    uint64_t soon_ns = clock_boot_ns() + CHECK_CHANGE_NS;
    if (self->next_check_ns > soon_ns)
        self->next_check_ns = soon_ns;
    if (self->next_repair_ns > soon_ns + REPAIR_NS)
        self->next_repair_ns = soon_ns + REPAIR_NS;
}

static int drain_socket(struct audit *self, struct netlink_socket *socket, bool in_use,
                        struct gulp *gulp)
{
    if (!socket->mnl)
        return SOURCE_DRAINED;
    size_t offset = gulp->used;
    int r = netlink_socket_drain(socket, gulp);
    inspect(self, gulp, offset);
    if (r == SOURCE_DRAINED && !in_use)
        netlink_socket_close(socket);
    return r;
}

static int audit_drain(struct source *source, struct gulp *gulp)
{
    struct audit *self = (struct audit *)source;
    if (flush_notes(self, gulp) < 0)
        return SOURCE_MORE;
    int owner = drain_socket(self, &self->owner, self->mode == MODE_OWNER, gulp);
    int guest = owner == SOURCE_DRAINED
                    ? drain_socket(self, &self->guest, self->mode == MODE_GUEST, gulp)
                    : SOURCE_MORE;
    if (self->configuration_changed)
        hurry_checks(self);
    look_after(self);
    return owner < 0 ? owner : guest;
}

static void audit_stop(struct source *source)
{
    struct audit *self = (struct audit *)source;
    if (self->mode == MODE_STOPPED)
        return;
    undo(self);
    leave_group(&self->guest);
    self->mode = MODE_STOPPED;
}

static struct source *audit_free(struct source *source)
{
    struct audit *self = (struct audit *)source;
    if (!self)
        return NULL;
    undo(self);
    netlink_socket_close(&self->owner);
    netlink_socket_close(&self->guest);
    audit_setup_close(&self->setup);
    free(self);
    return NULL;
}

static int audit_open(struct source **sourcep, const struct source_options *options,
                      struct error_text *error)
{
    struct audit *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "audit: out of memory");
    self->options = *options;
    self->mode = MODE_STOPPED;
    self->may_own = !options->audit_mode || strcmp(options->audit_mode, "guest") != 0;
    struct audit_status status;
    int r = audit_setup_open(&self->setup, options, error);
    if (r == 0 && (r = audit_control_status(&self->setup.control, &status)) < 0)
        error_set(error, r, "audit: the kernel does not give its status: %s", strerror(-r));
    if (r == 0) {
        count_lost(self, status.lost);
        r = take_part(self, &status, error);
        if (r == -ENOSPC || r == -EDQUOT)
            r = wait_for_room(self, error);
    }
    if (r < 0) {
        audit_free((struct source *)self);
        return r;
    }
    self->next_check_ns = clock_boot_ns() + check_interval(self, true);
    self->rules_seen_ns = clock_boot_ns();
    self->next_repair_ns = self->rules_seen_ns + CHECK_IDLE_NS;
    *sourcep = (struct source *)self;
    return 0;
}

const struct source_ops audit_source = {
    .id = SOURCE_AUDIT,
    .open = audit_open,
    .drain = audit_drain,
    .stop = audit_stop,
    .free = audit_free,
    .decoder_new = audit_decoder_new,
    .decode = audit_decoder_decode,
    .decoder_free = audit_decoder_free,
};
