// softmax(scale q k^T + mask) v of a few queries, where keys that the mask hides are left out: neither padding nor room for
// later keys takes time or changes a bit. Keys and values of before may be bf16. A key head with the query heads that share
// it is a piece of work.
#pragma once

#include <cmath>
#include <vector>

#include "vectors.h"

namespace attention {

using vectors::load;
using vectors::Vector;

// As the caller passes them.
struct Sizes {
  int32_t batch, heads, keyHeads, queries, size, before, after, maskBatches, maskQueries, isHalf;
};

struct Call {
  Sizes sizes;
  float scale;
  const float *q, *k, *v, *mask;
  const void *pastKey, *pastValue;
  float* out;
  void (*attend)(const Call&, size_t piece);
};

// What the mask has this and less for is hidden.
constexpr float HIDDEN = -1e8f;

// e^x for x <= 0 to 2^-23 or so: 2^n p(r) with x = n ln 2 + r, |r| <= ln 2 / 2, by exp's series.
template <int LANES>
INLINE typename Vector<LANES>::Floats exponential(typename Vector<LANES>::Floats x) {
  using Floats = typename Vector<LANES>::Floats;
  using Words = typename Vector<LANES>::Words;
  const Floats least = Floats{} - 87.0f;
  x = x < least ? least : x;
  // Rounds to a whole number by its place in a float's digits.
  const Floats moved = x * 1.44269504f + 12582912.0f;
  const Floats n = moved - 12582912.0f;
  const Floats r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  Floats p = r * (1.0f / 5040) + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Words exponent = ((Words)moved - 0x4b400000u + 127u) << 23;
  return p * (Floats)exponent;
}

// Some numbers of a row of keys or values, of float32 or bf16.
template <int LANES>
INLINE typename Vector<LANES>::Floats row(const void* from, size_t at, bool half) {
  if (!half) return load<typename Vector<LANES>::Floats>((const float*)from + at);
  typename Vector<LANES>::Words words;
  const uint16_t* halves = (const uint16_t*)from + at;
#if defined(__x86_64__)
  if constexpr (LANES > 4) {
    typedef uint16_t Halves __attribute__((vector_size(LANES * 2)));
    asm("vpmovzxwd %1, %0" : "=v"(words) : "m"(*(const Halves*)halves));
    return (typename Vector<LANES>::Floats)(words << 16);
  }
#endif
  for (int i = 0; i < LANES; i++) words[i] = (uint32_t)halves[i] << 16;
  return (typename Vector<LANES>::Floats)words;
}

// Columns that a query sees, with their scores, and what they are of.
struct Seen {
  std::vector<float> scores;
  std::vector<int32_t> columns;
};

// Query n of a head: hd is a multiple of LANES.
template <int LANES, bool HALF>
INLINE void one(const Call& c, Seen& seen, size_t b, size_t head, size_t n) {
  using Floats = typename Vector<LANES>::Floats;
  const Sizes& s = c.sizes;
  const size_t size = s.size, columns = s.before + s.after, keyHead = head / (s.heads / s.keyHeads);
  const size_t query = ((b * s.heads + head) * s.queries + n) * size;
  const size_t past = (b * s.keyHeads + keyHead) * s.before * size, own = (b * s.keyHeads + keyHead) * s.after * size;
  const float* mask = c.mask + ((s.maskBatches > 1 ? b : 0) * s.maskQueries + (s.maskQueries > 1 ? n : 0)) * columns;
  constexpr size_t EACH = HALF ? 2 : 4;
  const char* keys = (const char*)c.pastKey + past * EACH;
  const char* values = (const char*)c.pastValue + past * EACH;
  size_t count = 0;
  float most = -INFINITY;
  for (size_t m = 0; m < columns; m++) {
    if (mask[m] <= HIDDEN) continue;
    Floats sum = {};
    if (m < (size_t)s.before) {
      for (size_t i = 0; i < size; i += LANES) sum += load<Floats>(c.q + query + i) * row<LANES>(keys + m * size * EACH, i, HALF);
    } else {
      const float* key = c.k + own + (m - s.before) * size;
      for (size_t i = 0; i < size; i += LANES) sum += load<Floats>(c.q + query + i) * load<Floats>(key + i);
    }
    const float score = vectors::total<LANES>(sum) * c.scale + mask[m];
    most = score > most ? score : most;
    seen.scores[count] = score;
    seen.columns[count++] = m;
  }
  float* to = c.out + query;
  memset(to, 0, size * sizeof *to);
  if (count == 0) return;
  for (size_t i = count; i % LANES != 0; i++) seen.scores[i] = -INFINITY;
  Floats all = {};
  for (size_t i = 0; i < count; i += LANES) {
    Floats weight = exponential<LANES>(load<Floats>(&seen.scores[i]) - most);
    for (size_t k = count - i; k < LANES; k++) weight[k] = 0;
    memcpy(&seen.scores[i], &weight, sizeof weight);
    all += weight;
  }
  const float total = vectors::total<LANES>(all);
  for (size_t j = 0; j < count; j++) {
    const size_t m = seen.columns[j];
    const float weight = seen.scores[j];
    if (m < (size_t)s.before) {
      for (size_t i = 0; i < size; i += LANES) {
        const Floats added = load<Floats>(to + i) + row<LANES>(values + m * size * EACH, i, HALF) * weight;
        memcpy(to + i, &added, sizeof added);
      }
    } else {
      const float* value = c.v + own + (m - s.before) * size;
      for (size_t i = 0; i < size; i += LANES) {
        const Floats added = load<Floats>(to + i) + load<Floats>(value + i) * weight;
        memcpy(to + i, &added, sizeof added);
      }
    }
  }
  for (size_t i = 0; i < size; i += LANES) {
    const Floats made = load<Floats>(to + i) / total;
    memcpy(to + i, &made, sizeof made);
  }
}

template <int LANES>
INLINE void piece(const Call& c, size_t which) {
  thread_local Seen seen;
  const Sizes& s = c.sizes;
  const size_t most = s.before + s.after + 16, shared = s.heads / s.keyHeads;
  if (seen.scores.size() < most) {
    seen.scores.resize(most);
    seen.columns.resize(most);
  }
  const size_t b = which / s.keyHeads, first = which % s.keyHeads * shared;
  for (size_t head = first; head < first + shared; head++) {
    for (size_t n = 0; n < (size_t)s.queries; n++) {
      if (s.isHalf) one<LANES, true>(c, seen, b, head, n);
      else one<LANES, false>(c, seen, b, head, n);
    }
  }
}

using Kernel = void(const Call&, size_t);

#if defined(__x86_64__)
__attribute__((target("avx512f,fma"))) inline void withAvx512(const Call& c, size_t i) { piece<16>(c, i); }
__attribute__((target("avx2,fma"))) inline void withAvx2(const Call& c, size_t i) { piece<8>(c, i); }
#endif
inline void portable(const Call& c, size_t i) { piece<4>(c, i); }

}  // namespace attention
