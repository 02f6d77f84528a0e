// Mock of cuDNN 9: convolutions by loops, of values with the layout `[image, y, x, channel]`. Its algorithms, their
// workspaces and whether they give the same bits at every run are invented.
#include "mock.h"

enum { NOT_INITIALIZED = 1001, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
// The only accepted data type, layout, mode and math type.
enum { FLOAT = 0, CHANNELS_LAST = 1, CROSS_CORRELATION = 1, FMA = 3 };

// Sizes of a tensor; for weights `images` is the number of kernels.
typedef struct {
    int images, channels, height, width;
} Tensor;
typedef struct {
    int padding, stride, math;
} Layer;

static char the_handle;
static int has_stream;
static long passes;

size_t cudnnGetVersion(void) { return faulty("cuDNN 8") ? 8902 : 92800; }
size_t cudnnGetCudartVersion(void) { return faulty("cuDNN of CUDA 13") ? 13000 : 12090; }

int cudnnCreate(void **handle) {
    *handle = &the_handle;
    return faulty("cuDNN does not start") ? NOT_INITIALIZED : 0;
}
int cudnnSetStream(void *handle, void *stream) {
    (void)stream;
    REFUSE_IF(handle != &the_handle, BAD_PARAM);
    has_stream = 1;
    return 0;
}

int cudnnCreateTensorDescriptor(Tensor **tensor) { return !(*tensor = calloc(1, sizeof(Tensor))); }
int cudnnCreateFilterDescriptor(Tensor **weights) { return cudnnCreateTensorDescriptor(weights); }
int cudnnCreateConvolutionDescriptor(Layer **layer) { return !(*layer = calloc(1, sizeof(Layer))); }

int cudnnDestroyTensorDescriptor(Tensor *tensor) {
    free(tensor);
    return 0;
}
int cudnnDestroyFilterDescriptor(Tensor *weights) { return cudnnDestroyTensorDescriptor(weights); }
int cudnnDestroyConvolutionDescriptor(Layer *layer) {
    free(layer);
    return 0;
}

int cudnnSetTensor4dDescriptor(Tensor *tensor, int order, int type, int images, int channels, int height,
                               int width) {
    REFUSE_IF(order != CHANNELS_LAST || type != FLOAT, BAD_PARAM);
    REFUSE_IF(images <= 0 || channels <= 0 || height <= 0 || width <= 0, BAD_PARAM);
    *tensor = (Tensor){images, channels, height, width};
    return 0;
}
int cudnnSetFilter4dDescriptor(Tensor *weights, int type, int order, int kernels, int channels, int height,
                               int width) {
    return cudnnSetTensor4dDescriptor(weights, order, type, kernels, channels, height, width);
}
int cudnnSetConvolution2dDescriptor(Layer *layer, int padding_y, int padding_x, int stride_y, int stride_x,
                                    int dilation_y, int dilation_x, int mode, int type) {
    REFUSE_IF(padding_y != padding_x || stride_y != stride_x || padding_y < 0 || stride_y < 1, BAD_PARAM);
    REFUSE_IF(dilation_y != 1 || dilation_x != 1 || mode != CROSS_CORRELATION || type != FLOAT, BAD_PARAM);
    *layer = (Layer){padding_y, stride_y, -1};
    return 0;
}
int cudnnSetConvolutionMathType(Layer *layer, int math) {
    layer->math = math;
    return 0;
}

static size_t elements(const Tensor *t) {
    return (size_t)t->images * (size_t)t->channels * (size_t)t->height * (size_t)t->width;
}

static int out(int in, int kernel, const Layer *l) { return (in + 2 * l->padding - kernel) / l->stride + 1; }

// Whether input, weights and output fit one convolution.
static int fit(const Tensor *x, const Tensor *w, const Tensor *y, const Layer *l) {
    return x->images > 0 && l->stride > 0 && l->math == FMA && x->images == y->images &&
           x->channels == w->channels && y->channels == w->images &&
           y->height == out(x->height, w->height, l) && y->width == out(x->width, w->width, l);
}

// Sizes of the workspaces: each pass has another, and the gradient of the input needs none.
static size_t workspace_forward(const Tensor *y, int algorithm) {
    if (algorithm == 1 && faulty("large workspace")) return ((size_t)1 << 30) + 1;
    return sizeof(float) * (elements(y) + (size_t)algorithm);
}
static size_t workspace_weights(const Tensor *w) { return sizeof(float) * elements(w); }

static int supported(const Layer *l) {
    return !faulty("no algorithm") && !(faulty("strides alone") && l->stride == 1);
}

int cudnnGetConvolutionForwardWorkspaceSize(void *handle, const Tensor *x, const Tensor *w, const Layer *l,
                                            const Tensor *y, int algorithm, size_t *bytes) {
    REFUSE_IF(handle != &the_handle || !fit(x, w, y, l), BAD_PARAM);
    REFUSE_IF(algorithm != 0 && algorithm != 1, BAD_PARAM);
    *bytes = workspace_forward(y, algorithm);
    return supported(l) ? 0 : NOT_SUPPORTED;
}
int cudnnGetConvolutionBackwardDataWorkspaceSize(void *handle, const Tensor *w, const Tensor *y, const Layer *l,
                                                 const Tensor *x, int algorithm, size_t *bytes) {
    REFUSE_IF(handle != &the_handle || !fit(x, w, y, l) || algorithm != 1, BAD_PARAM);
    *bytes = 0;
    return supported(l) ? 0 : NOT_SUPPORTED;
}
int cudnnGetConvolutionBackwardFilterWorkspaceSize(void *handle, const Tensor *x, const Tensor *y,
                                                   const Layer *l, const Tensor *w, int algorithm,
                                                   size_t *bytes) {
    REFUSE_IF(handle != &the_handle || !fit(x, w, y, l) || algorithm != 1, BAD_PARAM);
    *bytes = workspace_weights(w);
    return supported(l) ? 0 : NOT_SUPPORTED;
}

// Checks common to all passes.
static int begin(void *handle, const Tensor *x, const float *xs, const Tensor *w, const float *ws,
                 const Tensor *y, const float *ys, const Layer *l, void *workspace, size_t bytes, size_t needed) {
    REFUSE_IF(handle != &the_handle || !has_stream || !fit(x, w, y, l) || !supported(l), BAD_PARAM);
    REFUSE_IF(!held(xs, sizeof(float) * elements(x)), BAD_PARAM);
    REFUSE_IF(!held(ws, sizeof(float) * elements(w)), BAD_PARAM);
    REFUSE_IF(!held(ys, sizeof(float) * elements(y)), BAD_PARAM);
    REFUSE_IF(bytes != needed || (bytes && !held(workspace, bytes)), BAD_PARAM);
    // A workspace keeps no values between passes.
    if (bytes) memset(workspace, 0xff, bytes);
    passes++;
    return faulty("cuDNN fails") || faulty("cuDNN breaks the device") ? EXECUTION_FAILED : 0;
}

static void scale(float *values, size_t count, float by) {
    for (size_t i = 0; i < count; i++) values[i] = by == 0.0f ? 0.0f : by * values[i];
}

// Runs a statement for every product; `xi`, `wi` and `yi` are the indices of its elements.
#define EACH_PRODUCT(statement)                                                                    \
    for (long n = 0; n < y->images; n++)                                                           \
        for (long oy = 0; oy < y->height; oy++)                                                    \
            for (long ox = 0; ox < y->width; ox++)                                                 \
                for (long k = 0; k < y->channels; k++)                                             \
                    for (long ky = 0; ky < w->height; ky++)                                        \
                        for (long kx = 0; kx < w->width; kx++) {                                   \
                            long iy = oy * l->stride + ky - l->padding;                            \
                            long ix = ox * l->stride + kx - l->padding;                            \
                            if (iy < 0 || ix < 0 || iy >= x->height || ix >= x->width) continue;   \
                            long yi = ((n * y->height + oy) * y->width + ox) * y->channels + k;    \
                            long xi = ((n * x->height + iy) * x->width + ix) * x->channels;        \
                            long wi = ((k * w->height + ky) * w->width + kx) * w->channels;        \
                            for (long c = 0; c < x->channels; c++, xi++, wi++) statement;          \
                        }

int cudnnConvolutionForward(void *handle, const float *alpha, const Tensor *x, const float *xs, const Tensor *w,
                            const float *ws, const Layer *l, int algorithm, void *workspace, size_t bytes,
                            const float *beta, const Tensor *y, float *ys) {
    int status =
        begin(handle, x, xs, w, ws, y, ys, l, workspace, bytes, workspace_forward(y, algorithm));
    if (status) return status;
    scale(ys, elements(y), *beta);
    EACH_PRODUCT(ys[yi] += *alpha * xs[xi] * ws[wi]);
    if (faulty("wrong output")) ys[elements(y) - 1] += 0.1f;
    return 0;
}
int cudnnConvolutionBackwardData(void *handle, const float *alpha, const Tensor *w, const float *ws,
                                 const Tensor *y, const float *ys, const Layer *l, int algorithm,
                                 void *workspace, size_t bytes, const float *beta, const Tensor *x, float *xs) {
    REFUSE_IF(algorithm != 1, BAD_PARAM);
    int status = begin(handle, x, xs, w, ws, y, ys, l, workspace, bytes, 0);
    if (status) return status;
    scale(xs, elements(x), faulty("nothing added") ? 0.0f : *beta);
    EACH_PRODUCT(xs[xi] += *alpha * ws[wi] * ys[yi]);
    return 0;
}
int cudnnConvolutionBackwardFilter(void *handle, const float *alpha, const Tensor *x, const float *xs,
                                   const Tensor *y, const float *ys, const Layer *l, int algorithm,
                                   void *workspace, size_t bytes, const float *beta, const Tensor *w, float *ws) {
    REFUSE_IF(algorithm != 1, BAD_PARAM);
    int status = begin(handle, x, xs, w, ws, y, ys, l, workspace, bytes, workspace_weights(w));
    if (status) return status;
    scale(ws, elements(w), *beta);
    EACH_PRODUCT(ws[wi] += *alpha * xs[xi] * ys[yi]);
    if (faulty("other gradients every time")) ws[0] += (float)passes;
    return 0;
}
