/* connections.c - see connections.h */
#include "connections.h"

#include <stddef.h>

#include <sys/socket.h>

#include "common/clock.h"

void mscope_connections_init(mscope_connections *c)
{
    (void)pthread_mutex_init(&c->lock, NULL);
    for (int i = 0; i < MSCOPE_CONNECTIONS_MAX; i++)
        c->at[i] = (struct mscope_connection){ .fd = -1 };
}

struct mscope_connection *mscope_connections_came(mscope_connections *c, int fd, double within_s)
{
    struct mscope_connection *one = NULL;

    (void)pthread_mutex_lock(&c->lock);
    for (int i = 0; one == NULL && i < MSCOPE_CONNECTIONS_MAX; i++)
        if (c->at[i].fd < 0)
            one = &c->at[i];
    if (one != NULL)
        *one = (struct mscope_connection){ .fd = fd, .deadline = mscope_monotonic_s() + within_s };
    (void)pthread_mutex_unlock(&c->lock);
    return one;
}

void mscope_connections_allow(mscope_connections *c, struct mscope_connection *one, double within_s)
{
    if (one == NULL)
        return;
    (void)pthread_mutex_lock(&c->lock);
    one->deadline = within_s > 0 ? mscope_monotonic_s() + within_s : 0;
    (void)pthread_mutex_unlock(&c->lock);
}

void mscope_connections_left(mscope_connections *c, struct mscope_connection *one)
{
    if (one == NULL)
        return;
    (void)pthread_mutex_lock(&c->lock);
    one->fd = -1;
    (void)pthread_mutex_unlock(&c->lock);
}

void mscope_connections_reap(mscope_connections *c)
{
    const double now = mscope_monotonic_s();

    (void)pthread_mutex_lock(&c->lock);
    for (int i = 0; i < MSCOPE_CONNECTIONS_MAX; i++)
        if (c->at[i].fd >= 0 && c->at[i].deadline > 0 && c->at[i].deadline < now) {
            (void)shutdown(c->at[i].fd, SHUT_RDWR);
            c->at[i].deadline = 0;
        }
    (void)pthread_mutex_unlock(&c->lock);
}
