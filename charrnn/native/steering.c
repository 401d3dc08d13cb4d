/* What may come at all, and what would repeat a span: what steering/steering.py does. */

#include "native.h"
#include <math.h>
#include <string.h>

#define ENDS (-2)   /* as in steering/automaton.py */
#define FAR INT32_MAX
#define STUCK -1e29f /* logits below are impossible: those of a start, in native/arrays.py */

/* A number of a state; those of ENDS and of -1 come after those of all others. */
static int32_t number_of(const steering *s, const int32_t *numbers, int64_t state)
{
    return numbers[state < 0 ? s->states + 2 + state : state];
}

/* Add the bias, and take out symbols after which no match can be reached in time. */
static void limit(const steering *s, int64_t V, int64_t S, int64_t state, int64_t left, float *logits)
{
    for (int64_t i = 0; i < S; i += LANES)
        *(vec *)(logits + i) += *(const vec *)(s->bias + i);
    const int32_t *following = s->states ? s->table + state * V : 0;
    for (int64_t v = 0; following && v < V; v++)
        if (number_of(s, s->distances, following[v]) >= left)
            logits[v] = -INFINITY;
}

/* Take the penalties off the logits of symbols that would complete a repeated span. */
static void discourage(const steering *s, int64_t V, const int32_t *runs, const int32_t *past, float *logits, int32_t *spans)
{
    int32_t most = 0;
    for (int64_t i = 0; i < s->window; i++)
        most = runs[i] > most ? runs[i] : most;
    if (most < s->shortest - 1)
        return;
    memset(spans, 0, sizeof(int32_t) * V);
    for (int64_t i = 0; i < s->window; i++)
        if (runs[i] >= s->shortest - 1 && runs[i] >= spans[past[i]])
            spans[past[i]] = runs[i] + 1;
    for (int64_t v = 0; v < V; v++)
        logits[v] -= s->penalties[spans[v]];
}

/* Steer the logits of the next symbol of a text, (S). `left`: symbols that may still come; `end`: after
   the last symbol of the text, and W symbols before; `spans`: room for V numbers. */
void steer(const steering *s, int64_t V, int64_t S, int64_t text, int64_t left, const int32_t *end, float *logits,
           int32_t *spans)
{
    const int64_t state = s->states ? s->state[text] : 0;
    limit(s, V, S, state, left, logits);
    if (largest_of(S, logits) < STUCK) {
        memset(logits, 0, sizeof(float) * S);
        limit(s, V, S, state, left, logits);
    }
    if (s->shortest)
        discourage(s, V, s->runs + text * s->window, end - s->window, logits, spans);
}

/* Read the symbol at `at`, after which `left` may come. Returns 0, or how the automaton ends the text:
   1 as no match is short enough, 2 as none is longer, 3 as this symbol is not part of the match. */
int64_t steer_read(const steering *s, int64_t V, int64_t text, int64_t left, const int32_t *at)
{
    int32_t *runs = s->runs + text * s->window;
    const int32_t *past = at - s->window;
    for (int64_t i = 0; i < s->window; i++) {
        const int32_t run = past[i] == *at ? runs[i] + 1 : 0;
        runs[i] = run < s->longest ? run : s->longest;
    }
    if (!s->states)
        return 0;
    const int64_t state = s->state[text] = s->table[s->state[text] * V + *at];
    const int32_t least = number_of(s, s->least, state);
    return state == ENDS ? 3 : least == FAR ? 2 : least > left;
}
