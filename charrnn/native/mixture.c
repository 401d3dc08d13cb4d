/* The mixture of network and n-gram model: what ngram/gate.py does, in float32. */

#include "native.h"
#include <math.h>

#define INPUTS 10
#define UNITS 6

static const float LEAST = 1e-30f, SMALLEST = 1e-37f; /* as in ngram/model.py and ngram/gate.py */

typedef struct {
    float network, prediction, across, back; /* sums of p log p, q log q, q log p, p log q */
    float peak_p, peak_q;                    /* largest logarithms */
} comparison;

/* Turn logits into logarithms of probabilities. */
static void normalise(long S, float *x)
{
    const float most = largest_of(S, x);
    vec sums = {0};
    for (long i = 0; i < S; i += LANES) {
        vec shifted = *(vec *)(x + i) - most;
        *(vec *)(x + i) = shifted;
        sums += exponential(clipped(shifted, -87, 0));
    }
    const float log_sum = logf(sum_of(sums));
    for (long i = 0; i < S; i += LANES)
        *(vec *)(x + i) -= log_sum;
}

static comparison compare(long S, const float *log_p, const float *q)
{
    vec network = {0}, prediction = {0}, across = {0}, back = {0}, peak = (vec){0} - 100.0f;
    for (long i = 0; i < S; i += LANES) {
        const vec lp = clipped(*(const vec *)(log_p + i), -87, 0), own = *(const vec *)(q + i);
        const vec p = exponential(lp), lq = logarithm(clipped(own, LEAST, 1));
        network += p * lp, prediction += own * lq, across += own * lp, back += p * lq;
        peak = chosen(lq > peak, lq, peak);
    }
    float peak_q = peak[0];
    EACH(i, LANES) peak_q = peak[i] > peak_q ? peak[i] : peak_q;
    return (comparison){sum_of(network), sum_of(prediction), sum_of(across), sum_of(back), largest_of(S, log_p), peak_q};
}

/* The weight of the n-gram prediction. */
static float gate_weight(const float *gate, const comparison *c, const double *statistics)
{
    const float x[INPUTS] = {
        1, -c->network, statistics[0], logf(statistics[1]), logf(statistics[2]), -c->prediction,
        c->peak_p, c->peak_q, c->prediction - c->across, c->network - c->back,
    };
    vec hidden = {0};
    EACH(i, INPUTS) EACH(j, UNITS) hidden[j] += x[i] * gate[i * UNITS + j];
    hidden = tangent(hidden);
    float sum = gate[INPUTS * UNITS + UNITS];
    EACH(j, UNITS) sum += hidden[j] * gate[INPUTS * UNITS + j];
    return 1 / (1 + expf(-sum));
}

/* Turn logits, (S), into the logarithms of the mixture with p, (V). `room` is for S numbers. */
void ngram_mix(const ngrams *m, int64_t symbols, float *logits, const double *p, const double *statistics, float *room)
{
    for (int64_t v = 0; v < symbols; v++)
        room[v] = v < m->vocab ? (float)p[v] : 0;
    normalise(symbols, logits);
    float weight = m->weight;
    if (weight < 0) {
        const comparison c = compare(symbols, logits, room);
        weight = gate_weight(m->gate, &c, statistics);
    }
    const float rest = 1 - weight;
    for (int64_t i = 0; i < symbols; i += LANES) {
        const vec own = exponential(clipped(*(vec *)(logits + i), -87, 0));
        *(vec *)(logits + i) = logarithm(clipped(rest * own + weight * *(vec *)(room + i), SMALLEST, 1));
    }
}
