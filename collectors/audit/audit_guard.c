/* The lock is on the state directory itself: it leaves nothing behind, and the kernel gives it back
 * however the guard ends. */
#include "collectors/audit/audit_guard.h"

#include "collectors/audit/audit_setup.h"
#include "core/cleanup.h"
#include "core/log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define LOCK_NAP_MS 5

enum order { ORDER_TAKE_PLACE = 1, ORDER_HOLD, ORDER_HOLD_NOTHING, ORDER_KEEP, ORDER_END };

struct order_message {
    struct msghdr header;
    struct iovec bytes;
    uint8_t order;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static void prepare(struct order_message *message, enum order order)
{
    *message = (struct order_message){.order = (uint8_t)order};
    message->bytes = (struct iovec){.iov_base = &message->order, .iov_len = 1};
    message->header = (struct msghdr){.msg_iov = &message->bytes, .msg_iovlen = 1};
}

static void attach(struct order_message *message, int fd)
{
    message->header.msg_control = message->control;
    message->header.msg_controllen = sizeof(message->control);
    struct cmsghdr *part = CMSG_FIRSTHDR(&message->header);
    *part = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fd))};
    memcpy(CMSG_DATA(part), &fd, sizeof(fd));
}

static int attached(struct order_message *message)
{
    struct cmsghdr *part = CMSG_FIRSTHDR(&message->header);
    int fd = -1;
    if (part && part->cmsg_type == SCM_RIGHTS && part->cmsg_len == CMSG_LEN(sizeof(fd)))
        memcpy(&fd, CMSG_DATA(part), sizeof(fd));
    return fd;
}

static int give_order(int channel, enum order order, int fd)
{
    struct order_message message;
    prepare(&message, order);
    if (fd >= 0)
        attach(&message, fd);
    return sendmsg(channel, &message.header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* -- in the agent -- */

int audit_guard_take_place(int channel, unsigned timeout_ms)
{
    struct pollfd answer = {.fd = channel, .events = POLLIN};
    uint8_t byte;
    int r = give_order(channel, ORDER_TAKE_PLACE, -1);
    if (r < 0)
        return r;
    if (poll(&answer, 1, (int)timeout_ms) != 1)
        return -ETIMEDOUT;
    return recv(channel, &byte, 1, 0) == 1 ? 0 : -ECHILD;
}

void audit_guard_hold(int channel, int fd)
{
    int r = channel ? give_order(channel, fd < 0 ? ORDER_HOLD_NOTHING : ORDER_HOLD, fd) : 0;
    if (r < 0)
        log_warning("audit", "nobody would put audit back if this agent were killed: %s",
                    strerror(-r));
}

void audit_guard_keep(int channel, int fd)
{
    int r = channel && fd >= 0 ? give_order(channel, ORDER_KEEP, fd) : 0;
    if (r < 0)
        log_warning("audit", "nobody would write down who killed this agent: %s", strerror(-r));
}

void audit_guard_end(int channel)
{
    if (give_order(channel, ORDER_END, -1) < 0)
        log_debug("audit", "the guard has ended before");
}

/* -- in the guard -- */

struct guard {
    const char *directory;
    int channel, lock, held; /* -1: none */
    void *words;             /* of the agent; NULL: none */
};

/* Until the guard of before has ended, or this agent does not want it any more. */
static int take_place(struct guard *guard)
{
    struct pollfd next = {.fd = guard->channel, .events = POLLIN};
    AUTO_CLOSE int lock = open(guard->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return -errno;
        if (poll(&next, 1, LOCK_NAP_MS) > 0)
            return -ECANCELED;
    }
    guard->lock = lock;
    lock = -1;
    return give_order(guard->channel, ORDER_TAKE_PLACE, -1);
}

static void hold(struct guard *guard, int fd)
{
    cleanup_close(&guard->held);
    guard->held = fd;
}

static void keep(struct guard *guard, int fd)
{
    void *words =
        fd >= 0 ? mmap(NULL, AUDIT_GUARD_WORDS_SIZE, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (words == MAP_FAILED)
        log_warning("audit", "guard: the agent's last signals cannot be read: %s", strerror(errno));
    else
        guard->words = words;
    if (fd >= 0)
        close(fd);
}

/* Beside its place and renamed, so that nobody reads half of it. */
static void write_words(const struct guard *guard)
{
    AUTO_CLOSE int directory = open(guard->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unlinkat(directory, AUDIT_GUARD_WORDS_FILE ".tmp", 0);
    AUTO_CLOSE int fd = openat(directory, AUDIT_GUARD_WORDS_FILE ".tmp",
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, guard->words, AUDIT_GUARD_WORDS_SIZE) != AUDIT_GUARD_WORDS_SIZE ||
        fsync(fd) < 0 ||
        renameat(directory, AUDIT_GUARD_WORDS_FILE ".tmp", directory, AUDIT_GUARD_WORDS_FILE) < 0)
        log_warning("audit", "guard: who killed the agent cannot be written down: %s",
                    strerror(errno));
}

/* What to do next. */
enum { GUARD_WAITS, GUARD_ENDS, GUARD_PUTS_BACK };

static int take_order(struct guard *guard)
{
    struct order_message message;
    prepare(&message, 0);
    message.header.msg_control = message.control;
    message.header.msg_controllen = sizeof(message.control);
    ssize_t n = recvmsg(guard->channel, &message.header, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR)
        return GUARD_WAITS;
    if (n != 1)
        return GUARD_PUTS_BACK;
    if (message.order == ORDER_END)
        return GUARD_ENDS;
    if (message.order == ORDER_TAKE_PLACE)
        return take_place(guard) == 0 ? GUARD_WAITS : GUARD_ENDS;
    if (message.order == ORDER_KEEP)
        keep(guard, attached(&message));
    else
        hold(guard, message.order == ORDER_HOLD ? attached(&message) : -1);
    return GUARD_WAITS;
}

/* The channel is closed before the other descriptors of a process that ends. */
static void wait_for_end(int agent)
{
    struct pollfd end = {.fd = agent, .events = POLLIN};
    while (agent >= 0 && poll(&end, 1, -1) < 0 && errno == EINTR)
        continue;
}

static void put_back(struct guard *guard, uint32_t agent_pid)
{
    struct audit_setup setup;
    struct error_text error = ERROR_TEXT_NULL;
    if (audit_setup_inherit(&setup, guard->directory, agent_pid, &error) != 0) {
        log_warning("audit", "the agent has ended and audit is not put back: %s", error.text);
    } else if (setup.changed) {
        setup.held = &guard->held;
        audit_setup_restore(&setup);
        log_warning("audit", "the agent was killed; audit is as it was before");
    }
    audit_setup_close(&setup);
}

void audit_guard_run(int channel, const char *state_directory, uint32_t agent_pid)
{
    struct guard guard = {.directory = state_directory, .channel = channel, .lock = -1, .held = -1};
    AUTO_CLOSE int agent = (int)syscall(SYS_pidfd_open, agent_pid, 0);
    int next;
    while ((next = take_order(&guard)) == GUARD_WAITS)
        continue;
    if (next == GUARD_PUTS_BACK && guard.lock >= 0) {
        wait_for_end(agent);
        if (guard.words)
            write_words(&guard);
        put_back(&guard, agent_pid);
    }
    cleanup_close(&guard.held);
    cleanup_close(&guard.lock);
}
