// Common part of the mocks of CUDA's libraries.
//
// The mocks compute at once and on the processor, and refuse impossible calls: objects that were never created, sizes
// that do not fit each other, pointers to less memory than the sizes need. So they test the order, the sizes and the
// pointers of this project's calls. They say nothing about NVIDIA's libraries: neither whether those accept the calls,
// nor their results, nor when those are ready.

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Whether the test injects this fault.
static inline int faulty(const char *fault) {
    const char *asked = getenv("VMIN_MOCK_FAULT");
    return asked && !strcmp(asked, fault);
}

// Prints the condition and returns the status if the condition holds.
#define REFUSE_IF(wrong, status)                                                                   \
    do {                                                                                           \
        if (wrong) {                                                                               \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #wrong);                            \
            return status;                                                                         \
        }                                                                                          \
    } while (0)

// Whether these bytes lie within one live buffer of the mock driver.
static inline int held(const void *at, size_t bytes) {
    typedef int (*Holds)(const void *, size_t);
    void *driver = dlopen("libcuda.so", RTLD_NOW | RTLD_NOLOAD);
    Holds holds = driver ? (Holds)dlsym(driver, "mock_holds") : NULL;
    return holds && holds(at, bytes);
}
