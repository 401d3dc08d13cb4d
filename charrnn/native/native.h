/* What the files of this folder share: arrays that Python owns, vectors of floats, functions.

   The functions trust sizes and ids: Python checks what comes from files. */

/* Names that no library has: the linker would take that of libc. */
#ifndef CHARRNN_NATIVE_H
#define CHARRNN_NATIVE_H

#include <stdint.h>

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8 /* GCC takes vectors of 64 bytes apart */
#endif
#define TOGETHER 32 /* contexts that are looked up side by side: their cache misses overlap */
#define WIDE 32 /* columns of a panel */
#define HALF (WIDE / 2)
#define PAIRS (HALF / LANES) /* pairs of vectors in a row of a panel */
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* P is the hidden size and S the vocabulary size, each up to a multiple of WIDE. A panel holds WIDE
   columns of a matrix, (N / WIDE, K, WIDE). With 16 bits a number, column j and column j + HALF of a
   panel share 32 bits: bfloat16, the upper half of a float. */
typedef struct {
    int64_t layers, padded, gates, vocab, symbols; /* L; P; gates of a cell; V; S */
    int64_t cell;                                  /* 0 lstm, 1 gru, 2 rnn */
    int64_t is_half;                               /* panels of 16 bits a number */
    const float *const *tables;                    /* (V, gates P); other layers: a bias, (1, gates P) */
    const void *const *inputs, *const *recurrents; /* panels; inputs[0] is not used */
    const float *const *biases;                    /* of a GRU's recurrent part, (1, gates P) */
    const void *decoder;                           /* panels */
    const float *bias;                             /* (S); very low after V */
} network;

/* All n-grams of one order: n sorted keys, (context << bits | symbol), and their counts. */
typedef struct {
    int64_t size;             /* n */
    const uint64_t *keys;     /* (n) */
    const int32_t *counts;    /* (n) */
    const double *discounted; /* sum of the discounts before each key, then of all, (n + 1) */
    double discounts[4];      /* of counts of 0, 1, 2, and 3 or more */
} order;

/* Counts after word contexts. A context of a text is `parts` numbers: its last symbols, packed; then, if a
   memory knows words, hashes of run, word, and word before. */
#define PARTS 4

typedef struct {
    int64_t count;          /* word contexts */
    const order *orders;    /* keys are hash << bits | symbol, (count) */
    const uint64_t *factors; /* of the parts in the hash; 0: not in it, (count, PARTS - 1) */
    const int32_t *forms;   /* (V) */
    int64_t base;           /* characters whose prediction the words refine */
    const double *powers;   /* of characters and words */
} words;

typedef struct ngrams {
    int64_t highest, bits, vocab; /* K, bits of a symbol, V */
    int64_t split;                /* orders below are interpolated first, as NumPy does it */
    const double *const *tables;  /* by length below split: p after each context, (V^d, V); or none */
    const double *const *table_statistics; /* (3, V^d) */
    const order *orders;          /* (K + 1) */
    const float *gate;            /* weights of the tanh units, (10, 6), then of the sigmoid, (7) */
    double weight;                /* of the prediction in the mixture; below 0: the gate's */
    int64_t longest;              /* symbols in the contexts of texts: the largest K of this and the next ones */
    int64_t parts;                /* numbers in a context of a text: 1, or PARTS */
    const words *words;           /* or none */
    const struct ngrams *next;    /* what is mixed in after this; or none */
} ngrams;

typedef struct {
    double temperature; /* 0: the most likely symbol */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
    double lowest;      /* logarithm of min-p, or -inf */
} filters;

typedef struct {
    int64_t count;
    const int64_t *lengths; /* (count) */
    const int32_t *ids;     /* one after the other */
} stops;

/* Steps 3 and 4 of the choice, for B texts. */
typedef struct {
    const float *bias;                  /* added to logits; -inf for a banned symbol and after V, (S) */
    int64_t shortest, longest, window;  /* symbols of a repeated span, 0: any; W */
    const float *penalties;             /* by symbols of the span, (longest + 2) */
    int32_t *runs;                      /* symbols at the end that stand also W, ..., 1 symbols before, (B, W) */
    int64_t states;                     /* of the automaton; 0: none */
    const int32_t *table;               /* next state, -1 or -2 (the text ends before), (states, V) */
    const int32_t *distances, *least;   /* symbols to a match, and to a longer one, (states + 2) */
    int64_t *state;                     /* (B) */
} steering;

/* B texts side by side. The state has a row for each text that is not finished, in the first `open`
   rows of each layer; all other arrays have a place for each text. */
typedef struct {
    int64_t size, open;   /* B */
    float *h, *c;         /* (L, B, P) */
    int64_t *texts;       /* the text of each row, (B) */
    int64_t *next;        /* the symbol that the network reads next; -1: none yet, (B) */
    const float *start;   /* logits if nothing was read, (S) */
    uint64_t *contexts;   /* (B, parts) */
    int64_t *lengths;     /* symbols in the context, (B) */
    int64_t *written;     /* symbols of a text so far, (B) */
    int64_t *wanted;      /* symbols that are still to come, (B) */
    int64_t *is_stopped;  /* whether a stop string (1) or the automaton (2) ended it, (B) */
    int64_t steps, tail;  /* T; symbols of the call before */
    const double *uniforms; /* (B, T) */
    int32_t *ids;         /* tail, then T symbols, (B, tail + T) */
} batch;

static inline vec chosen(ints which, vec yes, vec no)
{
    return (vec)(((ints)yes & which) | ((ints)no & ~which));
}

static inline vec clipped(vec x, float least, float most)
{
    const vec low = (vec){0} + least, high = (vec){0} + most;
    x = chosen(x > low, x, low); /* NaN becomes the least */
    return chosen(x < high, x, high);
}

static inline vec exponential(vec x) /* |x| <= 87 */
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    vec n = (x * 1.44269504f + magic) - magic;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f; /* ln 2 in two parts: |r| <= ln(2) / 2 */
    vec p = r * (1.0f / 5040) + 1.0f / 720;            /* Taylor's series to r^7 */
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * (vec)((__builtin_convertvector(n, ints) + 127) << 23);
}

static inline vec tangent(vec x) /* tanh: 1 - 2 / (e^2x + 1) */
{
    return 1.0f - 2.0f / (exponential(2.0f * clipped(x, -15, 15)) + 1.0f);
}

/* Natural logarithm of normal positive numbers (Cephes, logf). */
static inline vec logarithm(vec x)
{
    ints n = ((ints)x - 0x3f3504f3) >> 23; /* x = m 2^n, sqrt(1/2) <= m < sqrt(2) */
    vec f = (vec)((ints)x - n * (1 << 23)) - 1.0f, e = __builtin_convertvector(n, vec), square = f * f;
    vec p = f * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    return f + (p * f * square - e * 2.12194440e-4f - 0.5f * square) + e * 0.693359375f;
}

static inline float sum_of(vec x)
{
    float sum = 0;
    EACH(i, LANES) sum += x[i];
    return sum;
}

static inline float largest_of(long count, const float *x) /* a multiple of LANES */
{
    vec most = *(const vec *)x;
    for (long i = LANES; i < count; i += LANES)
        most = chosen(*(const vec *)(x + i) > most, *(const vec *)(x + i), most);
    float result = most[0];
    EACH(i, LANES) result = most[i] > result ? most[i] : result;
    return result;
}

/* network.c */
void network_step(const network *net, int64_t rows, int64_t stride, const int64_t *ids, float *h, float *c, float *gates,
          float *logits);
/* ngrams.c */
void key_search(const order *o, int64_t n, const uint64_t *values, int64_t *at);
void ngram_predict(const ngrams *memory, int64_t n, const uint64_t *contexts, const int64_t *lengths, double *p,
                   double *room, double *statistics);
void ngram_predict_twice(const ngrams *memory, const uint64_t *context, int64_t length, int64_t base, double *p,
                         double *low, double *room, double *statistics);
/* words.c */
void word_predict(const ngrams *memory, int64_t n, const uint64_t *contexts, const int64_t *lengths, double *p,
                  double *room);
void word_product(const ngrams *memory, int64_t symbols, const uint64_t *context, int64_t length, double *p,
                  double *words, double *room, float *logs, double *statistics);
void word_read(const ngrams *memory, uint64_t *context, uint64_t symbol);

/* mixture.c */
void ngram_mix(const ngrams *memory, int64_t symbols, float *logits, const double *p, const double *statistics, float *room);
/* choice.c */
int64_t choose_symbol(const filters *how, int64_t vocab, int64_t symbols, float *logits, double uniform, double *room);

/* steering.c */
void steer(const steering *s, int64_t vocab, int64_t symbols, int64_t text, int64_t left, const int32_t *end,
           float *logits, int32_t *spans);
int64_t steer_read(const steering *s, int64_t vocab, int64_t text, int64_t left, const int32_t *at);

#endif
