/* Prediction of the n-gram model: what NgramModel.predict does, with the same bits.

   NumPy rounds each product before it adds it, so a product and a sum must not become one instruction. */

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include "native.h"
#include <string.h>

#define MOST 64 /* orders: a key has 64 bits */

/* The first key that is not below a value. */
static int64_t search(const order *o, uint64_t value)
{
    const uint64_t *base = o->keys;
    int64_t n = o->size;
    while (n > 1) {
        const int64_t half = n / 2;
        base += base[half - 1] < value ? half : 0;
        n -= half;
    }
    return base - o->keys + (n == 1 && *base < value);
}

/* The keys of the orders from `first` on that begin with a context; returns the highest order. */
static int64_t find(const ngrams *m, int64_t first, uint64_t context, int64_t length, int64_t *begin, int64_t *end)
{
    const uint64_t ones = ((uint64_t)1 << m->bits) - 1;
    int64_t k = first;
    for (; k <= m->highest && k <= length; k++) {
        const order *o = m->orders + k;
        const uint64_t low = k ? (context & (((uint64_t)1 << m->bits * k) - 1)) << m->bits : 0;
        const int64_t at = search(o, low);
        int64_t last = at;
        while (last < o->size && o->keys[last] <= (low | ones))
            last++;
        if (last == at)
            break;
        begin[k] = at, end[k] = last;
    }
    return k - 1;
}

/* Refine p, (V), by the orders from `first` on. The sums are those of NgramModel._interpolated, in its order. */
static void interpolate(const ngrams *m, int64_t first, uint64_t context, int64_t length, double *p, double *added,
                        double *statistics)
{
    int64_t begin[MOST], end[MOST];
    double factors[MOST], backoff = 1;
    const uint64_t ones = ((uint64_t)1 << m->bits) - 1;
    const int64_t top = find(m, first, context, length, begin, end);
    if (top < first)
        return;
    for (int64_t k = top; k >= first; k--) {
        const order *o = m->orders + k;
        const int64_t sum = o->sums[end[k]] - o->sums[begin[k]];
        const double total = sum > 1 ? (double)sum : 1;
        factors[k] = backoff / total;
        backoff *= (o->discounted[end[k]] - o->discounted[begin[k]]) / total;
        if (k == top)
            statistics[0] = k, statistics[1] = total, statistics[2] = end[k] - begin[k];
    }
    memset(added, 0, sizeof(double) * m->vocab);
    for (int64_t k = first; k <= top; k++) {
        const order *o = m->orders + k;
        for (int64_t i = begin[k]; i < end[k]; i++) {
            const int32_t count = o->counts[i];
            added[o->keys[i] & ones] += (count - o->discounts[count < 3 ? count : 3]) * factors[k];
        }
    }
    for (int64_t v = 0; v < m->vocab; v++)
        p[v] = added[v] + p[v] * backoff;
}

/* Probabilities after a context, (V), and order, total and followers of the longest known context.
   `room` is for V numbers. */
void ngram_predict(const ngrams *m, uint64_t context, int64_t length, double *p, double *room, double *statistics)
{
    for (int64_t v = 0; v < m->vocab; v++)
        p[v] = 1.0 / m->vocab;
    statistics[0] = statistics[1] = statistics[2] = 1;
    interpolate(m, 0, context, length < m->split ? length : m->split - 1, p, room, statistics);
    if (m->split <= m->highest)
        interpolate(m, m->split, context, length, p, room, statistics);
}

/* Predictions after n contexts: p, (n, V), and statistics, (n, 3). */
void predict_all(const ngrams *m, int64_t n, const uint64_t *contexts, const int64_t *lengths, double *p, double *room,
                 double *statistics)
{
    for (int64_t i = 0; i < n; i++)
        ngram_predict(m, contexts[i], lengths[i], p + i * m->vocab, room, statistics + 3 * i);
}
