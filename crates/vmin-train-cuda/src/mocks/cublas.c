// Mock of cuBLAS: matrix products by three loops, columns one after the other.
#include "mock.h"

enum { NOT_INITIALIZED = 1, INVALID_VALUE = 7 };

static char the_handle;
static int has_stream;

int cublasCreate_v2(void **handle) {
    *handle = &the_handle;
    return 0;
}
int cublasSetStream_v2(void *handle, void *stream) {
    (void)stream;
    REFUSE_IF(handle != &the_handle, NOT_INITIALIZED);
    has_stream = 1;
    return 0;
}

// Whether a matrix with these rows and columns lies within a buffer.
static int lies(const float *at, int rows, int columns, int leading) {
    if (leading < rows) return 0;
    return held(at, sizeof(float) * ((size_t)(columns - 1) * (size_t)leading + (size_t)rows));
}

int cublasSgemm_v2(void *handle, int transposed_a, int transposed_b, int m, int n, int k, const float *alpha,
                   const float *a, int lda, const float *b, int ldb, const float *beta, float *c, int ldc) {
    REFUSE_IF(handle != &the_handle || !has_stream, NOT_INITIALIZED);
    REFUSE_IF(m <= 0 || n <= 0 || k <= 0, INVALID_VALUE);
    REFUSE_IF(transposed_a ? !lies(a, k, m, lda) : !lies(a, m, k, lda), INVALID_VALUE);
    REFUSE_IF(transposed_b ? !lies(b, n, k, ldb) : !lies(b, k, n, ldb), INVALID_VALUE);
    REFUSE_IF(!lies(c, m, n, ldc), INVALID_VALUE);
    for (long j = 0; j < n; j++) {
        for (long i = 0; i < m; i++) {
            float sum = 0.0f;
            for (long l = 0; l < k; l++)
                sum += (transposed_a ? a[l + i * lda] : a[i + l * lda]) *
                       (transposed_b ? b[j + l * ldb] : b[l + j * ldb]);
            float *to = &c[i + j * ldc];
            *to = *beta == 0.0f ? *alpha * sum : *alpha * sum + *beta * *to;
        }
    }
    return 0;
}
