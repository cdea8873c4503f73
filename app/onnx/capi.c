#include "capi.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

// The number of the element type of strings.
enum { type_string = 8 };

void *const *onda_open(const char *path, void **handle) {
  struct base {
    void *const *(*get)(uint32_t version);
    const char *(*version)(void);
  };
  *handle = dlopen(path, RTLD_LAZY);
  if (!*handle) return NULL;
  const struct base *(*find)(void) = (const struct base *(*)(void))dlsym(*handle, "OrtGetApiBase");
  void *const *api = find ? find()->get(onda_version) : NULL;
  if (!api) dlclose(*handle);
  return api;
}

void onda_close(void *handle) { dlclose(handle); }

const char *onda_message(void *const *api, void *status) {
  return SLOT(api, GetErrorMessage, const char *, const void *)(status);
}

void onda_forget(void *const *api, void *status) { SLOT(api, ReleaseStatus, void, void *)(status); }

static void *no_memory(void *const *api) {
  return SLOT(api, CreateStatus, void *, int, const char *)(1, "out of memory");
}

void *onda_new(void *const *api, void *session, void *memory, char **names, size_t inputs, size_t outputs, onda_call **made) {
  size_t all = inputs + outputs;
  onda_call *c = calloc(1, sizeof *c + all * (sizeof *c->tensors + sizeof *c->values));
  *made = c;
  if (!c) return no_memory(api);
  c->api = api;
  c->session = session;
  c->memory = memory;
  c->names = names;
  c->inputs = inputs;
  c->outputs = outputs;
  c->tensors = (onda_tensor *)(c + 1);
  c->values = (void **)(c->tensors + all);
  return SLOT(api, CreateRunOptions, void *, void **)(&c->options);
}

static void drop_value(onda_call *c, size_t i) {
  if (c->values[i]) SLOT(c->api, ReleaseValue, void, void *)(c->values[i]);
  c->values[i] = NULL;
}

void onda_free(onda_call *c) {
  if (!c) return;
  for (size_t i = 0; i < c->inputs + c->outputs; i++) {
    drop_value(c, i);
    free(c->tensors[i].dims);
  }
  if (c->options) SLOT(c->api, ReleaseRunOptions, void, void *)(c->options);
  free(c);
}

int onda_room(onda_tensor *t, size_t rank) {
  if (rank <= t->room) return 1;
  int64_t *dims = realloc(t->dims, rank * sizeof *dims);
  if (!dims) return 0;
  t->dims = dims;
  t->room = rank;
  return 1;
}

// make_text makes a tensor of strings. It cannot view memory of Go's: its elements are
// objects of C++.
static void *make_text(onda_call *c, size_t i) {
  onda_tensor *t = &c->tensors[i];
  void *allocator = NULL;
  void *status = SLOT(c->api, GetAllocatorWithDefaultOptions, void *, void **)(&allocator);
  if (status) return status;
  status = SLOT(c->api, CreateTensorAsOrtValue, void *, void *, const int64_t *, size_t, int, void **)(
      allocator, t->dims, t->rank, type_string, &c->values[i]);
  const char *text = (const char *)t->data;
  const size_t *ends = (const size_t *)t->ends;
  size_t start = 0;
  for (size_t k = 0; k < t->count && !status; k++) {
    size_t bytes = ends[k] - start;
    char *into = NULL;
    status = SLOT(c->api, GetResizedStringTensorElementBuffer, void *, void *, size_t, size_t, char **)(
        c->values[i], k, bytes, &into);
    if (!status && bytes) memcpy(into, text + start, bytes);
    start = ends[k];
  }
  return status;
}

// bind makes the value of an input, or of an output whose memory is given. The value of
// the last run is a view of the same memory unless the tensor is stale.
static void *bind(onda_call *c, size_t i) {
  onda_tensor *t = &c->tensors[i];
  if (c->values[i] && !t->stale) return NULL;
  drop_value(c, i);
  t->stale = 1;  // until there is a whole one
  void *status;
  if (t->type == type_string) return make_text(c, i);
  status = SLOT(c->api, CreateTensorWithDataAsOrtValue, void *, void *, void *, size_t, const int64_t *, size_t, int, void **)(
      c->memory, (void *)t->data, t->bytes, t->dims, t->rank, t->type, &c->values[i]);
  t->stale = status != NULL;
  return status;
}

// read_output says what the library made for an output.
static void *read_output(onda_call *c, size_t i) {
  onda_tensor *t = &c->tensors[i];
  void *info = NULL;
  size_t rank = 0;
  int type = 0;
  void *status = SLOT(c->api, GetTensorTypeAndShape, void *, const void *, void **)(c->values[i], &info);
  if (status) return status;
  status = SLOT(c->api, GetDimensionsCount, void *, const void *, size_t *)(info, &rank);
  if (!status && !onda_room(t, rank)) status = no_memory(c->api);
  t->rank = rank;
  if (!status && rank) status = SLOT(c->api, GetDimensions, void *, const void *, int64_t *, size_t)(info, t->dims, rank);
  if (!status) status = SLOT(c->api, GetTensorElementType, void *, const void *, int *)(info, &type);
  t->type = type;
  SLOT(c->api, ReleaseTensorTypeAndShapeInfo, void, void *)(info);
  if (status || type == type_string) return status;
  return SLOT(c->api, GetTensorMutableData, void *, void *, void **)(c->values[i], &t->made);
}

void *onda_run(onda_call *c, int bound) {
  size_t all = c->inputs + c->outputs, given = bound ? all : c->inputs;
  void *status = NULL;
  if (!bound) onda_release(c);
  for (size_t i = 0; i < given && !status; i++) status = bind(c, i);
  if (!status) {
    status = SLOT(c->api, Run, void *, void *, const void *, char **, void **, size_t, char **, size_t, void **)(
        c->session, c->options, c->names, c->values, c->inputs, c->names + c->inputs, c->outputs, c->values + c->inputs);
  }
  for (size_t i = c->inputs; i < all && !status && !bound; i++) status = read_output(c, i);
  // Views of Go's memory cost nothing to keep; copies of strings do.
  for (size_t i = 0; i < c->inputs; i++) {
    if (c->tensors[i].type == type_string) drop_value(c, i);
  }
  if (status) onda_release(c);
  return status;
}

void onda_release(onda_call *c) {
  for (size_t i = c->inputs; i < c->inputs + c->outputs; i++) drop_value(c, i);
}

void *onda_text_size(onda_call *c, size_t output, size_t *bytes) {
  return SLOT(c->api, GetStringTensorDataLength, void *, const void *, size_t *)(c->values[c->inputs + output], bytes);
}

void *onda_text(onda_call *c, size_t output, void *into, size_t bytes, size_t *starts, size_t count) {
  return SLOT(c->api, GetStringTensorContent, void *, const void *, void *, size_t, size_t *, size_t)(
      c->values[c->inputs + output], into, bytes, starts, count);
}

// Both only set a flag; they fail for a NULL alone.
void onda_stop(onda_call *c) { (void)SLOT(c->api, RunOptionsSetTerminate, void *, void *)(c->options); }
void onda_go_on(onda_call *c) { (void)SLOT(c->api, RunOptionsUnsetTerminate, void *, void *)(c->options); }

void *onda_shrink(onda_call *c, const char *arenas) {
  return SLOT(c->api, AddRunConfigEntry, void *, void *, const char *, const char *)(
      c->options, "memory.enable_memory_arena_shrinkage", arenas);
}

void onda_heed(void) {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

void onda_trim(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

int64_t onda_heap(void) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
  struct mallinfo2 all = mallinfo2();
  return (int64_t)(all.uordblks + all.hblkhd);
#else
  return -1;
#endif
}

void *onda_arena(void *const *api, void *session, void *memory, int64_t *taken, int64_t *most) {
  void *allocator = NULL, *stats = NULL;
  void *status = SLOT(api, CreateAllocator, void *, const void *, const void *, void **)(session, memory, &allocator);
  if (status) return status;
  status = SLOT(api, AllocatorGetStats, void *, const void *, void **)(allocator, &stats);
  if (!status) {
    const char *now = SLOT(api, GetKeyValue, const char *, const void *, const char *)(stats, "TotalAllocated");
    const char *ever = SLOT(api, GetKeyValue, const char *, const void *, const char *)(stats, "MaxInUse");
    *taken = now ? strtoll(now, NULL, 10) : 0;
    *most = ever ? strtoll(ever, NULL, 10) : 0;
    SLOT(api, ReleaseKeyValuePairs, void, void *)(stats);
  }
  SLOT(api, ReleaseAllocator, void, void *)(allocator);
  return status;
}
