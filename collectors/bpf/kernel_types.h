#pragma once
/* Of the kernel's structures the members that the programs read. Where they are is found out when
 * the programs are loaded (CO-RE), from the description that the running kernel has of itself. A
 * name ends at its three underscores. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
    __u32 val;
} kuid_t;

typedef struct {
    __s64 counter;
} atomic64_t;

struct in6_addr {
    union {
        __u8 u6_addr8[16];
        __be32 u6_addr32[4];
    } in6_u;
};

struct ns_common {
    __u32 inum;
};

struct net {
    struct ns_common ns;
};

typedef struct {
    struct net *net;
} possible_net_t;

struct inode {
    __u16 i_mode;
    unsigned long i_ino;
};

struct file {
    struct inode *f_inode;
    void *private_data;
};

struct fdtable {
    unsigned int max_fds;
    struct file **fd;
};

struct files_struct {
    struct fdtable *fdt;
};

struct thread_info {
    unsigned long flags;
    __u32 status;
};

struct task_struct {
    struct thread_info thread_info;
    struct files_struct *files;
    kuid_t loginuid;
    unsigned int sessionid;
    int tgid;
};

struct kernel_siginfo {
    int si_code;
};

struct pt_regs___x86 {
    unsigned long bx;
    unsigned long orig_ax;
};

struct pt_regs___arm64 {
    __s32 syscallno;
};

struct sock_common {
    __be32 skc_daddr;
    __be32 skc_rcv_saddr;
    __be16 skc_dport;
    __u16 skc_num;
    unsigned short skc_family;
    unsigned char skc_state;
    int skc_bound_dev_if;
    possible_net_t skc_net;
    struct in6_addr skc_v6_daddr;
    struct in6_addr skc_v6_rcv_saddr;
    atomic64_t skc_cookie;
    unsigned long skc_flags;
};

struct socket {
    struct file *file;
    struct sock *sk;
};

struct sock {
    struct sock_common __sk_common;
    struct socket *sk_socket;
    int sk_err;
    kuid_t sk_uid;
    __u16 sk_protocol;
    __u16 sk_type;
};

struct inet_sock {
    struct sock sk;
    __be16 inet_sport;
};

struct inet_connection_sock {
    struct inet_sock icsk_inet;
};

struct tcp_sock {
    struct inet_connection_sock inet_conn;
    __u32 write_seq;
    __u32 snd_nxt;
    __u32 snd_una;
    __u64 bytes_acked;
    __u64 bytes_sent;
    __u64 bytes_received;
    __u64 bytes_retrans;
};

struct mptcp_sock {
    struct sock *first;
};

struct bpf_sock_addr_kern {
    struct sock *sk;
};

#pragma clang attribute pop
