/* One step of a recurrent network for B streams, float32: what nn/numpy_engine.py does, compiled.

   Weights are read once and in order for up to ROWS streams at a time. Each number is summed over k
   in the same order however many streams there are: a text depends on its seed alone. */

#include "native.h"
#include <string.h>

#if LANES == 16
#define ROWS 8 /* 8 x 2 sums: AVX-512 has 32 registers */
#else
#define ROWS 6 /* 6 x 2 sums fill the 16 registers of AVX2 */
#endif
#define AHEAD 4 /* pairs of a single stream side by side, to hide the latency of a sum */

#define INLINED static inline __attribute__((always_inline))

/* Two vectors of weights, HALF columns apart, from the row of a panel. */
INLINED void weights(int is_half, const char *row, vec *low, vec *high)
{
    if (is_half) {
        const ints both = *(const ints *)row;
        *low = (vec)(both << 16);
        *high = (vec)(both & -65536);
    } else {
        *low = *(const vec *)row;
        *high = *(const vec *)(row + 4 * HALF);
    }
}

/* y += x W for some streams and pairs of vectors from `first` on; `is_half`, `rows` and `pairs` are
   constants when inlined. */
INLINED void tile(int is_half, int rows, int pairs, long first, long K, long N, const char *restrict panels,
                  const float *restrict x, float *restrict y)
{
    const long size = WIDE * (is_half ? 2 : 4);
    const char *row[AHEAD];
    float *out[AHEAD];
    vec sums[2 * ROWS]; /* [row][pair][half] */
    EACH(i, pairs) {
        const long panel = (first + i) / PAIRS, lane = (first + i) % PAIRS * LANES;
        row[i] = panels + panel * K * size + 4 * lane;
        out[i] = y + panel * WIDE + lane;
    }
    EACH(r, rows) EACH(v, 2 * pairs) sums[r * 2 * pairs + v] = *(vec *)(out[v / 2] + r * N + v % 2 * HALF);
    for (long k = 0; k < K; k++) {
        vec w[2 * AHEAD];
        EACH(i, pairs) weights(is_half, row[i] + k * size, w + 2 * i, w + 2 * i + 1);
        EACH(r, rows) EACH(v, 2 * pairs) sums[r * 2 * pairs + v] += x[r * K + k] * w[v];
    }
    EACH(r, rows) EACH(v, 2 * pairs) *(vec *)(out[v / 2] + r * N + v % 2 * HALF) = sums[r * 2 * pairs + v];
}

/* y (B, N) += x (B, K) W for one pair of vectors, ROWS streams at a time and the rest in fewer. */
INLINED void one_pair(int is_half, long pair, long B, long K, long N, const char *panels, const float *x, float *y)
{
    for (; B >= ROWS; B -= ROWS, x += ROWS * K, y += ROWS * N)
        tile(is_half, ROWS, 1, pair, K, N, panels, x, y);
    for (; B >= 4; B -= 4, x += 4 * K, y += 4 * N)
        tile(is_half, 4, 1, pair, K, N, panels, x, y);
    for (; B >= 2; B -= 2, x += 2 * K, y += 2 * N)
        tile(is_half, 2, 1, pair, K, N, panels, x, y);
    if (B)
        tile(is_half, 1, 1, pair, K, N, panels, x, y);
}

INLINED void product_of(int is_half, long B, long K, long N, const char *panels, const float *x, float *y)
{
    const long count = N / (2 * LANES);
    long pair = 0;
    for (; B == 1 && pair + AHEAD <= count; pair += AHEAD)
        tile(is_half, 1, AHEAD, pair, K, N, panels, x, y);
    for (; pair < count; pair++)
        one_pair(is_half, pair, B, K, N, panels, x, y);
}

/* y (B, N) += x (B, K) W, N a multiple of WIDE. */
static void product(const network *net, long B, long N, const void *panels, const float *x, float *y)
{
    if (net->is_half)
        product_of(1, B, net->padded, N, panels, x, y);
    else
        product_of(0, B, net->padded, N, panels, x, y);
}

/* A row of a table for each of B streams. */
static void rows_of(long B, long N, const float *table, const int64_t *ids, float *y)
{
    for (long b = 0; b < B; b++)
        memcpy(y + b * N, table + (ids ? ids[b] : 0) * N, sizeof(float) * N);
}

static inline vec sigmoid_of_half(vec x)
{
    return 0.5f * tangent(x) + 0.5f;
}

/* The cells. `a` holds the gates of one stream, P numbers each; `b` is the recurrent part of a GRU. */

static void lstm(long P, const float *a, const float *b, float *h, float *c)
{
    (void)b;
    for (long j = 0; j < P; j += LANES) { /* i, f, o, g */
        vec i = sigmoid_of_half(*(vec *)(a + j)), f = sigmoid_of_half(*(vec *)(a + P + j));
        vec o = sigmoid_of_half(*(vec *)(a + 2 * P + j)), g = tangent(*(vec *)(a + 3 * P + j));
        vec cell = f * *(vec *)(c + j) + i * g;
        *(vec *)(c + j) = cell;
        *(vec *)(h + j) = o * tangent(cell);
    }
}

static void gru(long P, const float *a, const float *b, float *h, float *c)
{
    (void)c;
    for (long j = 0; j < P; j += LANES) { /* r, z, n */
        vec r = sigmoid_of_half(*(vec *)(a + j) + *(vec *)(b + j));
        vec z = sigmoid_of_half(*(vec *)(a + P + j) + *(vec *)(b + P + j));
        vec n = tangent(*(vec *)(a + 2 * P + j) + r * *(vec *)(b + 2 * P + j));
        *(vec *)(h + j) = n + z * (*(vec *)(h + j) - n);
    }
}

static void rnn(long P, const float *a, const float *b, float *h, float *c)
{
    (void)b, (void)c;
    for (long j = 0; j < P; j += LANES)
        *(vec *)(h + j) = tangent(*(vec *)(a + j));
}

static void (*const CELLS[])(long, const float *, const float *, float *, float *) = {lstm, gru, rnn};

/* Read a symbol in each of the first `rows` of `stride` rows of a state, (L, stride, P).
   `gates` is room for (2, rows, gates P) numbers; logits, (rows, S), or 0 if they are not needed. */
void network_step(const network *net, int64_t rows, int64_t stride, const int64_t *ids, float *h, float *c, float *gates,
          float *logits)
{
    const long P = net->padded, N = net->gates * P, layer = stride * P;
    float *a = gates, *b = net->cell == 1 ? gates + rows * N : gates;
    for (long l = 0; l < net->layers; l++) {
        rows_of(rows, N, net->tables[l], l ? 0 : ids, a);
        if (l)
            product(net, rows, N, net->inputs[l], h + (l - 1) * layer, a);
        if (b != a)
            rows_of(rows, N, net->biases[l], 0, b);
        product(net, rows, N, net->recurrents[l], h + l * layer, b);
        for (long s = 0; s < rows; s++)
            CELLS[net->cell](P, a + s * N, b + s * N, h + l * layer + s * P, c + l * layer + s * P);
    }
    if (!logits)
        return;
    rows_of(rows, net->symbols, net->bias, 0, logits);
    product(net, rows, net->symbols, net->decoder, h + (net->layers - 1) * layer, logits);
}
