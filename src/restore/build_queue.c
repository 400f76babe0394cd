#include "restore/build_queue.h"

void build_list_put(struct build **list, struct build *build)
{
    build->next = *list;
    *list = build;
}

static struct build **end_of(struct build **list)
{
    while (*list != NULL) {
        list = &(*list)->next;
    }
    return list;
}

void build_list_join(struct build **list, struct build **from)
{
    *end_of(from) = *list;
    *list = *from;
    *from = NULL;
}

uint64_t build_queue_release(struct build_queue *queue, struct build **list)
{
    struct build **at = &queue->first;
    uint64_t work = 0;

    for (const struct build *build = *list; build != NULL; build = build->next) {
        work += build->work;
    }
    while (*list != NULL && *at != NULL && (*at)->work >= (*list)->work) {
        at = &(*at)->next;
    }
    build_list_join(at, list);
    return work;
}

static bool is_kept_waiting(const struct build *build)
{
    const struct build_group *group = build->group;

    return group != NULL && (group->has_exclusive || (build->is_exclusive && group->in_work > 0));
}

struct build *build_queue_take(struct build_queue *queue)
{
    struct build **at = &queue->first;

    while (*at != NULL && is_kept_waiting(*at)) {
        at = &(*at)->next;
    }
    struct build *build = *at;
    if (build == NULL) {
        return NULL;
    }
    *at = build->next;
    if (build->group != NULL) {
        build->group->in_work++;
        build->group->has_exclusive = build->is_exclusive;
    }
    return build;
}

void build_queue_end(struct build *build)
{
    if (build->group != NULL) {
        build->group->in_work--;
        build->group->has_exclusive = false;
    }
}
