#include "restore/build_queue.h"

void build_group_add(struct build_group *group, struct build *build)
{
    build->group = group;
    build->next = group->waiting;
    group->waiting = build;
}

static struct build **end_of(struct build **list)
{
    while (*list != NULL) {
        list = &(*list)->next;
    }
    return list;
}

void build_group_join(struct build_group *group, struct build_group *from)
{
    *end_of(&from->waiting) = group->waiting;
    group->waiting = from->waiting;
    from->waiting = NULL;
}

uint64_t build_queue_release(struct build_queue *queue, struct build_group *group)
{
    struct build *list = group->waiting;
    struct build **at = &queue->first;
    uint64_t work = 0;

    if (list == NULL) {
        return 0;
    }
    for (const struct build *build = list; build != NULL; build = build->next) {
        work += build->work;
    }
    while (*at != NULL && (*at)->work >= list->work) {
        at = &(*at)->next;
    }
    *end_of(&group->waiting) = *at;
    *at = list;
    group->waiting = NULL;
    return work;
}

static bool is_kept_waiting(const struct build *build)
{
    const struct build_group *group = build->group;

    return group->has_exclusive || (build->is_exclusive && group->in_work > 0);
}

struct build *build_queue_take(struct build_queue *queue)
{
    struct build **at = &queue->first;

    while (*at != NULL && is_kept_waiting(*at)) {
        at = &(*at)->next;
    }
    struct build *build = *at;
    if (build != NULL) {
        *at = build->next;
        build->group->in_work++;
        build->group->has_exclusive = build->is_exclusive;
    }
    return build;
}

void build_queue_end(struct build *build)
{
    build->group->in_work--;
    build->group->has_exclusive = false;
}
