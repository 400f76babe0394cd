#include "backup/export.h"

#include <string.h>
#include <unistd.h>

#include "backup/output_file.h"
#include "backup/progress.h"
#include "dump/dump.h"

struct exporting {
    const struct export_request *request;
    struct stream_digest *written;
};

static bool produce(void *context, struct stage *out, struct error *err)
{
    const struct exporting *exporting = context;
    const struct export_request *request = exporting->request;
    struct progress progress;
    struct dump_options dump = {
        .session = request->session,
        .settings = request->settings,
        .compression = request->compression,
        .scope = request->scope,
        .restrict_key = request->restrict_key,
        .progress = progress_update,
        .progress_context = &progress,
    };
    struct dump_result result = DUMP_RESULT_INIT;
    struct stage *stream = digest_stage_new(exporting->written, stage_borrow_new(out, err), err);

    if (stream == NULL) {
        return false;
    }
    progress_begin(&progress, "Dumping", 0, request->show_progress);
    bool ok = dump_run(&dump, stream, &result, err) && stage_finish(stream, err);
    progress_end(&progress);
    dump_result_clear(&result);
    stage_free(stream);
    return ok;
}

bool export_run(const struct export_request *request, struct stream_digest *written,
                struct error *err)
{
    struct exporting exporting = {.request = request, .written = written};
    const struct output_file file = {
        .path = request->path,
        .stall_ms = settings_get_number(request->settings, SETTING_STALL_TIMEOUT) * 1000,
        .produce = produce,
        .context = &exporting,
    };

    if (strcmp(request->path, "-") == 0 && isatty(STDOUT_FILENO) == 1 &&
        request->compression.method != COMPRESSION_NONE) {
        error_set(err, ERROR_USAGE, "a compressed dump is not written to a terminal");
        return error_hint(err, "redirect the output, or give --compression none");
    }
    return output_file_write(&file, err);
}
