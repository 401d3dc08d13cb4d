/* Temperature, top-k, top-p, min-p, and one draw: what sampling/filters.py does. */

#include "native.h"
#include <math.h>

static const double COLDEST = 1e-6, HOTTEST = 1e30; /* as in sampling/filters.py */

static int64_t most_likely(int64_t V, const float *logits)
{
    int64_t best = 0;
    for (int64_t v = 1; v < V; v++)
        best = logits[v] > logits[best] ? v : best;
    return best;
}

/* Divide by a temperature; the largest becomes 0. */
static void scale(int64_t S, float *logits, double temperature)
{
    const float most = largest_of(S, logits);
    const float divisor = temperature < COLDEST ? COLDEST : temperature > HOTTEST ? HOTTEST : temperature;
    for (int64_t i = 0; i < S; i += LANES)
        *(vec *)(logits + i) = (*(vec *)(logits + i) - most) / divisor;
}

/* A heap of logits with their indices: the largest logit first, the lowest index on a tie. */

static uint64_t entry(float logit, uint32_t index)
{
    union { float number; uint32_t bits; } of = {logit + 0.0f}; /* no negative zero */
    const uint32_t rank = of.bits >> 31 ? ~of.bits : of.bits | 0x80000000u;
    return (uint64_t)rank << 32 | (UINT32_MAX - index);
}

static void sift(uint64_t *heap, int64_t n, int64_t i)
{
    const uint64_t moved = heap[i];
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && heap[child + 1] > heap[child];
        if (heap[child] <= moved)
            break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

static void fill_heap(uint64_t *heap, int64_t V, const float *logits)
{
    for (int64_t v = 0; v < V; v++)
        heap[v] = entry(logits[v], v);
    for (int64_t i = V / 2; i-- > 0;)
        sift(heap, V, i);
}

/* Remove the largest of n entries; return its index. */
static int64_t pop(uint64_t *heap, int64_t n)
{
    const int64_t index = UINT32_MAX - (uint32_t)heap[0];
    heap[0] = heap[n - 1];
    sift(heap, n - 1, 0);
    return index;
}

static void keep_top_k(int64_t V, int64_t k, float *logits, uint64_t *heap)
{
    fill_heap(heap, V, logits);
    int64_t last = 0;
    for (int64_t n = V; n > V - k; n--)
        last = pop(heap, n);
    const float threshold = logits[last];
    for (int64_t v = 0; v < V; v++)
        logits[v] = logits[v] < threshold ? -INFINITY : logits[v];
}

/* `kept` is room for V numbers. */
static void keep_top_p(int64_t V, int64_t S, float p, float *logits, uint64_t *heap, float *kept)
{
    vec sums = {0};
    for (int64_t i = 0; i < S; i += LANES)
        sums += exponential(clipped(*(vec *)(logits + i), -87, 0));
    const float total = sum_of(sums);
    fill_heap(heap, V, logits);
    for (int64_t v = 0; v < V; v++)
        kept[v] = -INFINITY;
    float before = 0;
    for (int64_t n = V; n > 0 && before < p; n--) {
        const int64_t v = pop(heap, n);
        kept[v] = logits[v];
        before += expf(logits[v]) / total;
    }
    for (int64_t v = 0; v < V; v++)
        logits[v] = kept[v];
}

/* Draw by inverse transform sampling: the first sum of probabilities above the threshold. */
static int64_t draw(int64_t V, int64_t S, const float *logits, float lowest, double uniform, double *sums)
{
    float lanes[LANES];
    double sum = 0;
    for (int64_t i = 0; i < S; i += LANES) {
        const vec x = *(const vec *)(logits + i);
        const vec none = {0};
        *(vec *)lanes = chosen((x >= lowest) & (x > -87), exponential(clipped(x, -87, 0)), none);
        EACH(j, LANES) sums[i + j] = sum += lanes[j];
    }
    const double threshold = uniform * sums[V - 1];
    int64_t first = 0;
    for (int64_t n = V - 1; n > 0;) { /* binary search; V - 1 if there is none */
        const int64_t half = n / 2, is_below = sums[first + half] <= threshold;
        first += is_below ? half + 1 : 0;
        n = is_below ? n - half - 1 : half;
    }
    return first;
}

/* Return the next symbol; logits, (S), are changed. `room` is for 2 S numbers. */
int64_t choose_symbol(const filters *how, int64_t V, int64_t S, float *logits, double uniform, double *room)
{
    if (how->temperature == 0)
        return most_likely(V, logits);
    scale(S, logits, how->temperature);
    if (how->top_k > 0 && how->top_k < V)
        keep_top_k(V, how->top_k, logits, (uint64_t *)room);
    if (how->top_p < 1)
        keep_top_p(V, S, how->top_p, logits, (uint64_t *)room, (float *)(room + S));
    return draw(V, S, logits, how->lowest, uniform, room);
}
