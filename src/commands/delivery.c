#include "commands/delivery.h"

#include "notify/outbox.h"

bool delivery_run(struct context *context, size_t *unsent, struct error *err)
{
    struct session *session = NULL;
    struct round_report report = {0};
    bool ok = context_connect(context, &session, err) &&
              outbox_deliver(session, &context->settings, false, &report, err);

    session_close(session);
    *unsent = ok ? report.waiting + report.failed : 0;
    return ok;
}
