// Mock of the compiler: its output is always the path of a library that the test compiled from the same source with
// the C compiler of the host. It does not test whether NVRTC accepts the source.
#include "mock.h"

enum { INVALID_PROGRAM = 4, INVALID_OPTION = 5 };

static char the_program;

static const char *code(void) {
    const char *path = getenv("VMIN_MOCK_KERNELS");
    return path ? path : "";
}

int nvrtcCreateProgram(void **program, const char *source, const char *name, int headers,
                       const char *const *texts, const char *const *names) {
    (void)name, (void)texts, (void)names;
    REFUSE_IF(headers != 0 || !strstr(source, "KERNEL(patches_back)"), INVALID_PROGRAM);
    *program = &the_program;
    return 0;
}
int nvrtcCompileProgram(void *program, int count, const char *const *options) {
    REFUSE_IF(program != &the_program, INVALID_PROGRAM);
    if (count > 0 && faulty("old compiler")) return INVALID_OPTION;
    REFUSE_IF(count > 1 || (count == 1 && strcmp(options[0], "--gpu-architecture=sm_90")), INVALID_OPTION);
    return 0;
}
int nvrtcGetCUBINSize(void *program, size_t *bytes) {
    REFUSE_IF(program != &the_program, INVALID_PROGRAM);
    *bytes = strlen(code()) + 1;
    return 0;
}
int nvrtcGetCUBIN(void *program, char *to) {
    REFUSE_IF(program != &the_program, INVALID_PROGRAM);
    strcpy(to, code());
    return 0;
}
int nvrtcGetPTXSize(void *program, size_t *bytes) { return nvrtcGetCUBINSize(program, bytes); }
int nvrtcGetPTX(void *program, char *to) { return nvrtcGetCUBIN(program, to); }
int nvrtcDestroyProgram(void **program) {
    REFUSE_IF(*program != &the_program, INVALID_PROGRAM);
    *program = NULL;
    return 0;
}
