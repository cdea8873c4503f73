// What Onda needs of ONNX Runtime's C API beyond what the binding offers: a whole run in
// one call from Go, run options with entries, an arena that shrinks, and loads that make way.
//
// The API is a table of functions whose order never changes: new ones are added at its
// end. So it is reached by position, which spares a header of 8,000 lines. TestSlots
// compares the positions with the header that comes with the binding.
#pragma once
#include <stddef.h>
#include <stdint.h>

// SLOT gives the function at a position of the table as a function of that type.
#define SLOT(api, name, result, ...) ((result(*)(__VA_ARGS__))(api)[SLOT_##name])

// The positions in the table.
enum {
  SLOT_CreateStatus = 0,
  SLOT_GetErrorCode = 1,
  SLOT_GetErrorMessage = 2,
  SLOT_CreateEnv = 3,
  SLOT_CreateSessionFromArray = 8,
  SLOT_Run = 9,
  SLOT_CreateRunOptions = 39,
  SLOT_RunOptionsSetTerminate = 46,
  SLOT_RunOptionsUnsetTerminate = 47,
  SLOT_CreateTensorAsOrtValue = 48,
  SLOT_CreateTensorWithDataAsOrtValue = 49,
  SLOT_GetTensorMutableData = 51,
  SLOT_GetStringTensorDataLength = 53,
  SLOT_GetStringTensorContent = 54,
  SLOT_GetTensorElementType = 60,
  SLOT_GetDimensionsCount = 61,
  SLOT_GetDimensions = 62,
  SLOT_GetTensorTypeAndShape = 65,
  SLOT_GetAllocatorWithDefaultOptions = 78,
  SLOT_ReleaseEnv = 92,
  SLOT_ReleaseStatus = 93,
  SLOT_ReleaseSession = 95,
  SLOT_ReleaseValue = 96,
  SLOT_ReleaseRunOptions = 97,
  SLOT_ReleaseTensorTypeAndShapeInfo = 99,
  SLOT_CreateAllocator = 131,
  SLOT_ReleaseAllocator = 132,
  SLOT_AddRunConfigEntry = 165,
  SLOT_SessionOptionsSetCustomCreateThreadFn = 196,
  SLOT_SessionOptionsSetCustomThreadCreationOptions = 197,
  SLOT_SessionOptionsSetCustomJoinThreadFn = 198,
  SLOT_GetResizedStringTensorElementBuffer = 252,
  SLOT_SessionOptionsSetLoadCancellationFlag = 293,
  SLOT_GetKeyValue = 297,
  SLOT_ReleaseKeyValuePairs = 300,
  SLOT_AllocatorGetStats = 319,
};

// onda_version is the version of the API that the positions are of.
enum { onda_version = 24 };

// onda_tensor is an input or an output of a call.
typedef struct {
  // The next two point at memory of Go's. They are numbers to Go: with a pointer, it
  // would look at what an earlier run has left in the field, to tell its collector.
  uintptr_t data;  // the elements; of strings, their text one after the other
  uintptr_t ends;  // size_t of an input of strings: where each of them ends in data
  size_t bytes;    // of data
  size_t count;    // of ends
  void *made;      // the elements of an output that the library made
  int64_t *dims;   // owned by the call, as are the next two
  size_t rank;
  size_t room;     // of dims
  int32_t type;    // of the elements; ONNX's number
  int32_t stale;   // not 0: the value of the last run does not fit
} onda_tensor;

// onda_call is what a run needs, kept for the next one. One run at a time may use it.
typedef struct {
  void *const *api;
  void *session;
  void *memory;
  void *options;
  char **names;  // inputs, then outputs; as are the next two
  onda_tensor *tensors;
  void **values;
  size_t inputs;
  size_t outputs;
  int bound;     // of a gentle run, as is the next
  void *status;
} onda_call;

// onda_open finds the API of the library at path, which is loaded already, and gives a
// handle to close. It gives NULL where there is none of the right version.
void *const *onda_open(const char *path, void **handle);
void onda_close(void *handle);

// A status is NULL for success; any other must be released.
const char *onda_message(void *const *api, void *status);
void onda_forget(void *const *api, void *status);

// onda_begin gives the library's environment, which onda_end lets go of: there is one, which
// counts its users.
void *onda_begin(void *const *api, void **environment);
void onda_end(void *const *api, void *environment);

// onda_load makes a session of a model's bytes, which onda_unload frees. With a patience, it
// works for so long on a thread of its own that runs when no other wants the processor, and
// then gives up; the session's threads are as those of any other. The options are good for
// this one call.
void *onda_load(void *const *api, void *environment, const void *model, size_t size, void *options, int64_t patience_ms, void **session);
// onda_gave_up says whether a status is that of a load that gave up.
int onda_gave_up(void *const *api, void *status);
void onda_unload(void *const *api, void *session);

// onda_new makes a call, to be freed also after a failure; onda_free takes NULL too.
void *onda_new(void *const *api, void *session, void *memory, char **names, size_t inputs, size_t outputs, onda_call **made);
void onda_free(onda_call *call);

// onda_room sees to it that a tensor can have so many dimensions; 0 if memory is short.
int onda_room(onda_tensor *t, size_t rank);

// onda_run runs the model. With bound, the outputs' data, dims and type are given, and the
// library writes into them. Without, they are the library's own and last until
// onda_release.
void *onda_run(onda_call *call, int bound);
// onda_run_gently is onda_run on a thread that gets little beside others; yielding, it gets
// next to nothing.
void *onda_run_gently(onda_call *call, int bound, int yielding);
void onda_release(onda_call *call);

// onda_text_size and onda_text read an output of strings: where each begins in into.
void *onda_text_size(onda_call *call, size_t output, size_t *bytes);
void *onda_text(onda_call *call, size_t output, void *into, size_t bytes, size_t *starts, size_t count);

// onda_stop ends the run under way before its next operator, and every later one at its
// start; onda_go_on takes it back.
void onda_stop(onda_call *call);
void onda_go_on(onda_call *call);

// onda_shrink makes each run of this call give the arena's unused memory back at its end.
void *onda_shrink(onda_call *call, const char *arenas);
// onda_heed makes the C library give each large block back as soon as it is freed.
void onda_heed(void);
// onda_trim hands what the C library's heap does not use back to the system.
void onda_trim(void);

// onda_heap is how many bytes of the C library's heap are in use; -1 if that cannot be told.
int64_t onda_heap(void);
// onda_arena reads what the arena of a session has taken from the heap now, and the most of
// it that was ever in use at once. Both are 0 of a session without an arena.
void *onda_arena(void *const *api, void *session, void *memory, int64_t *taken, int64_t *most);
