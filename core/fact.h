#pragma once
/*
 * A fact: one thing that a source saw, decoded. Slices point into the message or into the decoder
 * and are valid only until the handler returns. Numbers that the source did not give have the
 * value that is named beside them. Process ids are those of the first pid namespace.
 */
#include "core/gulp.h"

#define ID_UNSET UINT32_MAX /* uid, gid, login uid, audit session: unknown or not set */

enum fact_kind {
    /* process connector, Documentation of cn_proc: include/uapi/linux/cn_proc.h */
    FACT_SEQUENCE, /* one a connector message: for loss counting */
    FACT_FORK,
    FACT_EXEC,
    FACT_UID,
    FACT_GID,
    FACT_SID,
    FACT_COMM,
    FACT_EXIT,
    /* taskstats, Documentation/accounting/taskstats-struct.rst */
    FACT_TASK_STATS,
    /* audit */
    FACT_AUDIT_EXEC,
    FACT_AUDIT_LOGIN,
    FACT_AUDIT_HOLE,  /* serials that never came */
    FACT_AUDIT_LOST,  /* the kernel's own counter went up */
    FACT_AUDIT_RULES, /* rules of ours had been deleted, some time since */
    /* /proc */
    FACT_PROC_PROCESS, /* a living process */
    FACT_PROC_SCAN,    /* a full scan began or ended */
    FACT_FORK_TOTAL,   /* `processes` of /proc/stat, between two clock readings */
    FACT_USER_NAME,
    /* sock_diag */
    FACT_SOCKET,       /* a socket that exists, or (end) existed until now */
    FACT_SOCKET_SCAN,  /* a dump of all sockets began or ended */
    FACT_SOCKET_OWNER, /* a process that has a descriptor of a socket, from /proc/PID/fd */
    /* BPF */
    FACT_SOCKET_CALL,  /* a process did something with a socket */
    FACT_SOCKET_STATE, /* a socket changed its state: TCP; of UDP its end */
    FACT_BPF_LOST,     /* events that the ring had no room for */
    /* audit */
    FACT_AUDIT_SOCKET,
    FACT_KERNEL_EVENT,  /* a call that changes the kernel or looks into another process */
    FACT_KERNEL_TARGET, /* what such a call was done to: comes behind it, or not at all */
    /* rtnetlink */
    FACT_LINK,
    FACT_ADDRESS,
    FACT_ROUTE,
    FACT_NETWORK_SCAN, /* a dump of links, addresses and routes */
    /* resolver */
    FACT_HOST_NAME,
    /* fanotify, inotify */
    FACT_FILE,         /* something was done with a file */
    FACT_FILE_OPEN,    /* a process has it open now: of a look at /proc/PID/fd */
    FACT_FILE_REFUSED, /* a process that a look may not look at, in whole or in part */
    FACT_FILE_SCAN,    /* a look at all /proc/PID/fd began or ended */
    FACT_FILES_READ,   /* what was done with files until then has been told: fanotify */
    /* programs */
    FACT_PROGRAM,
    /* udev */
    FACT_DEVICE,       /* a device that is there, or (end) was until now */
    FACT_DEVICE_SCAN,  /* a look at all devices began or ended */
    FACT_DEVICES_READ, /* all events until now were read; as it was asked for */
    /* accounts */
    FACT_ACCOUNT, /* what there is at a reading of the files */
    FACT_ACCOUNT_GROUP,
    FACT_GROUP_MEMBER,
    FACT_ACCOUNT_SCAN, /* a reading is wanted, began, ended */
    /* audit: what programs say of logins */
    FACT_AUDIT_USER,
    /* utmp */
    FACT_LOGIN_RECORD,
    FACT_LOGIN_LOG, /* something happened to the file itself */
    /* any source */
    FACT_OVERRUN, /* messages were lost, number unknown */
    FACT_NOTE,    /* mode and detail of the source, for `coverage` */
    FACT_N
};

struct fact_task {
    uint32_t pid;  /* the task (thread) */
    uint32_t tgid; /* its process */
};

struct fact_fork {
    struct fact_task parent, child;
};

/* UID and GID: real and effective. */
struct fact_ids {
    struct fact_task task;
    uint32_t real, effective;
};

struct fact_comm {
    struct fact_task task;
    struct slice comm;
};

struct fact_exit {
    struct fact_task task;
    uint32_t code;        /* as in wait(2): status << 8 | signal */
    uint32_t parent_tgid; /* real parent; 0: unknown */
};

struct fact_sequence {
    uint32_t cpu, sequence;
};

struct fact_task_stats {
    uint32_t pid, tgid; /* tgid 0: the kernel is too old to say */
    uint32_t ppid;
    uint32_t uid, gid;   /* real, at exit */
    uint32_t exit_code;  /* this task's; before Linux 5.17 the leader's only, others 0 */
    bool last;           /* AGROUP: this was the last task of its process */
    bool forked_no_exec; /* AFORK */
    struct slice comm;
    uint64_t begin_real_s; /* 0: unknown */
    uint64_t elapsed_us;
    uint64_t user_us, system_us;
    uint64_t max_rss_kib;
    uint64_t read_bytes, write_bytes; /* storage I/O; UINT64_MAX: unknown */
};

struct fact_audit_exec {
    uint32_t serial;
    int64_t real_ms; /* the record's time, milliseconds since 1970; of a coarse clock */
    uint32_t pid, ppid;
    uint32_t login_uid, session;
    uint32_t uid, euid, gid, egid;
    struct slice comm, exe, tty, cwd; /* SLICE_NULL: unknown; tty "(none)" is given as empty */
    const struct slice *argv;
    uint32_t argc;   /* declared by the kernel */
    uint32_t n_argv; /* in argv; fewer than argc: pieces were lost */
    struct slice key;
};

struct fact_audit_login {
    uint32_t serial;
    int64_t real_ms;
    uint32_t pid;
    uint32_t old_login_uid, login_uid, old_session, session;
};

struct fact_audit_hole {
    uint32_t first, last; /* serials missing, inclusive */
};

struct fact_audit_rules {
    uint64_t since_ns; /* when they were last known to be there */
};

struct fact_audit_lost {
    uint32_t records; /* since the last report */
};

struct fact_proc_process {
    uint32_t pid, ppid;
    uint64_t start_ticks; /* field 22 of /proc/PID/stat */
    uint32_t n_threads;   /* 0: it has ended, and its parent has not looked yet */
    uint64_t threads_from_ns, threads_until_ns; /* CLOCK_BOOTTIME: n_threads was read between them,
                                                   ends included; 0: not known */
    bool kernel_thread;
    uint32_t uid, euid, gid, egid, login_uid, session, sid;
    uint64_t pid_ns, mnt_ns, net_ns;  /* inode numbers, 0: could not be read */
    struct slice comm, exe, cwd, tty; /* SLICE_NULL: could not be read */
    struct slice cgroup, container;   /* container: the id in the cgroup's path, or SLICE_NULL */
    const struct slice *argv;
    uint32_t argc; /* 0 and argv NULL: could not be read */
};

struct fact_proc_scan {
    bool begin;         /* else: end */
    uint32_t n_threads; /* end: living threads that are not leaders and started after `since` */
};

struct fact_fork_total {
    uint64_t total;               /* forks of tasks since boot */
    uint64_t before_ns, after_ns; /* CLOCK_BOOTTIME around the reading */
};

enum user_name_origin {
    USER_OF_FILE,   /* of the passwd file; a change of it is told */
    USER_OF_SWITCH, /* asked of the name service switch */
    USER_OF_NOBODY, /* neither knows such a user */
    USER_AS_BEFORE, /* nothing new: asked a short time ago, or the switch cannot answer now */
    USER_NAME_ORIGIN_N
};

struct fact_user_name {
    uint32_t uid;
    enum user_name_origin origin;
    struct slice name; /* SLICE_NULL: nobody, or nothing new */
};

/* An address with its port, as a socket has it. */
struct inet_address {
    uint8_t family;    /* AF_INET, AF_INET6; 0: none */
    uint16_t port;     /* host byte order; of a raw socket its protocol; 0: none */
    uint8_t bytes[16]; /* network byte order; AF_INET: the first 4 */
};

/* What the kernel says of a socket. */
struct socket_description {
    uint64_t cookie;   /* unique per boot; 0: unknown */
    uint64_t netns;    /* inode number of its network namespace; 0: unknown */
    uint64_t inode;    /* 0: unknown, or of no file (not accepted, orphaned) */
    uint8_t family;    /* AF_INET, AF_INET6, AF_UNIX, AF_PACKET */
    uint8_t type;      /* SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET; 0: unknown */
    uint16_t protocol; /* AF_INET(6): IPPROTO_; AF_PACKET: the ethertype, host order */
    uint8_t state;     /* TCP_ESTABLISHED ..., also of sockets that are not TCP; 0: unknown */
    struct inet_address local, remote;
    uint32_t interface;                  /* index of the interface it is bound to; 0: none */
    uint32_t uid;                        /* of who made it; ID_UNSET */
    int error;                           /* SO_ERROR as a positive errno, of an end; 0 */
    uint64_t bytes_sent, bytes_received; /* payload; UINT64_MAX: unknown */
    struct slice path; /* AF_UNIX: as in sun_path, an abstract name with its leading 0 byte */
};

struct fact_socket {
    bool end; /* it was destroyed just now */
    struct socket_description socket;
};

struct fact_socket_scan {
    bool begin, complete; /* end: complete unless the dump was interrupted or failed */
    uint64_t netns;       /* which namespace; 0 (end): all, and the owners have been looked for */
};

struct fact_socket_owner {
    uint64_t inode;
    uint32_t pid;
    int32_t descriptor;
};

enum socket_call {
    SOCKET_CALL_CONNECT, /* TCP: SYN goes out; UDP: connect(2) */
    SOCKET_CALL_LISTEN,
    SOCKET_CALL_ACCEPT,  /* socket is the accepted one */
    SOCKET_CALL_SEND,    /* a datagram to an address: the first that is known between this socket
                            and this peer */
    SOCKET_CALL_RECEIVE, /* likewise, from an address */
    SOCKET_CALL_BIND,
    SOCKET_CALL_N
};

struct fact_socket_call {
    enum socket_call call;
    uint32_t pid;                     /* process */
    uint32_t uid, login_uid, session; /* of the caller; ID_UNSET: unknown */
    struct slice comm;                /* SLICE_NULL: unknown */
    struct socket_description socket;
};

struct fact_socket_state {
    uint8_t old_state, new_state; /* TCP_ESTABLISHED ... */
    struct socket_description socket;
};

struct fact_bpf_lost {
    uint64_t events; /* since the last report */
};

enum audit_call {
    AUDIT_CALL_CONNECT,
    AUDIT_CALL_BIND,
    AUDIT_CALL_ACCEPT,
    AUDIT_CALL_SEND, /* sendto, sendmsg with an address */
    AUDIT_CALL_N
};

struct fact_audit_socket {
    uint32_t serial;
    int64_t real_ms;
    enum audit_call call;
    int32_t result;     /* of the system call: a negative errno, or (accept) the new descriptor */
    int32_t descriptor; /* the first argument */
    uint32_t pid;       /* process */
    uint32_t login_uid, session, uid;
    struct slice comm;
    struct inet_address address; /* family 0: the record has none */
};

enum kernel_event_kind {
    KERNEL_MODULE_LOAD,
    KERNEL_MODULE_UNLOAD,
    KERNEL_MOUNT,
    KERNEL_REMOUNT, /* flags or propagation of a mount that was there */
    KERNEL_UMOUNT,
    KERNEL_PTRACE, /* attached to another process */
    KERNEL_SETNS,
    KERNEL_UNSHARE,
    KERNEL_CLONE, /* a child in namespaces of its own */
    KERNEL_BPF_LOAD,
    KERNEL_IO_URING_SETUP,
    KERNEL_KEXEC_LOAD,
    KERNEL_CLOCK_SET,
    KERNEL_AUDIT_CHANGE, /* audit's rules or settings, by somebody else */
    KERNEL_TAMPER,       /* somebody reached for the agent; likewise */
    KERNEL_SIGNAL,       /* to the agent; real_ms is -1: the fact's time is exact */
    KERNEL_CLOCK_STEP,   /* no call: the wall clock jumped */
    KERNEL_EVENT_N
};

struct fact_kernel_event {
    uint32_t serial;
    int64_t real_ms;
    enum kernel_event_kind kind;
    bool known, success; /* known: how the call ended */
    bool needs_target;   /* without one it only read */
    uint32_t pid;        /* process */
    uint32_t login_uid, uid;
    struct slice comm;   /* SLICE_NULL: unknown */
    struct slice target; /* as far as the call's own record says; SLICE_NULL: it does not */
};

/* Bytes of a target: as evidence text it still has room in the column. What is longer is cut, and
 * ends with "...". */
enum { KERNEL_TARGET_MOST = 16000 };

struct fact_kernel_target {
    uint32_t serial; /* of the call */
    bool further;    /* belongs behind what other records of the call say; else in their place */
    struct slice target;
};

enum { LINK_ADDRESS_MOST = 32 };

struct fact_link {
    bool end, up; /* up: somebody switched it on, carrier or not */
    uint32_t index;
    struct slice name;
    uint8_t address[LINK_ADDRESS_MOST];
    uint8_t address_length; /* bytes */
};

struct fact_address {
    bool end;
    uint32_t interface; /* index */
    uint8_t prefix_length;
    struct inet_address address, peer; /* port 0; peer family 0: none */
};

/* One next hop of a route. */
struct fact_route {
    bool end;
    bool replaces;         /* in place of what was there of its destination, metric and service */
    bool dumped;           /* of a dump: it may be older than what was heard before it */
    uint16_t hop, n_hops;  /* which of how many that follow each other */
    uint8_t family;        /* AF_INET, AF_INET6 */
    uint8_t type, service; /* RTN_UNICAST ...; TOS */
    uint8_t prefix_length, source_prefix_length;
    uint32_t table;
    uint32_t metric;
    struct inet_address destination; /* of the default route: zeros */
    struct inet_address source;      /* only packets from there go this way; of most: zeros */
    struct inet_address gateway;     /* family 0: none */
    uint32_t interface;              /* index; 0: none */
};

enum network_scan_step {
    NETWORK_SCAN_WANTED, /* something may have changed that the kernel told nobody */
    NETWORK_SCAN_BEGAN,
    NETWORK_SCAN_ENDED
};

struct fact_network_scan {
    enum network_scan_step step;
    bool routes_only; /* began: links and addresses are not asked for */
    bool complete;    /* ended: nothing was passed over */
};

enum name_origin { NAME_FROM_HOSTS, NAME_FROM_DNS, NAME_ORIGIN_N };

struct fact_host_name {
    struct inet_address address; /* port 0 */
    struct slice name;           /* SLICE_NULL: there is none, or nobody answered */
    bool answered; /* false: nobody answered in time; of the hosts file: its entry is gone */
    enum name_origin origin;
};

/* What was done with a file: a set. */
enum file_event {
    FILE_OPENED = 1 << 0,
    FILE_EXECUTED = 1 << 1, /* opened to be executed: a program, a script, an interpreter */
    FILE_MODIFIED = 1 << 2,
    FILE_CLOSED_AFTER_WRITE = 1 << 3, /* a descriptor that could write was closed */
    FILE_CLOSED = 1 << 4,             /* one that could not */
    FILE_CREATED = 1 << 5,
    FILE_DELETED = 1 << 6,
    FILE_RENAMED = 1 << 7,
    FILE_ATTRIBUTES_CHANGED = 1 << 8
};

/* What is known of a file besides its path. */
struct file_status {
    uint64_t device; /* major << 32 | minor; 0: unknown */
    uint64_t inode;  /* 0: unknown */
    uint32_t mode;   /* as in stat(2), with the type; 0: unknown */
    uint64_t size;   /* bytes; UINT64_MAX: unknown */
};

/* Events of one process and name that waited unread come as one fact with a set of several, in an
 * order that nobody knows. */
struct fact_file {
    uint32_t pid;          /* process; 0: unknown (inotify) */
    uint32_t events;       /* of enum file_event, not 0 */
    uint64_t since_ns;     /* boot clock: it happened between this and the fact's boot_ns */
    bool directory;        /* it is one: only created, deleted, renamed, attributes */
    bool path_at_read;     /* the path is that of the moment of reading */
    struct slice path;     /* as the host sees it; absolute, or, when nobody knows the directory,
                              "handle:" with its hex and the name behind a slash */
    struct slice new_path; /* FILE_RENAMED: where it is now; else SLICE_NULL */
    struct file_status status; /* at the moment of reading */
};

/* A descriptor that is open at the moment of the look. */
struct fact_file_open {
    uint32_t pid;
    uint32_t descriptors; /* how many of this file it has */
    bool writable;
    bool deleted;      /* it has no name any more, or never had one: memfd, O_TMPFILE */
    struct slice path; /* as /proc/PID/fd says, without " (deleted)" */
    struct file_status status;
};

struct fact_file_scan {
    bool begin, complete; /* end: complete unless more than the refused processes is left out */
};

struct fact_file_refused {
    uint32_t pid;
};

struct fact_files_read {
    uint64_t until_ns; /* boot clock; not after the fact's own time */
};

/* Why a file is taken for the one that a process executed: a set. */
enum program_evidence {
    PROGRAM_OF_PROCESS = 1 << 0, /* the process ran it at the moment of the fact */
    PROGRAM_AT_PATH = 1 << 1     /* it was found by the path, at or after that moment */
};

/* The file of a program, as it was when it was looked at. */
struct fact_program {
    uint64_t request;  /* the number that was given when it was asked for */
    bool known;        /* false: it was gone, or is no regular file; the rest is 0 */
    bool hashed;       /* false: too large, not on this host, unreadable, or changed meanwhile */
    unsigned evidence; /* of enum program_evidence, not 0 when it is known */
    uint8_t sha256[32];
    uint64_t size;
    int64_t modified_real_ns; /* st_mtime */
    int64_t changed_real_ns;  /* st_ctime; INT64_MAX: it is not of this host's clock */
    /* Boot clock. Not 0: the inode was changed after the look, and the digest is of what the
     * process still showed then. */
    uint64_t shown_ns;
};

/* Slices: SLICE_NULL: there is none, or it is not known. */
struct fact_device {
    bool end;
    struct slice subsystem;
    struct slice devpath;     /* in /sys, from the first slash on; never empty */
    struct slice old_devpath; /* it was called this until now */
    struct slice devnode;
    bool block; /* a block device, with a number */
    uint32_t device_major, device_minor;
    struct slice vendor, model, serial, vendor_id, model_id, driver;
    struct slice users; /* of a device that is there: who is logged in, by commas; empty: nobody */
};

struct fact_device_scan {
    bool begin, complete; /* end: complete when nothing was passed over */
};

enum password_state {
    PASSWORD_UNKNOWN,
    PASSWORD_EMPTY,  /* there is none, and none is asked for */
    PASSWORD_LOCKED, /* none opens it */
    PASSWORD_SET,
    PASSWORD_ABSENT, /* it is said to be in shadow, and is not there */
    PASSWORD_STATE_N
};

enum { ACCOUNT_DIGEST_BYTES = 8 };

/* Never the hash of a password: the digest is keyed, and says only whether it is another one. */
struct account_password {
    enum password_state state;
    bool has_digest;
    uint8_t digest[ACCOUNT_DIGEST_BYTES];
};

struct fact_account {
    struct slice name;
    uint32_t uid, gid;               /* ID_UNSET: none */
    struct slice gecos, home, shell; /* SLICE_NULL: missing */
    struct account_password password;
    bool from_switch; /* no line of the files: asked of the name service switch, outside of scans */
};

struct fact_account_group {
    struct slice name;
    uint32_t gid; /* ID_UNSET: none */
    struct account_password password;
};

struct fact_group_member {
    struct slice group, name;
};

/* What is read together. */
enum account_part { ACCOUNT_PART_ACCOUNTS, ACCOUNT_PART_GROUPS, ACCOUNT_PART_N };

enum account_scan_step { ACCOUNT_SCAN_WANTED, ACCOUNT_SCAN_BEGAN, ACCOUNT_SCAN_ENDED };

struct fact_account_scan {
    enum account_scan_step step;
    enum account_part part;
    uint32_t sequence; /* of the last change that was known then */
    bool complete;     /* ended: what was not named does not exist */
};

/* What a program that lets people in says, as audit calls it. */
enum audit_user_event {
    AUDIT_USER_AUTHENTICATED, /* USER_AUTH: a proof of identity was accepted or not */
    AUDIT_USER_ACCOUNT,       /* USER_ACCT: the account may be used or not */
    AUDIT_USER_LOGIN,         /* USER_LOGIN: the program's own word on the login */
    AUDIT_USER_COMMAND,       /* USER_CMD: sudo */
    AUDIT_USER_START,         /* USER_START: a session was opened */
    AUDIT_USER_END,           /* USER_END: and closed */
    AUDIT_USER_LOGOUT,        /* USER_LOGOUT */
    AUDIT_USER_SHUTDOWN,      /* SYSTEM_SHUTDOWN: the host goes down */
    AUDIT_USER_EVENT_N
};

/* All text may come from who tries to get in. SLICE_NULL: not said. */
struct fact_audit_user {
    uint32_t serial;
    int64_t real_ms; /* the record's time, milliseconds since 1970 */
    enum audit_user_event event;
    uint32_t pid;                     /* who sent it */
    uint32_t uid, login_uid, session; /* of the sender; ID_UNSET */
    bool success;
    struct slice operation; /* "PAM:session_open", "login" */
    struct slice account;
    uint32_t account_uid; /* when it is named by number; ID_UNSET */
    struct slice exe, host_name, address, terminal;
};

enum login_file { LOGIN_FILE_UTMP, LOGIN_FILE_WTMP, LOGIN_FILE_BTMP, LOGIN_FILE_N };

/* A record of utmp(5). */
struct fact_login_record {
    enum login_file file;
    bool old;                      /* it was there before the agent began to follow the file */
    uint64_t inode;                /* of the file */
    uint64_t begin, end;           /* bytes of the file: where the record stands */
    uint64_t digest;               /* of its bytes, not 0 */
    uint16_t type;                 /* USER_PROCESS ... */
    uint32_t pid;                  /* 0: none */
    struct slice line, user, host; /* without the zeros behind them; may be empty */
    struct inet_address address;   /* family 0: none; port 0 */
    int64_t real_us;               /* microseconds since 1970, as the record says */
};

enum login_log_event {
    LOGIN_LOG_SCAN_BEGAN, /* utmp is read from its beginning */
    LOGIN_LOG_SCAN_ENDED,
    LOGIN_LOG_CAUGHT_UP, /* all that was there at the start has been read */
    LOGIN_LOG_SHRANK,    /* it has fewer bytes than were read of it */
    LOGIN_LOG_ROTATED,   /* there is another file; the one before was read to its end */
    LOGIN_LOG_REPLACED,  /* there is another file; the one before is gone, not renamed */
    LOGIN_LOG_EVENT_N
};

struct fact_login_log {
    enum login_log_event event;
    enum login_file file;
    uint64_t inode;       /* of the file as it is now */
    uint64_t before, now; /* shrank: bytes; rotated, replaced: inodes, now 0: there is no file */
};

struct fact_note {
    struct slice mode, detail;
};

struct fact {
    enum fact_kind kind;
    enum source_id source;
    uint64_t boot_ns; /* when it happened as far as the source knows, else when it was read */
    union {
        struct fact_sequence sequence;
        struct fact_fork fork;
        struct fact_task exec, sid;
        struct fact_ids uid, gid;
        struct fact_comm comm;
        struct fact_exit exit;
        struct fact_task_stats task_stats;
        struct fact_audit_exec audit_exec;
        struct fact_audit_login audit_login;
        struct fact_audit_hole audit_hole;
        struct fact_audit_lost audit_lost;
        struct fact_audit_rules audit_rules;
        struct fact_proc_process proc_process;
        struct fact_proc_scan proc_scan;
        struct fact_fork_total fork_total;
        struct fact_user_name user_name;
        struct fact_socket socket;
        struct fact_socket_scan socket_scan;
        struct fact_socket_owner socket_owner;
        struct fact_socket_call socket_call;
        struct fact_socket_state socket_state;
        struct fact_bpf_lost bpf_lost;
        struct fact_audit_socket audit_socket;
        struct fact_kernel_event kernel_event;
        struct fact_kernel_target kernel_target;
        struct fact_link link;
        struct fact_address address;
        struct fact_route route;
        struct fact_network_scan network_scan;
        struct fact_host_name host_name;
        struct fact_file file;
        struct fact_file_open file_open;
        struct fact_file_scan file_scan;
        struct fact_file_refused file_refused;
        struct fact_files_read files_read;
        struct fact_program program;
        struct fact_device device;
        struct fact_device_scan device_scan;
        struct fact_account account;
        struct fact_account_group account_group;
        struct fact_group_member group_member;
        struct fact_account_scan account_scan;
        struct fact_audit_user audit_user;
        struct fact_login_record login_record;
        struct fact_login_log login_log;
        struct fact_note note;
    };
};

/** Receives facts. May keep nothing that the fact's slices point to. */
typedef void (*fact_handler)(void *user, const struct fact *fact);
