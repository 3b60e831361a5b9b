/* What stands in for the source in a build that has no programs. It is never open. */
#include "collectors/bpf/bpf_decode.h"
#include "collectors/bpf/bpf_source.h"

static int bpf_open(struct source **sourcep, const struct source_options *options,
                    struct error_text *error)
{
    (void)sourcep;
    (void)options;
    return error_set(error, -ENOSYS,
                     "bpf: this program was built without clang or libbpf, so it has no BPF "
                     "programs; which process uses a socket is inferred");
}

int bpf_source_signals(const struct source *source)
{
    (void)source;
    return -1;
}

static int bpf_drain(struct source *source, struct gulp *gulp)
{
    (void)source;
    (void)gulp;
    return SOURCE_DRAINED;
}

static void bpf_stop(struct source *source)
{
    (void)source;
}

static struct source *bpf_free(struct source *source)
{
    (void)source;
    return NULL;
}

const struct source_ops bpf_source = {
    .id = SOURCE_BPF,
    .open = bpf_open,
    .drain = bpf_drain,
    .stop = bpf_stop,
    .free = bpf_free,
    .decoder_new = bpf_decoder_new,
    .decode = bpf_decode,
    .decoder_free = bpf_decoder_free,
};
