/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What happens to sockets of TCP and UDP, written into a ring that the agent reads.
 *
 * TCP: the tracepoint of state changes. SYN_SENT and LISTEN are entered by the process that called
 * connect, listen or send (Fast Open), or by a thread of the kernel for a socket of its own; they
 * are calls. At the first the local port is not chosen yet, unless it is bound: it comes with
 * ESTABLISHED. A listener that is not bound has none before its end. ESTABLISHED and CLOSE are
 * entered by whoever handles a packet or closes; they are states, without a process. Of MPTCP each
 * subflow is a connection.
 *
 * Accept: by one of three programs, the others are not loaded; see bpf_programs.c. The exit of
 * system calls is the last choice: it costs a little on each one, sees no accept of io_uring or of
 * the kernel, and finds the socket by its new descriptor, which another thread might replace in
 * that moment.
 *
 * UDP: cgroup hooks of connect, and of sends to and receptions from an address. Each peer of a
 * socket once, whichever of these comes first, as far as is remembered; connect always. Sends
 * through a connected socket, and receptions by which the process does not ask for the peer, have
 * no hook: their peer is the connected one, or not known. The end of a socket is its last close.
 *
 * The kernel does not run a tracing program that is interrupted on its CPU by itself. Much of TCP
 * happens in interrupts, so the program of the states is there twice: where one is interrupted, the
 * other runs. Usually both run, and the second finds what the first left for it: is_first().
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf_record.h"

#define AF_INET         2
#define AF_INET6        10
#define ID_UNSET        0xffffffffu
#define UNKNOWN         0xffffffffffffffffull
#define SOCK_DONE       1 /* enum sock_flags: the peer's FIN was taken */
#define S_IFMT          0170000
#define S_IFSOCK        0140000
#define TS_COMPAT       2           /* x86: status of a task in a 32-bit system call */
#define X32_BIT         (1ul << 30) /* x86: added to the number of a system call of x32 */
#define TIF_32BIT       (1ul << 22) /* arm64: flag of a 32-bit task */
#define MAPPED_PREFIX   bpf_htonl(0xffff)
#define REMEMBERED_MOST 32768
#define CPUS_MOST       256
#define SEEN_MOST       64

const char licence[] SEC("license") = "Dual BSD/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 8 * 1024 * 1024);
} ring SEC(".maps");

struct peer {
    __u64 cookie;
    __u32 address[4]; /* IPv4 as a mapped address */
    __u64 port;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, REMEMBERED_MOST);
    __type(key, struct peer);
    __type(value, __u8);
} peers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct bpf_counts);
} counts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct bpf_signals);
} signals SEC(".maps");

__u64 transitions[CPUS_MOST][SEEN_MOST];

#define LOAD(trusted, from)                                                                        \
    ({                                                                                             \
        typeof(from) value_;                                                                       \
        if (trusted)                                                                               \
            value_ = (from);                                                                       \
        else                                                                                       \
            bpf_core_read(&value_, sizeof(value_), (void *)&(from));                               \
        value_;                                                                                    \
    })

static __always_inline struct bpf_record *begin(enum bpf_record_kind kind)
{
    struct bpf_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
    if (!record) {
        __u32 zero = 0;
        struct bpf_counts *count = bpf_map_lookup_elem(&counts, &zero);
        if (count)
            __sync_fetch_and_add(&count->lost, 1);
        return NULL;
    }
    record->magic = BPF_RECORD_MAGIC;
    record->version = BPF_RECORD_VERSION;
    record->size = sizeof(*record);
    record->boot_ns = bpf_ktime_get_boot_ns();
    record->bytes_sent = record->bytes_received = UNKNOWN;
    record->kind = kind;
    record->error = 0;
    record->unused = 0;
    record->local.unused = record->remote.unused = 0;
    return record;
}

static __always_inline void set_process(struct bpf_record *record)
{
    struct task_struct *task = bpf_get_current_task_btf();
    record->pid = bpf_get_current_pid_tgid() >> 32;
    record->uid = (__u32)bpf_get_current_uid_gid();
    record->login_uid = record->session = ID_UNSET;
    if (bpf_core_field_exists(task->loginuid)) {
        record->login_uid = task->loginuid.val;
        record->session = task->sessionid;
    }
    bpf_get_current_comm(record->comm, sizeof(record->comm));
}

static __always_inline void set_no_process(struct bpf_record *record)
{
    record->pid = 0;
    record->uid = record->login_uid = record->session = ID_UNSET;
    __builtin_memset(record->comm, 0, sizeof(record->comm));
}

static __always_inline void set_address(struct bpf_record_end *end, __u8 family, __u32 a, __u32 b,
                                        __u32 c, __u32 d)
{
    __u32 *to = (__u32 *)end->address;
    end->family = family;
    to[0] = a;
    to[1] = b;
    to[2] = c;
    to[3] = d;
}

static __always_inline void set_addresses(struct bpf_record *record, struct sock *sk, bool trusted)
{
    struct sock_common *common = &sk->__sk_common;
    if (record->family == AF_INET6 && bpf_core_field_exists(common->skc_v6_daddr)) {
        __u32 *remote = common->skc_v6_daddr.in6_u.u6_addr32;
        __u32 *local = common->skc_v6_rcv_saddr.in6_u.u6_addr32;
        set_address(&record->remote, AF_INET6, LOAD(trusted, remote[0]), LOAD(trusted, remote[1]),
                    LOAD(trusted, remote[2]), LOAD(trusted, remote[3]));
        set_address(&record->local, AF_INET6, LOAD(trusted, local[0]), LOAD(trusted, local[1]),
                    LOAD(trusted, local[2]), LOAD(trusted, local[3]));
        return;
    }
    set_address(&record->remote, AF_INET, LOAD(trusted, common->skc_daddr), 0, 0, 0);
    set_address(&record->local, AF_INET, LOAD(trusted, common->skc_rcv_saddr), 0, 0, 0);
}

static __always_inline void set_socket(struct bpf_record *record, struct sock *sk, bool trusted)
{
    struct sock_common *common = &sk->__sk_common;
    struct net *net = LOAD(trusted, common->skc_net.net);
    struct socket *socket = LOAD(trusted, sk->sk_socket);
    struct file *file = socket ? LOAD(trusted, socket->file) : NULL;
    struct inode *inode = file ? LOAD(trusted, file->f_inode) : NULL;
    record->inode = inode ? LOAD(trusted, inode->i_ino) : 0;
    record->netns = LOAD(trusted, net->ns.inum);
    record->interface = LOAD(trusted, common->skc_bound_dev_if);
    record->socket_uid = LOAD(trusted, sk->sk_uid.val);
    record->protocol = LOAD(trusted, sk->sk_protocol);
    record->type = LOAD(trusted, sk->sk_type);
    record->family = LOAD(trusted, common->skc_family);
    record->remote.port = bpf_ntohs(LOAD(trusted, common->skc_dport));
    set_addresses(record, sk, trusted);
}

/* Whether the last byte that was sent is the one that stands for our FIN. */
static __always_inline bool is_fin_sent(__u8 state, const struct tcp_sock *tcp)
{
    bool queued = state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2 ||
                  state == BPF_TCP_CLOSING || state == BPF_TCP_LAST_ACK;
    return queued && tcp->snd_nxt == tcp->write_seq;
}

/*
 * Bytes of the payload. Received: all that the kernel counts is payload but the peer's FIN.
 * Sent: what was sent less what was sent again; but a packet that this host's own queue refused is
 * counted each time it is tried. The sequence numbers, less the FIN, know that. They hold our SYN
 * where we began, which a socket does not remember; so the smaller number is right.
 */
static __always_inline void set_payload(struct bpf_record *record, struct sock *sk,
                                        const struct tcp_sock *tcp)
{
    __u64 fin = sk->__sk_common.skc_flags >> SOCK_DONE & 1;
    __u64 received = tcp->bytes_received, sent = tcp->bytes_sent, again = tcp->bytes_retrans;
    __u64 sequence = tcp->bytes_acked + (__u32)(tcp->snd_nxt - tcp->snd_una) -
                     is_fin_sent(record->old_state, tcp);
    record->bytes_received = received > fin ? received - fin : 0;
    record->bytes_sent = sent - again < sequence ? sent - again : sequence;
}

/* True for the first of the twins that comes with this transition. (Where an interrupt comes
 * between the two, with a socket whose cookie ends alike, both are the first.) */
static __always_inline bool is_first(__u64 cookie, int new_state)
{
    __u64 *seen = &transitions[bpf_get_smp_processor_id() % CPUS_MOST][cookie % SEEN_MOST];
    __u64 key = cookie << 4 | new_state;
    bool first = *seen != key;
    *seen = first ? key : 0;
    return first;
}

/* Calls do not come in interrupts: the first twin is enough. */
static __always_inline int on_transition(struct sock *sk, int old_state, int new_state, int twin)
{
    bool call = new_state == BPF_TCP_SYN_SENT || new_state == BPF_TCP_LISTEN;
    if (call ? twin != 1 : new_state != BPF_TCP_ESTABLISHED && new_state != BPF_TCP_CLOSE)
        return 0;
    struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
    if (!tcp || old_state == new_state)
        return 0;
    __u64 cookie = bpf_get_socket_cookie(sk);
    if (!call && !is_first(cookie, new_state))
        return 0;
    struct bpf_record *record = begin(!call                           ? BPF_RECORD_STATE
                                      : new_state == BPF_TCP_SYN_SENT ? BPF_RECORD_CONNECT
                                                                      : BPF_RECORD_LISTEN);
    if (!record)
        return 0;
    record->cookie = cookie;
    record->old_state = old_state;
    record->new_state = new_state;
    set_socket(record, sk, true);
    /* The other number is 0 when the last state is reached. */
    record->local.port = bpf_ntohs(tcp->inet_conn.icsk_inet.inet_sport);
    if (call)
        set_process(record);
    else
        set_no_process(record);
    if (new_state == BPF_TCP_CLOSE) {
        record->error = sk->sk_err;
        if (old_state != BPF_TCP_LISTEN)
            set_payload(record, sk, tcp);
    }
    bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
    return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_twin_1, struct sock *sk, int old_state, int new_state)
{
    return on_transition(sk, old_state, new_state, 1);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_twin_2, struct sock *sk, int old_state, int new_state)
{
    return on_transition(sk, old_state, new_state, 2);
}

static __always_inline void accepted(struct sock *sk, __u64 cookie, bool trusted)
{
    struct bpf_record *record = begin(BPF_RECORD_ACCEPT);
    if (!record)
        return;
    record->cookie = cookie;
    record->old_state = record->new_state = LOAD(trusted, sk->__sk_common.skc_state);
    set_socket(record, sk, trusted);
    record->local.port = LOAD(trusted, sk->__sk_common.skc_num);
    set_process(record);
    bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline int on_accepted(struct sock *sk)
{
    if (sk && sk->sk_protocol == IPPROTO_TCP)
        accepted(sk, bpf_get_socket_cookie(sk), true);
    return 0;
}

/* The kernel knows one of these two: the number of the arguments has changed with Linux 6.10. */
SEC("fexit/inet_csk_accept")
int BPF_PROG(accept_fexit, struct sock *listener, void *argument, struct sock *sk)
{
    return on_accepted(sk);
}

SEC("fexit/inet_csk_accept")
int BPF_PROG(accept_fexit_old, struct sock *listener, int flags, int *error, bool kernel,
             struct sock *sk)
{
    return on_accepted(sk);
}

/* Of a connection of MPTCP its first subflow is accepted. */
static __always_inline void accepted_any(struct sock *sk)
{
    __u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
    if (family != AF_INET && family != AF_INET6)
        return;
    if (BPF_CORE_READ(sk, sk_protocol) == IPPROTO_MPTCP && bpf_core_type_exists(struct mptcp_sock))
        sk = BPF_CORE_READ((struct mptcp_sock *)sk, first);
    if (BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP)
        accepted(sk, BPF_CORE_READ(sk, __sk_common.skc_cookie.counter), false);
}

SEC("lsm/sock_graft")
int BPF_PROG(accept_lsm, struct sock *sk)
{
    accepted_any(sk);
    return 0;
}

/* Whether the system call that ended was an accept. Of the numbers, the first two are of 64 bit,
 * and the last two of 32 bit; 102 is socketcall, which has the call in its first argument. */
static __always_inline bool is_accept(struct pt_regs *regs)
{
    struct task_struct *task;
    if (bpf_core_field_exists(struct pt_regs___x86, orig_ax)) {
        const struct pt_regs___x86 *x86 = (const void *)regs;
        unsigned long number = x86->orig_ax & ~X32_BIT;
        if (number != 43 && number != 288 && number != 364 && number != 102)
            return false;
        task = bpf_get_current_task_btf();
        if (!(task->thread_info.status & TS_COMPAT))
            return number == 43 || number == 288;
        unsigned long call = x86->bx;
        return number == 364 || (number == 102 && (call == 5 || call == 18));
    }
    if (bpf_core_field_exists(struct pt_regs___arm64, syscallno)) {
        int number = ((const struct pt_regs___arm64 *)(const void *)regs)->syscallno;
        if (number != 202 && number != 242 && number != 285 && number != 366)
            return false;
        task = bpf_get_current_task_btf();
        if (!(task->thread_info.flags & TIF_32BIT))
            return number == 202 || number == 242;
        return number == 285 || number == 366;
    }
    return false;
}

static __always_inline struct sock *sock_of_descriptor(unsigned int descriptor)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct fdtable *table = task->files->fdt;
    if (descriptor >= table->max_fds)
        return NULL;
    struct file **files = table->fd, *file = NULL;
    bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
    if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
        return NULL;
    struct socket *socket = BPF_CORE_READ(file, private_data);
    return BPF_CORE_READ(socket, sk);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(accept_sys_exit, struct pt_regs *regs, long result)
{
    if (!is_accept(regs) || result < 0)
        return 0;
    struct sock *sk = sock_of_descriptor(result);
    if (sk)
        accepted_any(sk);
    return 0;
}

/* What a process gets all the time and nobody means anything by, and what threads of one process
 * send each other. */
static __always_inline bool is_quiet_signal(int number, __u32 from, __u32 to)
{
    return number == 17 || number == 23 || number == 28 || (number >= 32 && from == to);
}

/* Where what is done to agent or guard is written down; NULL: @p pid is neither. */
static __always_inline struct bpf_signals *signals_of(__u32 pid)
{
    __u32 zero = 0;
    struct bpf_signals *all = bpf_map_lookup_elem(&signals, &zero);
    return all && (pid == all->agent_pid || pid == all->guard_pid) ? all : NULL;
}

static __always_inline void write_down(struct bpf_signals *all, enum bpf_record_kind kind,
                                       __u32 pid, __u64 what, int error)
{
    __u64 nth = __sync_fetch_and_add(&all->n, 1);
    struct bpf_record *record = &all->records[nth % BPF_SIGNALS_MOST];
    record->magic = BPF_RECORD_MAGIC;
    record->version = BPF_RECORD_VERSION;
    record->size = sizeof(*record);
    record->boot_ns = bpf_ktime_get_boot_ns();
    record->kind = kind;
    record->cookie = pid;
    record->inode = what;
    record->error = error;
    record->interface = pid != all->agent_pid;
    record->bytes_received = UNKNOWN;
    set_process(record);
    record->bytes_sent = nth + 1;
}

/* Of the kernel's own signals the sender is whoever was running: with SIGKILL, who made memory
 * short.
 */
SEC("tp_btf/signal_generate")
int BPF_PROG(signal_to_agent, int number, struct kernel_siginfo *info, struct task_struct *task)
{
    __u32 from = bpf_get_current_pid_tgid() >> 32;
    struct bpf_signals *all = signals_of(task->tgid);
    int code = 0;
    if (!all || is_quiet_signal(number, from, task->tgid))
        return 0;
    if ((unsigned long)info > 1)
        bpf_core_read(&code, sizeof(code), &info->si_code);
    write_down(all, BPF_RECORD_SIGNAL, task->tgid, number, (unsigned long)info == 1 || code > 0);
    return 0;
}

/* Into one that is frozen, or has little of the processors. Of a process with threads it is told
 * once.
 */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(agent_moved, void *cgroup, const char *path, struct task_struct *task)
{
    struct bpf_signals *all = signals_of(task->tgid);
    if (all)
        write_down(all, BPF_RECORD_MOVED, task->tgid, 0, 0);
    return 0;
}

static __always_inline struct sock *sock_of(struct bpf_sock_addr *ctx)
{
    return BPF_CORE_READ((struct bpf_sock_addr_kern *)(void *)ctx, sk);
}

/* The address is one of IPv6, or a mapped one. */
static __always_inline int datagram(struct bpf_sock_addr *ctx, enum bpf_record_kind kind, __u32 a,
                                    __u32 b, __u32 c, __u32 d)
{
    const __u8 value = 0;
    __u16 port = bpf_ntohs(ctx->user_port);
    const struct peer peer = {
        .cookie = bpf_get_socket_cookie(ctx), .address = {a, b, c, d},
             .port = port
    };
    bool met = bpf_map_lookup_elem(&peers, &peer);
    if (met && kind != BPF_RECORD_CONNECT)
        return 1;
    struct bpf_record *record = begin(kind);
    if (!record)
        return 1;
    if (!met)
        bpf_map_update_elem(&peers, &peer, &value, BPF_ANY);
    struct sock *sk = sock_of(ctx);
    record->cookie = peer.cookie;
    record->old_state = record->new_state = BPF_CORE_READ(sk, __sk_common.skc_state);
    set_socket(record, sk, false);
    record->local.port = BPF_CORE_READ(sk, __sk_common.skc_num);
    record->remote.port = port;
    set_address(&record->remote, AF_INET6, a, b, c, d);
    set_process(record);
    bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
    return 1;
}

static __always_inline bool is_udp(const struct bpf_sock_addr *ctx)
{
    return ctx->protocol == IPPROTO_UDP || ctx->protocol == IPPROTO_UDPLITE;
}

#define DATAGRAM_PROGRAMS(name, kind)                                                              \
    SEC("cgroup/" #name "4")                                                                       \
    int datagram_##name##4(struct bpf_sock_addr * ctx)                                             \
    {                                                                                              \
        return is_udp(ctx) ? datagram(ctx, kind, 0, 0, MAPPED_PREFIX, ctx->user_ip4) : 1;          \
    }                                                                                              \
    SEC("cgroup/" #name "6")                                                                       \
    int datagram_##name##6(struct bpf_sock_addr * ctx)                                             \
    {                                                                                              \
        return is_udp(ctx) ? datagram(ctx, kind, ctx->user_ip6[0], ctx->user_ip6[1],               \
                                      ctx->user_ip6[2], ctx->user_ip6[3])                          \
                           : 1;                                                                    \
    }

DATAGRAM_PROGRAMS(connect, BPF_RECORD_CONNECT)
DATAGRAM_PROGRAMS(sendmsg, BPF_RECORD_SEND)
DATAGRAM_PROGRAMS(recvmsg, BPF_RECORD_RECEIVE)

SEC("cgroup/sock_release")
int datagram_end(struct bpf_sock *ctx)
{
    if (ctx->protocol != IPPROTO_UDP && ctx->protocol != IPPROTO_UDPLITE)
        return 1;
    struct bpf_record *record = begin(BPF_RECORD_STATE);
    if (!record)
        return 1;
    struct sock *sk = (struct sock *)(void *)ctx;
    record->cookie = bpf_get_socket_cookie(ctx);
    set_socket(record, sk, false);
    record->old_state = BPF_CORE_READ(sk, __sk_common.skc_state);
    record->new_state = BPF_TCP_CLOSE;
    record->local.port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
    set_no_process(record);
    bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
    return 1;
}
