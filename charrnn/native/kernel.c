/* One step of a recurrent network for B streams, float32: what numpy_engine.py does, compiled.

   Matrices come as panels of 16 columns, (N / 16, K, 16), so that the weights are read once and in
   order for up to ROWS streams at a time. Each number is summed over k in the same order however
   many streams there are: a stream's text depends on its seed alone. */

#include <stdint.h>
#include <string.h>

#define LANES 8
#define WIDE 16 /* columns of a panel: two vectors */
#define ROWS 6  /* 6 x 2 sums fill the registers of AVX2 */
#define AHEAD 4 /* panels of a single stream side by side, to hide the latency of a sum */
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline vec exponential(vec x) /* |x| <= 60 */
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    vec n = (x * 1.44269504f + magic) - magic;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f; /* ln 2 in two parts: |r| <= ln(2) / 2 */
    vec p = r * (1.0f / 5040) + 1.0f / 720; /* Taylor's series to r^7 */
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * (vec)((__builtin_convertvector(n, ints) + 127) << 23);
}

static inline vec chosen(ints which, vec yes, vec no)
{
    return (vec)(((ints)yes & which) | ((ints)no & ~which));
}

static inline vec tangent(vec x) /* tanh: 1 - 2 / (e^2x + 1) */
{
    const vec most = (vec){0} + 15.0f;
    x = chosen(x > most, most, x);
    x = chosen(x < -most, -most, x);
    return 1.0f - 2.0f / (exponential(2.0f * x) + 1.0f);
}

/* y += x W for some streams and panels; `rows` and `wide` are constants when inlined. */
static inline __attribute__((always_inline)) void tile(
    int rows, int wide, long K, long N, const float *restrict panel, const float *restrict x, float *restrict y)
{
    vec sums[2 * (ROWS > AHEAD ? ROWS : AHEAD)]; /* [row][panel][half], one of the first two is 1 */
    EACH(r, rows) EACH(v, 2 * wide) sums[r * 2 * wide + v] = *(vec *)(y + r * N + v * LANES);
    for (long k = 0; k < K; k++) {
        vec w[2 * AHEAD];
        EACH(v, 2 * wide) w[v] = *(const vec *)(panel + (v / 2 * K + k) * WIDE + v % 2 * LANES);
        EACH(r, rows) EACH(v, 2 * wide) sums[r * 2 * wide + v] += x[r * K + k] * w[v];
    }
    EACH(r, rows) EACH(v, 2 * wide) *(vec *)(y + r * N + v * LANES) = sums[r * 2 * wide + v];
}

/* y (B, N) += x (B, K) W for one panel, ROWS streams at a time and the rest in fewer. */
static void one_panel(long B, long K, long N, const float *panel, const float *x, float *y)
{
    for (; B >= ROWS; B -= ROWS, x += ROWS * K, y += ROWS * N)
        tile(ROWS, 1, K, N, panel, x, y);
    for (; B >= 4; B -= 4, x += 4 * K, y += 4 * N)
        tile(4, 1, K, N, panel, x, y);
    for (; B >= 2; B -= 2, x += 2 * K, y += 2 * N)
        tile(2, 1, K, N, panel, x, y);
    if (B)
        tile(1, 1, K, N, panel, x, y);
}

/* y (B, N) += x (B, K) W, N a multiple of 16. */
static void product(long B, long K, long N, const float *panels, const float *x, float *y)
{
    long n = 0;
    for (; B == 1 && n + AHEAD * WIDE <= N; n += AHEAD * WIDE)
        tile(1, AHEAD, K, N, panels + n * K, x, y + n);
    for (; n < N; n += WIDE)
        one_panel(B, K, N, panels + n * K, x, y + n);
}

/* A row of a table for each of B streams. */
static void rows_of(long B, long N, const float *table, const int64_t *ids, float *y)
{
    for (long b = 0; b < B; b++)
        memcpy(y + b * N, table + (ids ? ids[b] : 0) * N, 4 * N);
}

static inline vec sigmoid_of_half(vec x)
{
    return 0.5f * tangent(x) + 0.5f;
}

/* The cells. `a` holds the gates of one stream, P = H up to a multiple of 16 numbers each; the rows
   of h and c have P numbers too. `b` is what a GRU takes from before. */

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

typedef struct {
    int64_t layers, padded, gates, symbols; /* L; P; gates a cell; V up to a multiple of 16 */
    int64_t cell;                           /* 0 lstm, 1 gru, 2 rnn */
    const float **tables;                   /* of ids, then a bias for each other layer */
    const float **inputs, **recurrents;     /* panels; inputs[0] is not used */
    const float **biases;                   /* of a GRU's share from before */
    const float *decoder, *bias;
} network;

/* One step: `h` and `c`, (L, B, P), go from the old state to the new one.
   `a` and `b` are room for (B, gates * P) numbers each; logits (B, symbols). */
void step(const network *net, long B, const int64_t *ids, float *h, float *c, float *a, float *b, float *logits)
{
    static void (*const cells[])(long, const float *, const float *, float *, float *) = {lstm, gru, rnn};
    const long P = net->padded, N = net->gates * P;
    for (long l = 0; l < net->layers; l++) {
        float *own = h + l * B * P;
        rows_of(B, N, net->tables[l], l ? 0 : ids, a);
        if (l)
            product(B, P, N, net->inputs[l], own - B * P, a);
        float *from_before = a;
        if (net->cell == 1) {
            rows_of(B, N, net->biases[l], 0, b);
            from_before = b;
        }
        product(B, P, N, net->recurrents[l], own, from_before);
        for (long s = 0; s < B; s++)
            cells[net->cell](P, a + s * N, b + s * N, own + s * P, c + (l * B + s) * P);
    }
    rows_of(B, net->symbols, net->bias, 0, logits);
    product(B, P, net->symbols, net->decoder, h + (net->layers - 1) * B * P, logits);
}
