/* So few that they are compared one by one. */
#include "collectors/fanotify/passed_files.h"

#include <string.h>

struct passed_file *passed_files_find(struct passed_files *files, const struct file_id *id)
{
    for (size_t i = 0; i < files->n; i++) {
        struct passed_file *file = &files->list[i];
        if (file->filesystem == id->filesystem && file->type == id->type &&
            slice_equal(slice_of(file->handle, file->length), id->handle))
            return file;
    }
    return NULL;
}

struct passed_file *passed_files_add(struct passed_files *files, const struct file_id *id)
{
    if (files->n == PASSED_FILES_MOST || id->handle.length > FILE_HANDLE_MOST)
        return NULL;
    struct passed_file *file = &files->list[files->n++];
    *file = (struct passed_file){
        .filesystem = id->filesystem, .type = id->type, .length = id->handle.length};
    memcpy(file->handle, id->handle.data, id->handle.length);
    return file;
}

struct file_id passed_file_id(const struct passed_file *file)
{
    return (struct file_id){.filesystem = file->filesystem,
                            .type = file->type,
                            .handle = slice_of(file->handle, file->length)};
}
