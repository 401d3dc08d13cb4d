/* Prediction of word contexts: what WordModel does, refinements with the bits of NumPy. */

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include "native.h"

static const uint64_t FACTOR = 0x9E3779B97F4A7C15, SPREAD = 0xBF58476D1CE4E5B9; /* as in ngram/words.py */
static const float LEAST = 1e-9f; /* as in ngram/word_model.py */

/* Update run, word and word before of a context whose packed symbols end in the one before. */
void word_read(const ngrams *m, uint64_t *context, uint64_t symbol)
{
    const words *w = m->words;
    const uint64_t last = context[0] & (((uint64_t)1 << m->bits) - 1);
    const int was_part = w->forms[last] >= 0, is_part = w->forms[symbol] >= 0;
    if (was_part && !is_part)
        context[3] = context[2], context[2] = context[1];
    if (was_part != is_part)
        context[1] = 0;
    context[1] = (context[1] + (uint64_t)(w->forms[symbol] + m->vocab + 1)) * FACTOR;
}

/* The hash of a word context, with zeros for a symbol in the low bits; 0 if a part of it is missing. */
static uint64_t key_of(const uint64_t *context, const uint64_t *factors, int64_t bits)
{
    uint64_t hash = 0;
    for (int i = 0; i < PARTS - 1; i++) {
        if (factors[i] && !context[i + 1])
            return 0;
        hash += context[i + 1] * factors[i];
    }
    hash = (hash ^ hash >> 29) * SPREAD;
    return (hash ^ hash >> 32) << bits;
}

/* Refine p, (n, V), by the counts after one word context each. */
static void refine(const ngrams *m, int64_t which, int64_t n, const uint64_t *contexts, double *p)
{
    const order *o = m->words->orders + which;
    const uint64_t ones = ((uint64_t)1 << m->bits) - 1, *factors = m->words->factors + which * (PARTS - 1);
    uint64_t low[TOGETHER];
    int64_t at[TOGETHER];
    for (int64_t i = 0; i < n; i++)
        low[i] = key_of(contexts + i * m->parts, factors, m->bits);
    key_search(o, n, low, at);
    for (int64_t i = 0; i < n; i++, p += m->vocab) {
        int64_t end = at[i], sum = 0;
        for (; low[i] && end < o->size && o->keys[end] <= (low[i] | ones); end++)
            sum += o->counts[end];
        if (end == at[i])
            continue;
        const double total = sum > 1 ? (double)sum : 1;
        const double backoff = (o->discounted[end] - o->discounted[at[i]]) / total;
        for (int64_t v = 0; v < m->vocab; v++)
            p[v] *= backoff;
        for (int64_t j = at[i]; j < end; j++) {
            const int32_t count = o->counts[j];
            p[o->keys[j] & ones] += (count - o->discounts[count < 3 ? count : 3]) / total;
        }
    }
}

/* Predictions of the words after n contexts, (n, V). `room` is for V numbers. */
void word_predict(const ngrams *m, int64_t n, const uint64_t *contexts, const int64_t *lengths, double *p, double *room)
{
    int64_t known[TOGETHER];
    double statistics[3 * TOGETHER];
    for (int64_t i = 0; i < n; i += TOGETHER) {
        const int64_t size = n - i < TOGETHER ? n - i : TOGETHER;
        for (int64_t j = 0; j < size; j++)
            known[j] = lengths[i + j] < m->words->base ? lengths[i + j] : m->words->base;
        ngram_predict(m, size, contexts + i * m->parts, known, p + i * m->vocab, room, statistics);
        for (int64_t which = 0; which < m->words->count; which++)
            refine(m, which, size, contexts + i * m->parts, p + i * m->vocab);
    }
}

/* Multiply p, (V), with the prediction of the words, each to its power. `room` is for two times S numbers. */
static void multiply(const ngrams *m, int64_t symbols, double *p, const double *words, float *room)
{
    float *own = room, *other = room + symbols, sum = 0;
    const float first = m->words->powers[0], second = m->words->powers[1];
    for (int64_t v = 0; v < symbols; v++)
        own[v] = v < m->vocab ? (float)p[v] : 0, other[v] = v < m->vocab ? (float)words[v] : 0;
    for (int64_t i = 0; i < symbols; i += LANES) {
        const vec log_p = logarithm(clipped(*(vec *)(own + i), LEAST, 1));
        *(vec *)(own + i) = first * log_p + second * logarithm(clipped(*(vec *)(other + i), LEAST, 1));
    }
    const float most = largest_of(symbols, own);
    for (int64_t i = 0; i < symbols; i += LANES)
        *(vec *)(own + i) = exponential(clipped(*(vec *)(own + i) - most, -87, 0));
    for (int64_t v = 0; v < m->vocab; v++)
        sum += own[v];
    for (int64_t v = 0; v < m->vocab; v++)
        p[v] = own[v] / sum;
}

/* The prediction of characters and words after one context, p, (V). `words` and `room` are for V numbers, `logs` for
   two times S. */
void word_product(const ngrams *m, int64_t symbols, const uint64_t *context, int64_t length, double *p, double *words,
                  double *room, float *logs, double *statistics)
{
    ngram_predict_twice(m, context, length, m->words->base, p, words, room, statistics);
    for (int64_t which = 0; which < m->words->count; which++)
        refine(m, which, 1, context, words);
    multiply(m, symbols, p, words, logs);
}
