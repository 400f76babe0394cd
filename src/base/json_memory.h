/*
 * jansson when memory runs out. It overlooks some failures: a key is left out of what it writes, a
 * character of what it reads (akheron/jansson, issues 655 and 362), and where that was a part of an
 * escape, an assertion of its own ends the process. So its allocations are watched, and the first
 * that are refused are met from a reserve, so that the call comes to its end.
 */
#ifndef BASE_JSON_MEMORY_H
#define BASE_JSON_MEMORY_H

/* Before anything else of jansson is called. */
void json_memory_watch(void);

/* How often it was refused memory in this thread. When the number has grown over a call, the
 * result of that call is worth nothing, whatever it says. */
unsigned json_memory_refusals(void);

#endif
