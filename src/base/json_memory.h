/*
 * jansson when memory runs out. It overlooks some failures: a key is left out of what it writes, a
 * character of what it reads (akheron/jansson, issues 655 and 362). So its allocations are watched.
 */
#ifndef BASE_JSON_MEMORY_H
#define BASE_JSON_MEMORY_H

/* Before anything else of jansson is called. */
void json_memory_watch(void);

/* How often it was refused memory in this thread. When the number has grown over a call, the
 * result of that call is worth nothing, whatever it says. */
unsigned json_memory_refusals(void);

#endif
