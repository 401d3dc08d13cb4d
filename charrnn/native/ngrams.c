/* Prediction of the n-gram model: what NgramModel.predict does, with the same bits.

   NumPy rounds each product before it adds it, so a product and a sum must not become one instruction. */

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include "native.h"
#include <string.h>

#define MOST 64     /* orders: a key has 64 bits */

/* The keys that begin with each context, by order, and the highest order that has any. */
typedef struct {
    int64_t begin[MOST][TOGETHER], end[MOST][TOGETHER], top[TOGETHER];
} ranges;

/* The index of the first key that is not below each value. */
void key_search(const order *o, int64_t n, const uint64_t *values, int64_t *at)
{
    const uint64_t *base[TOGETHER];
    int64_t size = o->size;
    for (int64_t i = 0; i < n; i++)
        base[i] = o->keys;
    for (; size > 1; size -= size / 2)
        for (int64_t i = 0; i < n; i++)
            base[i] += base[i][size / 2 - 1] < values[i] ? size / 2 : 0;
    for (int64_t i = 0; i < n; i++)
        at[i] = base[i] - o->keys + (size == 1 && *base[i] < values[i]);
}

/* Find n contexts in the orders from `first` on, each up to the first order that lacks it. */
static void find(const ngrams *m, int64_t first, int64_t n, const uint64_t *contexts, const int64_t *lengths, ranges *r)
{
    const uint64_t ones = ((uint64_t)1 << m->bits) - 1;
    uint64_t low[TOGETHER];
    int64_t rows[TOGETHER], at[TOGETHER], num_rows = n;
    for (int64_t i = 0; i < n; i++)
        rows[i] = i, r->top[i] = first - 1;
    for (int64_t k = first; k <= m->highest && num_rows; k++) {
        const order *o = m->orders + k;
        int64_t asked = 0, found = 0;
        for (int64_t i = 0; i < num_rows; i++)
            if (lengths[rows[i]] >= k)
                rows[asked++] = rows[i];
        for (int64_t i = 0; i < asked; i++)
            low[i] = k ? (contexts[rows[i] * m->parts] & (((uint64_t)1 << m->bits * k) - 1)) << m->bits : 0;
        key_search(o, asked, low, at);
        for (int64_t i = 0; i < asked; i++) {
            const int64_t row = rows[i];
            int64_t end = at[i];
            while (end < o->size && o->keys[end] <= (low[i] | ones))
                end++;
            if (end == at[i])
                continue;
            __builtin_prefetch(o->counts + at[i]), __builtin_prefetch(o->discounted + at[i]);
            r->begin[k][row] = at[i], r->end[k][row] = end, r->top[row] = k;
            rows[found++] = row;
        }
        num_rows = found;
    }
}

/* Refine p, (V), by the orders from `first` on. The sums are those of NgramModel._interpolated, in its order. */
static void interpolate(const ngrams *m, int64_t first, const ranges *r, int64_t row, double *p, double *added,
                        double *statistics)
{
    double factors[MOST], backoff = 1;
    const uint64_t ones = ((uint64_t)1 << m->bits) - 1;
    const int64_t top = r->top[row];
    if (top < first)
        return;
    for (int64_t k = top; k >= first; k--) {
        const order *o = m->orders + k;
        const int64_t begin = r->begin[k][row], end = r->end[k][row];
        int64_t sum = 0;
        for (int64_t i = begin; i < end; i++)
            sum += o->counts[i];
        const double total = sum > 1 ? (double)sum : 1;
        factors[k] = backoff / total;
        backoff *= (o->discounted[end] - o->discounted[begin]) / total;
        if (k == top)
            statistics[0] = k, statistics[1] = total, statistics[2] = end - begin;
    }
    memset(added, 0, sizeof(double) * m->vocab);
    for (int64_t k = first; k <= top; k++) {
        const order *o = m->orders + k;
        for (int64_t i = r->begin[k][row]; i < r->end[k][row]; i++) {
            const int32_t count = o->counts[i];
            added[o->keys[i] & ones] += (count - o->discounts[count < 3 ? count : 3]) * factors[k];
        }
    }
    for (int64_t v = 0; v < m->vocab; v++)
        p[v] = added[v] + p[v] * backoff;
}

/* The prediction of the orders below `split`: from a table of all contexts of its length, or computed. */
static void predict_low(const ngrams *m, const uint64_t *context, int64_t length, double *p, double *room, double *statistics)
{
    const int64_t d = length < m->split ? length : m->split - 1;
    int64_t row = 0, size = 1;
    for (int64_t i = d; i-- > 0; size *= m->vocab)
        row = row * m->vocab + (*context >> m->bits * i & (((uint64_t)1 << m->bits) - 1));
    if (m->tables) {
        memcpy(p, m->tables[d] + row * m->vocab, sizeof(double) * m->vocab);
        EACH(i, 3) statistics[i] = m->table_statistics[d][i * size + row];
        return;
    }
    ranges r;
    for (int64_t v = 0; v < m->vocab; v++)
        p[v] = 1.0 / m->vocab;
    statistics[0] = statistics[1] = statistics[2] = 1;
    find(m, 0, 1, context, &d, &r);
    interpolate(m, 0, &r, 0, p, room, statistics);
}

/* The prediction after one context, p, (V), and after its last symbols, `base` of them at most. */
void ngram_predict_twice(const ngrams *m, const uint64_t *context, int64_t length, int64_t base, double *p, double *low,
                         double *room, double *statistics)
{
    ranges r;
    find(m, 0, 1, context, &length, &r);
    const int64_t top = r.top[0];
    for (int64_t v = 0; v < m->vocab; v++)
        low[v] = 1.0 / m->vocab;
    statistics[0] = 0, statistics[1] = statistics[2] = 1;
    r.top[0] = top < base ? top : base;
    interpolate(m, 0, &r, 0, low, room, statistics);
    memcpy(p, low, sizeof(double) * m->vocab);
    r.top[0] = top;
    interpolate(m, base + 1, &r, 0, p, room, statistics);
}

/* Predictions after n contexts: p, (n, V), and order, total and followers of the longest known one, (n, 3).
   `room` is for V numbers. */
void ngram_predict(const ngrams *m, int64_t n, const uint64_t *contexts, const int64_t *lengths, double *p, double *room,
                   double *statistics)
{
    ranges r;
    for (int64_t i = 0; i < n; i += TOGETHER) {
        const int64_t size = n - i < TOGETHER ? n - i : TOGETHER;
        find(m, m->split, size, contexts + i * m->parts, lengths + i, &r);
        for (int64_t row = 0; row < size; row++) {
            double *own = p + (i + row) * m->vocab, *how = statistics + 3 * (i + row);
            predict_low(m, contexts + (i + row) * m->parts, lengths[i + row], own, room, how);
            interpolate(m, m->split, &r, row, own, room, how);
        }
    }
}
