// links: vestige_udev
/* The first byte chooses: even, a message of the source; odd, records of utmp(5). */
#include "fuzz_messages.h"

#include "collectors/udev/logged_in.h"
#include "collectors/udev/udev_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_device(const struct fact_device *device)
{
    const struct slice all[] = {device->subsystem, device->devpath,   device->old_devpath,
                                device->devnode,   device->vendor,    device->model,
                                device->serial,    device->vendor_id, device->model_id,
                                device->driver,    device->users};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        fuzz_read(all[i]);
    if (device->devpath.length < 2 || device->devpath.data[0] != '/')
        abort();
}

static void take_fact(void *user, const struct fact *fact)
{
    const struct slice *message = user;
    struct buffer bytes = BUFFER_NULL;
    if (fact->kind == FACT_DEVICE) {
        check_device(&fact->device);
        return;
    }
    if (fact->kind == FACT_DEVICES_READ)
        udev_message_append_read(&bytes);
    else
        udev_message_append_scan(&bytes, &fact->device_scan);
    /* What was taken is what would have been written. */
    if (!bytes.failed && !slice_equal(*message, buffer_slice(&bytes)))
        abort();
    buffer_deinit(&bytes);
}

static void run_message(struct slice bytes)
{
    struct message message = {.source = SOURCE_UDEV, .kind = MESSAGE_DATA, .bytes = bytes};
    uint64_t n_facts = 0;
    int data = udev_decode(NULL, &message, take_fact, &bytes);
    message.kind = MESSAGE_NOTE;
    int note = udev_decode(NULL, &message, fuzz_read_fact, &n_facts);
    if ((data != 0 && data != -EBADMSG) || (note != 0 && note != -EBADMSG))
        abort();
}

static void run_records(struct slice bytes)
{
    struct buffer names = BUFFER_NULL;
    size_t n = bytes.length / sizeof(struct utmp);
    struct utmp *records = malloc(n ? n * sizeof(*records) : 1);
    if (!records)
        abort();
    memcpy(records, bytes.data, n * sizeof(*records));
    logged_in_append(&names, records, n, NULL);
    if (!names.failed && (names.length == 0 || names.data[names.length - 1] != '\0' ||
                          strlen((const char *)names.data) != names.length - 1))
        abort();
    buffer_deinit(&names);
    free(records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    if (data[0] % 2 == 0)
        run_message(bytes);
    else
        run_records(bytes);
    return 0;
}
