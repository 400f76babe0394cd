/*
 * What the text of a host's name or address tells of where it is. Nothing is resolved: a name that
 * only looks like an address here ("127.0.0.1.example.org") is somebody else.
 */
#ifndef BASE_HOST_H
#define BASE_HOST_H

#include <stdbool.h>
#include <stddef.h>

/* This host itself: localhost, 127.0.0.0/8 in its dotted form, ::1 with or without brackets. */
bool host_is_loopback(const char *name, size_t length);

/* On this host's own link, which no router leaves (RFC 3927): 169.254.0.0/16 in its dotted form. */
bool host_is_link_local(const char *name, size_t length);

#endif
