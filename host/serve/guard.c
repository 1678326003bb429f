/* guard.c - see guard.h */
#include "guard.h"

#include <string.h>
#include <strings.h>

#include <arpa/inet.h>

enum { NAME_MAX_HERE = 255 };

/* The name of "name:port" or "[v6]:port" into out; 0 where it is none. */
static int name_of(const char *host, char out[NAME_MAX_HERE + 1])
{
    const char *end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
    size_t len;

    if (host[0] == '[' && end == NULL)
        return 0;
    if (host[0] == '[')
        host++;
    len = end != NULL ? (size_t)(end - host) : strlen(host);
    if (end != NULL && *end == ']')
        end++;
    if (len == 0 || len > NAME_MAX_HERE)
        return 0;
    if (end != NULL && *end != '\0' &&
        (*end != ':' || end[1 + strspn(end + 1, "0123456789")] != '\0' || strlen(end) > 6))
        return 0;
    memcpy(out, host, len);
    out[len] = '\0';
    return 1;
}

int mscope_guard_loopback(const char *address)
{
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, address, &four) == 1)
        return (ntohl(four.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

int mscope_guard_host(const char *host, const mscope_texts *names)
{
    char name[NAME_MAX_HERE + 1];

    if (host == NULL || !name_of(host, name))
        return 0;
    if (strcasecmp(name, "localhost") == 0 || mscope_guard_loopback(name))
        return 1;
    for (size_t i = 0; i < names->n; i++)
        if (strcasecmp(name, names->at[i]) == 0)
            return 1;
    return 0;
}
