// What the stand-ins for CUDA's libraries share.
//
// They compute at once and on the processor, and refuse calls that cannot be right: objects that were not made,
// sizes that do not fit each other, pointers to less memory than the sizes say. So they show that this project
// makes its calls in an order, with sizes and with pointers that make sense. They show nothing of what NVIDIA's
// libraries do: neither that those take these calls, nor what they give, nor when they are done.

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Whether the test asked for this fault.
static inline int faulty(const char *fault) {
    const char *asked = getenv("VMIN_STAND_IN_FAULT");
    return asked && !strcmp(asked, fault);
}

// Gives a status, having told what is wrong, if it is.
#define REFUSE_IF(wrong, status)                                                                   \
    do {                                                                                           \
        if (wrong) {                                                                               \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #wrong);                            \
            return status;                                                                         \
        }                                                                                          \
    } while (0)

// Whether that many bytes from there on lie in one live buffer of the driver's stand-in.
static inline int held(const void *at, size_t bytes) {
    typedef int (*Holds)(const void *, size_t);
    void *driver = dlopen("libcuda.so", RTLD_NOW | RTLD_NOLOAD);
    Holds holds = driver ? (Holds)dlsym(driver, "stand_in_holds") : NULL;
    return holds && holds(at, bytes);
}
