/* room.h - descriptors and threads that ZeroMQ will need, tried before it takes them */
#ifndef MSCOPE_CLIENT_ROOM_H
#define MSCOPE_CLIENT_ROOM_H

#include "mscope/err.h"

/* mscope_room_check - libzmq aborts the process when it gets no descriptor or no thread; so they are tried first
 * sockets: how many will be made in one context
 * Errors   MSCOPE_EIO, and mscope_client_fault tells what there was too little of                              */
MSCOPE_MUST_CHECK int mscope_room_check(unsigned sockets);

#endif
