// Kernels of the passes. No thread writes an element that another thread reads or writes, and there are no atomics, so
// every run gives the same bits.
//
// The file stays within the common part of CUDA C++ and C11: the tests compile it with the C compiler of the host and
// compare the results with the passes in Rust. All kernels have the same signature.

typedef struct {
    // Size of the input, or of both sides if they have one size.
    int height, width, channels;
    // Size of the output.
    int out_height, out_width;
    // Kernel or window.
    int kernel_height, kernel_width, stride, padding;
    // Whether lines and moments are given for each image, not only for each channel.
    int per_image;
    // Variant of the kernel, see there.
    int mode;
} Sizes;

#ifdef __CUDACC_RTC__
#define KERNEL(name) extern "C" __global__ void name
#define THREAD ((long long)blockIdx.x * blockDim.x + threadIdx.x)
#else
#define KERNEL(name) void name
_Thread_local long long thread_of_host;
#define THREAD thread_of_host
#endif

#define ARGUMENTS                                                                                  \
    (long long threads, float *out, const float *a, const float *b, const float *c, double *sums,  \
     Sizes s)

// Pixels that are summed in float before their sum is added in double.
#define BLOCK_PIXELS 32

// Index of the line or of the moments of element `i`.
#define LINE(i)                                                                                    \
    ((i) % s.channels + (s.per_image ? (i) / ((long long)s.height * s.width * s.channels) * s.channels : 0))

// out = a[channel]
KERNEL(rows) ARGUMENTS {
    long long i = THREAD;
    if (i < threads) out[i] = a[i % s.channels];
}

// out = a * b[line] + c[line]
KERNEL(lines) ARGUMENTS {
    long long i = THREAD;
    if (i >= threads) return;
    long long line = LINE(i);
    out[i] = a[i] * b[line] + c[line];
}

// out += factor * b - slope * a + term; c holds the three of each line.
KERNEL(lines_back) ARGUMENTS {
    long long i = THREAD;
    if (i >= threads) return;
    const float *line = c + 3 * LINE(i);
    out[i] += line[0] * b[i] - line[1] * a[i] + line[2];
}

// Two sums over the pixels of one channel of one image. Mode 0: a, a * a. Mode 1: b, b * (a - mean) *
// inverse, with both moments of each line in c.
KERNEL(channel_sums) ARGUMENTS {
    long long i = THREAD;
    if (i >= threads) return;
    int pixels = s.height * s.width;
    long long first = i / s.channels * pixels * s.channels + i % s.channels;
    const float *moments = s.mode == 0 ? 0 : c + 2 * (s.per_image ? i : i % s.channels);
    double totals[2] = {0.0, 0.0};
    for (int block = 0; block < pixels; block += BLOCK_PIXELS) {
        int end = block + BLOCK_PIXELS < pixels ? block + BLOCK_PIXELS : pixels;
        float one = 0.0f, two = 0.0f;
        for (int pixel = block; pixel < end; pixel++) {
            long long at = first + (long long)pixel * s.channels;
            float x = a[at];
            if (s.mode == 0) {
                one += x;
                two += x * x;
            } else {
                float dy = b[at];
                one += dy;
                two += dy * ((x - moments[0]) * moments[1]);
            }
        }
        totals[0] += one;
        totals[1] += two;
    }
    sums[2 * i] = totals[0];
    sums[2 * i + 1] = totals[1];
}

KERNEL(relu) ARGUMENTS {
    long long i = THREAD;
    if (i < threads) out[i] = a[i] > 0.0f ? a[i] : 0.0f;
}

// out += b where a, the output of the rectifier, is positive.
KERNEL(relu_back) ARGUMENTS {
    long long i = THREAD;
    if (i < threads) out[i] += a[i] > 0.0f ? b[i] : 0.0f;
}

// out = out between b[0] and b[1].
KERNEL(cut) ARGUMENTS {
    long long i = THREAD;
    if (i < threads) out[i] = out[i] < b[0] ? b[0] : out[i] > b[1] ? b[1] : out[i];
}

// out = 0 where a, the output, was cut off at b[0] or b[1].
KERNEL(cut_back) ARGUMENTS {
    long long i = THREAD;
    if (i < threads && (a[i] <= b[0] || a[i] >= b[1])) out[i] = 0.0f;
}

KERNEL(add) ARGUMENTS {
    long long i = THREAD;
    if (i < threads) out[i] = a[i] + b[i];
}

KERNEL(accumulate) ARGUMENTS {
    long long i = THREAD;
    if (i < threads) out[i] += a[i];
}

// First element of the window of output element `i`.
#define WINDOW(i)                                                                                  \
    ((((i) / s.channels / s.out_width / s.out_height * s.height                                    \
       + (i) / s.channels / s.out_width % s.out_height * s.kernel_height) * s.width                \
      + (i) / s.channels % s.out_width * s.kernel_width) * s.channels + (i) % s.channels)

// Mode 0: average, mode 1: maximum over windows that tile the image.
KERNEL(pool) ARGUMENTS {
    long long i = THREAD;
    if (i >= threads) return;
    long long first = WINDOW(i);
    float result = s.mode == 0 ? 0.0f : a[first];
    for (int y = 0; y < s.kernel_height; y++) {
        for (int x = 0; x < s.kernel_width; x++) {
            float value = a[first + ((long long)y * s.width + x) * s.channels];
            if (s.mode == 0) result += value;
            else if (value > result) result = value;
        }
    }
    out[i] = s.mode == 0 ? result / (float)(s.kernel_height * s.kernel_width) : result;
}

// One thread for each window, which writes all its elements: out is the gradient of a, b the output of the pool, c
// the gradient of the output. The first element that is the maximum gets the whole gradient.
KERNEL(pool_back) ARGUMENTS {
    long long i = THREAD;
    if (i >= threads) return;
    long long first = WINDOW(i);
    float share = c[i] / (float)(s.kernel_height * s.kernel_width);
    for (int y = 0; y < s.kernel_height; y++) {
        for (int x = 0; x < s.kernel_width; x++) {
            long long at = first + ((long long)y * s.width + x) * s.channels;
            if (s.mode == 0) {
                out[at] += share;
            } else if (a[at] == b[i]) {
                out[at] += c[i];
                return;
            }
        }
    }
}

// The patch of each output pixel of image a as a row [kernel_height, kernel_width, channels] of out; 0 outside the
// image.
KERNEL(patches) ARGUMENTS {
    long long i = THREAD;
    if (i >= threads) return;
    int channel = (int)(i % s.channels);
    long long rest = i / s.channels;
    int kx = (int)(rest % s.kernel_width);
    rest /= s.kernel_width;
    int ky = (int)(rest % s.kernel_height);
    rest /= s.kernel_height;
    int x = (int)(rest % s.out_width) * s.stride + kx - s.padding;
    rest /= s.out_width;
    int y = (int)(rest % s.out_height) * s.stride + ky - s.padding;
    long long image = rest / s.out_height;
    int inside = x >= 0 && x < s.width && y >= 0 && y < s.height;
    out[i] = inside ? a[((image * s.height + y) * s.width + x) * s.channels + channel] : 0.0f;
}

// out += the sum of each image element over the patches a.
KERNEL(patches_back) ARGUMENTS {
    long long i = THREAD;
    if (i >= threads) return;
    int channel = (int)(i % s.channels);
    long long rest = i / s.channels;
    int x = (int)(rest % s.width);
    rest /= s.width;
    int y = (int)(rest % s.height);
    long long image = rest / s.height;
    float sum = 0.0f;
    for (int ky = 0; ky < s.kernel_height; ky++) {
        int from_y = y + s.padding - ky;
        if (from_y < 0 || from_y % s.stride || from_y / s.stride >= s.out_height) continue;
        for (int kx = 0; kx < s.kernel_width; kx++) {
            int from_x = x + s.padding - kx;
            if (from_x < 0 || from_x % s.stride || from_x / s.stride >= s.out_width) continue;
            long long row = (image * s.out_height + from_y / s.stride) * s.out_width + from_x / s.stride;
            sum += a[((row * s.kernel_height + ky) * s.kernel_width + kx) * s.channels + channel];
        }
    }
    out[i] += sum;
}
