/* past.h - what a daemon published before anybody listened, in the order in which it happened
 *
 * Replay gives one topic after the other. A story needs what belongs to one step together, bands before their table. */
#ifndef MSCOPE_SERVE_PAST_H
#define MSCOPE_SERVE_PAST_H

#include <pthread.h>

#include "monitor/feed.h"
#include "story.h"

enum { MSCOPE_PAST_MOST = 40000 };           /* records that are sorted; more are taken as they come               */

/* mscope_past_take - wait until the feed is quiet, at most for_s, and fold all that came into the story, by steps
 *
 * The records have no time: their points have at = 0. Changes of words are told by what story->untold says.
 * Shape    lock: held while the story is changed; NULL: nobody else looks at it
 * Errors   MSCOPE_ENOMEM                                                                                          */
MSCOPE_MUST_CHECK int mscope_past_take(mscope_feed *feed, mscope_story *s, pthread_mutex_t *lock, double for_s,
                                       double now);

#endif
