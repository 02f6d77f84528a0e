// Mock of the driver: one GPU with the memory of this process, whose streams execute every call at once. Its machine
// code is the path of a library with the kernels compiled as C (`nvrtc.c`).
#include "mock.h"

#ifndef GPU
#define GPU "mock"
#endif

enum { INVALID_VALUE = 1, INVALID_IMAGE = 200, INVALID_CONTEXT = 201, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700 };

typedef unsigned long long Address;

// Bytes before and after every buffer, all NaN: reading them gives NaN, and overwriting them is detected.
#define GUARD 256

typedef struct Buffer {
    struct Buffer *next;
    size_t bytes;
    unsigned char before[GUARD], values[];
} Buffer;

// Used by one thread at a time.
static Buffer *buffers;

static Buffer *holding(const void *at, size_t bytes) {
    for (Buffer *b = buffers; b; b = b->next) {
        const unsigned char *from = at;
        if (from >= b->values && from + bytes <= b->values + b->bytes) return b;
    }
    return NULL;
}

// For the other mocks.
int mock_holds(const void *at, size_t bytes) { return holding(at, bytes) != NULL; }

static void *pointer(Address at) { return (void *)(uintptr_t)at; }

static void check_guards(const Buffer *b) {
    for (int i = 0; i < GUARD; i++) {
        if (b->before[i] == 0xff && b->values[b->bytes + i] == 0xff) continue;
        fprintf(stderr, "%s: a kernel wrote beyond a buffer of %zu bytes\n", __FILE__, b->bytes);
        abort();
    }
}

// The device and its context.

static char the_context;
static _Thread_local void *current;

#define REFUSE_WITHOUT_CONTEXT REFUSE_IF(current != &the_context, INVALID_CONTEXT)

int cuInit(unsigned flags) {
    (void)flags;
    return 0;
}
int cuDriverGetVersion(int *version) {
    *version = faulty("old driver") ? 11080 : 12080;
    return 0;
}
int cuDeviceGet(int *device, int ordinal) {
    REFUSE_IF(ordinal != 0, INVALID_VALUE);
    *device = 0;
    return 0;
}
int cuDeviceGetName(char *name, int bytes, int device) {
    (void)device;
    snprintf(name, (size_t)bytes, "%s", GPU);
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    enum { MAJOR = 75, MINOR = 76, MEMORY_POOLS = 115 };
    REFUSE_IF(attribute != MAJOR && attribute != MINOR && attribute != MEMORY_POOLS, INVALID_VALUE);
    *value = attribute == MAJOR ? 9 : attribute == MINOR ? 0 : !faulty("no pools");
    return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
    (void)device;
    *context = &the_context;
    return 0;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
    (void)device;
    return 0;
}
int cuCtxSetCurrent(void *context) {
    current = context;
    return 0;
}
int cuCtxGetCurrent(void **context) {
    *context = current;
    return 0;
}
int cuCtxSynchronize(void) { return faulty("cuDNN breaks the device") ? ILLEGAL_ADDRESS : 0; }
int cuGetErrorName(int error, const char **name) {
    (void)error;
    *name = "an error of the mock";
    return 0;
}
int cuGetErrorString(int error, const char **text) { return cuGetErrorName(error, text); }

// Memory.

int cuDeviceGetDefaultMemPool(void **pool, int device) {
    (void)device;
    *pool = &the_context;
    return 0;
}
int cuMemPoolSetAttribute(void *pool, int attribute, void *value) {
    (void)attribute;
    REFUSE_IF(pool != &the_context || *(uint64_t *)value != UINT64_MAX, INVALID_VALUE);
    return 0;
}
int cuMemAlloc_v2(Address *at, size_t bytes) {
    REFUSE_WITHOUT_CONTEXT;
    REFUSE_IF(bytes == 0, INVALID_VALUE);
    Buffer *b = malloc(sizeof(Buffer) + bytes + GUARD);
    memset(b, 0xff, sizeof(Buffer) + bytes + GUARD);
    b->bytes = bytes;
    b->next = buffers;
    buffers = b;
    *at = (Address)(uintptr_t)b->values;
    return 0;
}
int cuMemAllocAsync(Address *at, size_t bytes, void *stream) {
    (void)stream;
    return cuMemAlloc_v2(at, bytes);
}
int cuMemFree_v2(Address at) {
    for (Buffer **b = &buffers; *b; b = &(*b)->next) {
        if ((*b)->values != pointer(at)) continue;
        Buffer *freed = *b;
        check_guards(freed);
        *b = freed->next;
        free(freed);
        return 0;
    }
    REFUSE_IF("no such buffer", INVALID_VALUE);
    return 0;
}
int cuMemFreeAsync(Address at, void *stream) {
    (void)stream;
    return cuMemFree_v2(at);
}
int cuMemsetD8Async(Address at, unsigned char byte, size_t bytes, void *stream) {
    (void)stream;
    REFUSE_WITHOUT_CONTEXT;
    REFUSE_IF(!holding(pointer(at), bytes), INVALID_VALUE);
    memset(pointer(at), byte, bytes);
    return 0;
}
int cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, void *stream) {
    (void)stream;
    REFUSE_WITHOUT_CONTEXT;
    REFUSE_IF(!holding(pointer(to), bytes), INVALID_VALUE);
    memcpy(pointer(to), from, bytes);
    return 0;
}
int cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, void *stream) {
    (void)stream;
    REFUSE_WITHOUT_CONTEXT;
    REFUSE_IF(!holding(pointer(from), bytes), INVALID_VALUE);
    memcpy(to, pointer(from), bytes);
    return 0;
}

// Streams and events.

int cuStreamSynchronize(void *stream) {
    (void)stream;
    return 0;
}
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
    (void)stream, (void)event, (void)flags;
    return 0;
}
int cuEventCreate(void **event, unsigned flags) {
    (void)flags;
    *event = &the_context;
    return 0;
}
int cuEventRecord(void *event, void *stream) {
    (void)event, (void)stream;
    return 0;
}
int cuEventDestroy_v2(void *event) {
    (void)event;
    return 0;
}

// Kernels.

int cuModuleLoadData(void **module, const void *code) {
    REFUSE_WITHOUT_CONTEXT;
    *module = dlopen(code, RTLD_NOW);
    REFUSE_IF(!*module, INVALID_IMAGE);
    return 0;
}
int cuModuleUnload(void *module) {
    (void)module;
    return 0;
}

// A kernel and the function that runs all its threads, both from the compiled library.
typedef struct {
    void *body;
    void (*run)(void *body, long long threads, long long launched, float *, const float *, const float *,
                const float *, double *, const void *sizes);
} Function;

int cuModuleGetFunction(void **function, void *module, const char *name) {
    Function *f = malloc(sizeof(Function));
    f->body = dlsym(module, name);
    *(void **)&f->run = dlsym(module, "run");
    *function = f;
    REFUSE_IF(!f->body || !f->run, NOT_FOUND);
    return 0;
}
int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned block_x, unsigned block_y,
                   unsigned block_z, unsigned shared, void *stream, void **arguments, void **extra) {
    (void)stream;
    REFUSE_WITHOUT_CONTEXT;
    REFUSE_IF(x == 0 || y != 1 || z != 1 || block_y != 1 || block_z != 1 || shared || extra, INVALID_VALUE);
    REFUSE_IF(block_x == 0 || block_x > 1024, INVALID_VALUE);
    long long threads = *(long long *)arguments[0], launched = (long long)x * block_x;
    REFUSE_IF(threads < 0 || threads > launched, INVALID_VALUE);
    void *values[5];
    for (int i = 0; i < 5; i++) {
        values[i] = *(void **)arguments[1 + i];
        REFUSE_IF(values[i] && !holding(values[i], 1), INVALID_VALUE);
    }
    const Function *f = function;
    f->run(f->body, threads, launched, values[0], values[1], values[2], values[3], values[4], arguments[6]);
    for (int i = 0; i < 5; i++) {
        if (values[i]) check_guards(holding(values[i], 1));
    }
    return 0;
}
