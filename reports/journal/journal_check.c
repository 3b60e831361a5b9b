/* `vestige journal check`: each file by itself, then the chain through all of them, and whose
 * signatures they have. */
#include "reports/journal/journal_command_private.h"

#include "recorder/agent/config.h"
#include "recorder/keys/signing_key.h"
#include "reports/command.h"

#include <inttypes.h>
#include <stdio.h>

#define KEYS_MOST 16

/* With whose keys signatures are checked. */
struct signers {
    uint8_t keys[KEYS_MOST][PUBLIC_KEY_SIZE];
    size_t n; /* 0: they are not checked, and `error` says why */
    char path[4096];
    bool demanded; /* the user named the keys: a batch without a signature is a finding */
    struct error_text error;
    uint64_t n_good, n_none;
};

/* This host's own key, unless the journal may be that of another. */
static void take_own_key(const struct journal_command *command, struct signers *signers)
{
    struct signing_key *key;
    const char *state = command->options.state_directory;
    if (command->directory_option) {
        error_set(&signers->error, 0, "name the host's public key with --public-key");
        return;
    }
    if (state)
        snprintf(signers->path, sizeof(signers->path), "%s/signing.key", state);
    else
        snprintf(signers->path, sizeof(signers->path), "%s", SIGNING_KEY_DEFAULT);
    if (signing_key_load(&key, signers->path, &signers->error) != 0)
        return;
    signing_key_public(key, signers->keys[0]);
    signers->n = 1;
    signing_key_free(key);
}

static int take_keys(struct journal_command *command, struct signers *signers)
{
    if (!command->public_key_option) {
        take_own_key(command, signers);
        return 0;
    }
    signers->demanded = true;
    snprintf(signers->path, sizeof(signers->path), "%s", command->public_key_option);
    return public_keys_read(signers->keys, KEYS_MOST, &signers->n, signers->path, &command->error);
}

struct check {
    struct signers signers;
    uint64_t last; /* of the chain so far; 0: none */
    uint8_t hash[BATCH_HASH_SIZE];
    bool unknown; /* the batch before could not be read */
    uint64_t n_batches, n_lines, n_findings;
};

static void finding(struct check *check, const char *text)
{
    struct buffer safe = BUFFER_NULL;
    journal_print_safe(&safe, slice_text(text));
    buffer_deinit(&safe);
    check->n_findings++;
}

static void check_chain(struct check *check, const struct batch_header *header)
{
    struct error_text text = ERROR_TEXT_NULL;
    uint64_t missing = header->batch - check->last - 1;
    if (check->last && missing)
        error_set(&text, 0, "batch %" PRIu64 ": %" PRIu64 " batches before it are missing",
                  header->batch, missing);
    else if (check->last && !check->unknown &&
             memcmp(check->hash, header->previous_hash, BATCH_HASH_SIZE) != 0)
        error_set(&text, 0,
                  "batch %" PRIu64 ": does not follow batch %" PRIu64 ": its previous "
                  "hash is another one",
                  header->batch, check->last);
    if (text.text[0])
        finding(check, text.text);
}

static void check_signature(struct check *check, const struct batch_header *header)
{
    struct signers *signers = &check->signers;
    struct error_text text = ERROR_TEXT_NULL;
    if (signers->n == 0)
        return;
    if (!batch_header_signed(header)) {
        signers->n_none++;
        error_set(&text, 0, "batch %" PRIu64 ": is not signed", header->batch);
        if (signers->demanded)
            finding(check, text.text);
        return;
    }
    for (size_t i = 0; i < signers->n; i++) {
        if (signature_check(signers->keys[i], header->hash, header->signature) == 0) {
            signers->n_good++;
            return;
        }
    }
    error_set(&text, 0,
              "batch %" PRIu64 ": its signature is not of a key in %s: somebody else made or "
              "changed it, or the host had another key then",
              header->batch, signers->path);
    finding(check, text.text);
}

static void tell_signatures(const struct signers *signers)
{
    struct buffer text = BUFFER_NULL, safe = BUFFER_NULL;
    if (signers->n == 0)
        buffer_printf(&text, "signatures were not checked: %s", signers->error.text);
    else
        buffer_printf(
            &text, "signatures: %" PRIu64 " are of a key in %s, %" PRIu64 " batches are not signed",
            signers->n_good, signers->path, signers->n_none);
    journal_print_safe(&safe, buffer_slice(&text));
    buffer_deinit(&text);
    buffer_deinit(&safe);
}

static void check_file(const struct journal_command *command, const struct journal_entry *file,
                       struct check *check)
{
    struct batch_reader *reader;
    struct error_text error = ERROR_TEXT_NULL;
    int result = journal_entry_open(command, file, &reader, &error);
    if (result == -ENOENT)
        return; /* shipped and removed meanwhile */
    bool chained = file->kind == JOURNAL_FILE_SEALED || file->kind == JOURNAL_FILE_SHIPPED;
    if (result) {
        finding(check, error.text);
        check->last = chained ? file->batch : check->last;
        check->unknown |= chained;
        return;
    }
    const struct batch_header *header = batch_reader_header(reader);
    if (batch_reader_check(reader, NULL, &error) != 0)
        finding(check, error.text);
    if (chained && (header->kind != BATCH_SEALED || header->batch != file->batch)) {
        error_set(&error, 0, "batch %" PRIu64 ": the file holds another one (%" PRIu64 ")",
                  file->batch, header->batch);
        finding(check, error.text);
    } else if (file->kind != JOURNAL_FILE_CHECKPOINT) {
        check_chain(check, header);
    }
    if (chained) {
        check->last = file->batch;
        check->unknown = false;
        check_signature(check, header);
        memcpy(check->hash, header->hash, BATCH_HASH_SIZE);
    }
    check->n_batches++;
    check->n_lines += header->n_lines;
    batch_reader_free(reader);
}

static void check_damaged(const struct journal_command *command, const struct journal_entry *file,
                          struct check *check)
{
    struct error_text text = ERROR_TEXT_NULL;
    error_set(&text, 0,
              "%s/%012" PRIu64 ".damaged: what a crash left unreadable; look at it and remove it",
              command->path, file->batch);
    finding(check, text.text);
}

int journal_check(struct journal_command *command)
{
    struct check result = {0};
    int outcome = take_keys(command, &result.signers);
    if (outcome)
        return outcome;
    for (size_t i = 0; i < journal_entries_count(&command->files); i++) {
        const struct journal_entry *file = journal_entry_at(&command->files, i);
        if (file->kind == JOURNAL_FILE_DAMAGED)
            check_damaged(command, file, &result);
        else
            check_file(command, file, &result);
    }
    printf("%" PRIu64 " files, %" PRIu64 " lines: %" PRIu64 " findings\n", result.n_batches,
           result.n_lines, result.n_findings);
    tell_signatures(&result.signers);
    return result.n_findings ? STATUS_WRONG : 0;
}
