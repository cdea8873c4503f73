#define _GNU_SOURCE
#include "capi.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#ifdef __linux__
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

// Loading a model takes a core for as long as it takes, and requests that are answered
// meanwhile would share it. So a gentle load runs on a thread that makes way for all others.
// Linux lets a thread lower its priority, but not raise it again, and the threads that it
// makes inherit it: so that thread ends with the load, no Go code runs on it, which could
// hold up the collector, and the session's own threads are made by the thread that waits.
//
// Where all processors are busy for long, a thread that makes way for all others gets next to
// nothing. So a gentle load has a time, after which it is given up, to be done the usual way.

// What a thread may have of the processor beside others.
enum way { LITTLE, NEARLY_NOTHING };

// make_way lowers the priority of the calling thread. A failure leaves it as it was.
static void make_way(enum way way) {
#ifdef __linux__
  // In Linux, priorities are a thread's. This one gets a tenth beside one other thread.
  (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
  struct sched_param none = {0};
  if (way == NEARLY_NOTHING) (void)sched_setscheduler(0, SCHED_IDLE, &none);
#else
  (void)way;
#endif
}

static void *run_gently(void *of) {
  onda_call *c = of;
  make_way(LITTLE);
  c->status = onda_run(c, c->bound);
  return NULL;
}

static void *run_yielding(void *of) {
  onda_call *c = of;
  make_way(NEARLY_NOTHING);
  c->status = onda_run(c, c->bound);
  return NULL;
}

void *onda_run_gently(onda_call *c, int bound, int yielding) {
  pthread_t thread;
  c->bound = bound;
  if (pthread_create(&thread, NULL, yielding ? run_yielding : run_gently, c)) return onda_run(c, bound);
  pthread_join(thread, NULL);
  return c->status;
}

void *onda_begin(void *const *api, void **environment) {
  return SLOT(api, CreateEnv, void *, int, const char *, void **)(4, "onda", environment);
}

void onda_end(void *const *api, void *environment) { SLOT(api, ReleaseEnv, void, void *)(environment); }

int onda_gave_up(void *const *api, void *status) {
  enum { model_load_canceled = 12 };
  return SLOT(api, GetErrorCode, int, const void *)(status) == model_load_canceled;
}

void onda_unload(void *const *api, void *session) { SLOT(api, ReleaseSession, void, void *)(session); }

// work is what a thread of the library's is to do.
typedef struct {
  void (*run)(void *);
  void *with;
  pthread_t thread;
} work;

// load is a load under way, shared by the thread that does it and the one that waits.
typedef struct {
  void *const *api;
  void *environment;
  const void *model;
  size_t size;
  void *options;
  void *session;
  void *status;

  pthread_mutex_t mutex;
  pthread_cond_t changed;
  work *asked;  // a thread to make; NULL once it is made, or cannot be
  int refused;  // the last one could not be made
  int done;
} load;

static void *run_work(void *w) {
  ((work *)w)->run(((work *)w)->with);
  return NULL;
}

// ask_for_thread is called by the library, on the thread that loads.
static void *ask_for_thread(void *of, void (*run)(void *), void *with) {
  load *l = of;
  work *w = malloc(sizeof *w);
  if (!w) return NULL;
  *w = (work){.run = run, .with = with};
  pthread_mutex_lock(&l->mutex);
  l->asked = w;
  pthread_cond_broadcast(&l->changed);
  while (l->asked) pthread_cond_wait(&l->changed, &l->mutex);
  int refused = l->refused;
  pthread_mutex_unlock(&l->mutex);
  if (!refused) return w;
  free(w);
  return NULL;
}

// join_thread is called by the library as a session ends.
static void join_thread(void *w) {
  pthread_join(((work *)w)->thread, NULL);
  free(w);
}

static void *create(load *l) {
  return SLOT(l->api, CreateSessionFromArray, void *, const void *, const void *, size_t, const void *, void **)(
      l->environment, l->model, l->size, l->options, &l->session);
}

static void *run_load(void *of) {
  load *l = of;
  make_way(NEARLY_NOTHING);
  void *status = create(l);
  pthread_mutex_lock(&l->mutex);
  l->status = status;
  l->done = 1;
  pthread_cond_broadcast(&l->changed);
  pthread_mutex_unlock(&l->mutex);
  return NULL;
}

// attend waits for the load, and makes the threads that it asks for. After a time, it tells
// the library to give up.
static void attend(load *l, int64_t patience_ms) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += patience_ms / 1000;
  until.tv_nsec += patience_ms % 1000 * 1000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  int late = 0;
  pthread_mutex_lock(&l->mutex);
  while (!l->done) {
    if (l->asked) {
      l->refused = pthread_create(&l->asked->thread, NULL, run_work, l->asked);
      l->asked = NULL;
      pthread_cond_broadcast(&l->changed);
    }
    if (late) {
      pthread_cond_wait(&l->changed, &l->mutex);
    } else if (pthread_cond_timedwait(&l->changed, &l->mutex, &until) == ETIMEDOUT) {
      late = 1;
      void *status = SLOT(l->api, SessionOptionsSetLoadCancellationFlag, void *, void *, int)(l->options, 1);
      if (status) onda_forget(l->api, status);
    }
  }
  pthread_mutex_unlock(&l->mutex);
}

// adopt has the session's threads made by the one that waits.
static void *adopt(load *l) {
  void *status = SLOT(l->api, SessionOptionsSetCustomCreateThreadFn, void *, void *, void *)(l->options, (void *)ask_for_thread);
  if (!status) status = SLOT(l->api, SessionOptionsSetCustomThreadCreationOptions, void *, void *, void *)(l->options, l);
  if (!status) status = SLOT(l->api, SessionOptionsSetCustomJoinThreadFn, void *, void *, void *)(l->options, (void *)join_thread);
  return status;
}

void *onda_load(void *const *api, void *environment, const void *model, size_t size, void *options, int64_t patience_ms, void **session) {
  load l = {.api = api, .environment = environment, .model = model, .size = size, .options = options};
  pthread_mutex_init(&l.mutex, NULL);
  pthread_cond_init(&l.changed, NULL);
  pthread_t thread;
  if (patience_ms > 0) l.status = adopt(&l);
  if (!l.status && patience_ms > 0 && pthread_create(&thread, NULL, run_load, &l) == 0) {
    attend(&l, patience_ms);
    pthread_join(thread, NULL);
  } else if (!l.status) {
    l.status = create(&l);
  }
  pthread_cond_destroy(&l.changed);
  pthread_mutex_destroy(&l.mutex);
  *session = l.session;
  return l.status;
}
