#pragma once
/*
 * What the BPF programs put into their ring, and what is recorded: one record an event. Included by
 * the programs too, so it has no types but the compiler's own.
 */
enum {
    BPF_RECORD_MAGIC = 0x46504256, /* "VBPF" in memory of a little-endian machine */
    BPF_RECORD_VERSION = 1,
    BPF_RECORD_COMM = 16,
    BPF_RECORD_ADDRESS = 16,
    BPF_SIGNALS_MOST = 32,
    BPF_SIGNALS_SIZE = 8192, /* of struct bpf_signals: whole pages of the smallest size */
};

enum bpf_record_kind {
    BPF_RECORD_CONNECT,
    BPF_RECORD_LISTEN,
    BPF_RECORD_ACCEPT,
    BPF_RECORD_SEND,
    BPF_RECORD_RECEIVE,
    BPF_RECORD_STATE,
    BPF_RECORD_SIGNAL, /* to the agent: `cookie` is its pid, `inode` the number of the signal,
                          `error` 1 when the kernel sent it, `interface` 1 when it is the guard's;
                          nothing of a socket */
    BPF_RECORD_MOVED,  /* likewise, to another control group; `inode` and `error` are 0 */
    BPF_RECORD_KIND_N
};

struct bpf_record_end {
    unsigned char family; /* AF_INET, AF_INET6: of `address`, which may be mapped */
    unsigned char unused; /* 0 */
    unsigned short port;  /* host byte order */
    unsigned char address[BPF_RECORD_ADDRESS]; /* network byte order; AF_INET: the first 4 */
};

/* Numbers in host byte order. Of a state: no process. Of anything but the end of a TCP connection:
 * no bytes. */
struct bpf_record {
    unsigned int magic;
    unsigned short version;
    unsigned short size; /* of all */
    unsigned long long boot_ns;
    unsigned long long cookie;         /* 0: none yet */
    unsigned long long inode;          /* 0: of no file */
    unsigned long long bytes_sent;     /* all ones: unknown */
    unsigned long long bytes_received; /* all ones: unknown */
    unsigned int netns;                /* inode number */
    unsigned int interface;            /* 0: not bound to one */
    unsigned int socket_uid;
    unsigned int pid, uid, login_uid, session; /* of the process */
    int error;                                 /* a positive errno, or 0 */
    unsigned short protocol;                   /* IPPROTO_ */
    unsigned char kind;                        /* enum bpf_record_kind */
    unsigned char family;                      /* of the socket */
    unsigned char type;                        /* SOCK_ */
    unsigned char old_state, new_state;        /* TCP_ESTABLISHED ... */
    unsigned char unused;                      /* 0 */
    struct bpf_record_end local, remote;
    char comm[BPF_RECORD_COMM]; /* ends with a NUL, or at its size */
};

/* What the programs count, in memory that the agent reads without a system call. */
struct bpf_counts {
    unsigned long long lost; /* records that the ring had no room for */
};

/* The last signals that were sent to the agent and its guard, and who else reached for them, in
 * memory that programs, agent and guard share. When the agent is killed the guard writes it down,
 * and the next agent reads it. */
struct bpf_signals {
    unsigned long long n;     /* how many there were; the newest is records[(n - 1) % MOST] */
    unsigned long long taken; /* how many the agent has read */
    unsigned int agent_pid;   /* whose; set by the agent */
    unsigned int size;        /* BPF_SIGNALS_SIZE: it is one of these */
    char boot_id[40];
    struct bpf_record records[BPF_SIGNALS_MOST]; /* bytes_sent: 1 of the first one, when complete */
    unsigned int guard_pid;                      /* likewise; 0: there is none */
    unsigned char unused[BPF_SIGNALS_SIZE - 68 - 144 * BPF_SIGNALS_MOST];
};

_Static_assert(sizeof(struct bpf_signals) == BPF_SIGNALS_SIZE, "the guard knows the size");
_Static_assert(sizeof(struct bpf_record) == 144, "what is recorded has no holes");
