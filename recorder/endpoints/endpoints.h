#pragma once
/*
 * The lifecycle of endpoints: facts of BPF, sock_diag, /proc and audit become rows of `endpoint`.
 * One thread; no system calls; the same facts give the same rows.
 *
 *   BPF        who connected, listened, accepted, sent and received; states and ends of TCP sockets
 *   sock_diag  sockets that exist; ends of the others, and of TCP where there is no BPF
 *   /proc      which process has a descriptor of a socket that nobody was seen to open
 *   audit      who called connect, accept and bind, where there is no BPF
 */
#include "recorder/lifecycle/row_output.h"
#include "recorder/lifecycle/user_names.h"
#include "recorder/processes/processes.h"

struct endpoints;

struct endpoints_options {
    struct row_output *output;
    struct user_names *names;
    struct processes *processes;
    bool scans;         /* dumps of sockets come: nothing is settled before the first */
    bool bpf_active;    /* an accept without its caller is worth waiting */
    uint64_t settle_ns; /* how long a new row waits for its end, to be written in one line */
    uint64_t accept_ns; /* how long one that nobody accepted waits for its owner */
    uint64_t name_ns;   /* how long names are waited for, before a row is settled without */
    size_t most;        /* endpoints in memory; beyond that they are counted as lost */
    void *user;
    /** A dump of all sockets is wanted; NULL: there is none. Must not block. */
    void (*ask_scan)(void *user);
    /** Names: true when it is known whether @p address has one (*@p text SLICE_NULL: it has none);
     *  false: asked, wait. NULL: nobody is asked. The text lives until the next call. */
    bool (*host_name)(void *user, const struct inet_address *address, struct slice *text);
    /** The name of an interface of the agent's network namespace, or NULL. */
    const char *(*interface_name)(void *user, uint32_t index);
};

int endpoints_new(struct endpoints **endpointsp,
                  const struct endpoints_options *options) MUST_CHECK;
struct endpoints *endpoints_free(struct endpoints *endpoints);

/** Facts of sockets; others are ignored. */
void endpoints_fact(struct endpoints *endpoints, const struct fact *fact);
/** All sockets have been read: run what is due. */
void endpoints_tick(struct endpoints *endpoints);
/** Nothing that was born or ended before @p boot_ns waits for being written. */
bool endpoints_settled_until(const struct endpoints *endpoints, uint64_t boot_ns);
/** Write every row that waits, as it is. Ends nothing that lives. */
void endpoints_flush(struct endpoints *endpoints);

/** Lines of an earlier run, in the order of the journal. */
void endpoints_restore(struct endpoints *endpoints, enum verb verb, uint64_t id,
                       const struct slice *values, size_t n_values);
/** All lines have been restored. Rows of another boot end as `reboot` at @p last_real_us. */
void endpoints_restored(struct endpoints *endpoints, bool same_boot, uint64_t last_real_us);
/** Insert lines of all rows that are open now, for a checkpoint. */
void endpoints_checkpoint(struct endpoints *endpoints);

/** Endpoints that found no room since the last call. */
uint64_t endpoints_take_dropped(struct endpoints *endpoints);
size_t endpoints_living(const struct endpoints *endpoints);
