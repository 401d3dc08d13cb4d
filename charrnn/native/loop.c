/* The loop that writes: network, n-gram model, choice, stop strings, for texts side by side. */

#include "native.h"
#include <stdlib.h>
#include <string.h>

/* Whether a stop string ends after `count` symbols, the last of which is at `last`. */
static int is_at_stop(const stops *s, int64_t count, const int32_t *last)
{
    const int32_t *ids = s->ids;
    for (int64_t i = 0; i < s->count; ids += s->lengths[i++]) {
        const int64_t length = s->lengths[i];
        if (length <= count && !memcmp(last + 1 - length, ids, sizeof(int32_t) * length))
            return 1;
    }
    return 0;
}

/* Move the last row of a state into the row of a text that is finished. */
static void close_row(const network *net, batch *b, int64_t row)
{
    const int64_t P = net->padded, last = --b->open;
    b->texts[row] = b->texts[last];
    for (int64_t l = 0; row != last && l < net->layers; l++) {
        memcpy(b->h + (l * b->size + row) * P, b->h + (l * b->size + last) * P, sizeof(float) * P);
        memcpy(b->c + (l * b->size + row) * P, b->c + (l * b->size + last) * P, sizeof(float) * P);
    }
}

/* Nothing was read: the state is empty, and the logits are those of a start. */
static void start(const network *net, batch *b, int64_t row, float *logits)
{
    for (int64_t l = 0; l < net->layers; l++) {
        memset(b->h + (l * b->size + row) * net->padded, 0, sizeof(float) * net->padded);
        memset(b->c + (l * b->size + row) * net->padded, 0, sizeof(float) * net->padded);
    }
    memcpy(logits, b->start, sizeof(float) * net->symbols);
}

static void append(const ngrams *memory, batch *b, int64_t text, int64_t symbol, int32_t *at)
{
    *at = symbol;
    b->next[text] = symbol;
    b->written[text]++;
    b->wanted[text]--;
    if (!memory)
        return;
    const uint64_t mask = ((uint64_t)1 << memory->bits * memory->longest) - 1;
    uint64_t *context = b->contexts + text * memory->parts;
    if (memory->words)
        word_read(memory, context, symbol);
    context[0] = (context[0] << memory->bits | (uint64_t)symbol) & mask;
    b->lengths[text] += b->lengths[text] < memory->longest;
}

/* Whether a text has ended. A symbol that is not part of a match is taken back, unless it ends a stop
   string, which Python cuts off. */
static int is_over(const network *net, const steering *steered, const stops *ends, batch *b, int64_t text, const int32_t *at)
{
    const int64_t end = steered ? steer_read(steered, net->vocab, text, b->wanted[text], at) : 0;
    b->is_stopped[text] = is_at_stop(ends, b->written[text], at) ? 1 : end >= 2 ? 2 : 0;
    b->written[text] -= end == 3 && b->is_stopped[text] == 2;
    return end || b->is_stopped[text] || !b->wanted[text];
}

/* Write up to b->steps symbols of each text; `memory` is the first n-gram model, or 0 if there is none;
   so is `steered`. Returns 0 if there is not enough RAM, else 1. */
int64_t write_texts(const network *net, const ngrams *memory, const steering *steered, const filters *how,
                    const stops *ends, batch *b)
{
    const int64_t S = net->symbols, N = net->gates * net->padded, width = b->tail + b->steps;
    float *logits = malloc(sizeof(float) * b->size * S), *gates = malloc(sizeof(float) * 2 * b->size * N);
    float *mixing = malloc(sizeof(float) * 2 * S);
    double *p = malloc(sizeof(double) * S), *words = malloc(sizeof(double) * S), *room = malloc(sizeof(double) * 2 * S), statistics[3];
    int64_t *ids = malloc(sizeof(int64_t) * b->size);
    const int is_ready = logits && gates && mixing && p && words && room && ids;
    for (int64_t t = 0; is_ready && t < b->steps && b->open; t++) {
        for (int64_t row = 0; row < b->open; row++)
            ids[row] = b->next[b->texts[row]] < 0 ? 0 : b->next[b->texts[row]];
        network_step(net, b->open, b->size, ids, b->h, b->c, gates, logits);
        for (int64_t row = b->open; row-- > 0;) { /* from the end: a closed row takes the last one */
            const int64_t text = b->texts[row];
            float *own = logits + row * S;
            int32_t *at = b->ids + text * width + b->tail + t;
            if (b->next[text] < 0)
                start(net, b, row, own);
            for (const ngrams *m = b->lengths[text] ? memory : 0; m; m = m->next) {
                const uint64_t *context = b->contexts + text * m->parts;
                if (m->words)
                    word_product(m, S, context, b->lengths[text], p, words, room, mixing, statistics);
                else
                    ngram_predict(m, 1, context, b->lengths + text, p, room, statistics);
                ngram_mix(m, S, own, p, statistics, mixing);
            }
            if (steered)
                steer(steered, net->vocab, S, text, b->wanted[text], at, own, (int32_t *)room);
            append(memory, b, text, choose_symbol(how, net->vocab, S, own, b->uniforms[text * b->steps + t], room), at);
            if (is_over(net, steered, ends, b, text, at))
                close_row(net, b, row);
        }
    }
    free(logits), free(gates), free(mixing), free(p), free(words), free(room), free(ids);
    return is_ready;
}

/* Read T symbols in each of B rows of a state, ids (T, B): at step t in the first rows[t] of them. */
int64_t read_texts(const network *net, int64_t steps, int64_t size, const int64_t *rows, const int64_t *ids, float *h,
                   float *c)
{
    float *gates = malloc(sizeof(float) * 2 * size * net->gates * net->padded);
    for (int64_t t = 0; gates && t < steps; t++)
        network_step(net, rows[t], size, ids + t * size, h, c, gates, 0);
    free(gates);
    return gates != 0;
}
