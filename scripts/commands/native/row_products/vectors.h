// Products of rows with weights by vectors: widths and tiles of registers are the processor's. Sums are float32, of as many
// terms at a time as a vector has numbers, in an order that does not depend on the number of rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "forms.h"

#define INLINE [[gnu::always_inline]] inline
#define UNROLL _Pragma("GCC unroll 16") for

namespace vectors {

// Weights are asked for this many bytes before they are read: what processors fetch by themselves is read too late.
constexpr size_t AHEAD = 8192;

template <int LANES>
struct Vector {
  typedef float Floats __attribute__((vector_size(LANES * 4)));
  typedef uint32_t Words __attribute__((vector_size(LANES * 4)));
  typedef int32_t Whole __attribute__((vector_size(LANES * 4)));
  typedef uint8_t Bytes __attribute__((vector_size(LANES)));
};

template <class T>
INLINE T load(const void* from) {
  T value;
  memcpy(&value, from, sizeof value);
  return value;
}

template <int LANES>
INLINE float total(typename Vector<LANES>::Floats v) {
  if constexpr (LANES == 4) {
    return (v[0] + v[2]) + (v[1] + v[3]);
  } else {
    typename Vector<LANES / 2>::Floats half[2];
    memcpy(half, &v, sizeof v);
    return total<LANES / 2>(half[0] + half[1]);
  }
}

// A product stays rounded, whatever is added to it.
template <class T>
INLINE T apart(T value) {
#if defined(__x86_64__)
  asm("" : "+v"(value));
#else
  asm("" : "+w"(value));
#endif
  return value;
}

// Rows of float32, and of bf16, whose numbers come in pairs: the even ones are in the low halves of words.
template <int LANES, class Weight>
struct Plain {
  static constexpr int VECTORS = sizeof(Weight) == 2 ? 2 : 1;
  static constexpr bool HAS_REST = true;
  static constexpr int LONG = 0;
  const Weight* w;
  size_t depth, first;

  INLINE void open(const Matrix& m, size_t from, size_t) {
    first = from;
    w = (const Weight*)m.data + from * m.depth;
    depth = m.depth;
  }
  INLINE size_t output(int m) const { return first + m; }
  INLINE void ask(int m, size_t i) const { __builtin_prefetch((const char*)(w + m * depth + i) + AHEAD); }
  INLINE void vectorsOf(int m, size_t i, typename Vector<LANES>::Floats* made) const { widened(w + m * depth + i, made); }

  INLINE static void widened(const Weight* from, typename Vector<LANES>::Floats* made) {
    if constexpr (VECTORS == 2) {
      auto words = load<typename Vector<LANES>::Words>(from);
      made[0] = (typename Vector<LANES>::Floats)(words << 16);
      made[1] = (typename Vector<LANES>::Floats)(words & 0xffff0000u);
    } else {
      made[0] = load<typename Vector<LANES>::Floats>(from);
    }
  }
  INLINE void rest(int m, size_t i, typename Vector<LANES>::Floats* made) const {
    Weight last[VECTORS * LANES] = {};
    memcpy(last, w + m * depth + i, (depth - i) * sizeof(Weight));
    widened(last, made);
  }
};

template <int LANES>
INLINE typename Vector<LANES>::Words widen(const uint8_t* from) {
  using Bytes = typename Vector<LANES>::Bytes;
#if defined(__x86_64__)
  // Compilers take vectors of bytes apart.
  if constexpr (LANES > 4) {
    typename Vector<LANES>::Words words;
    asm("vpmovzxbd %1, %0" : "=v"(words) : "m"(*(const Bytes*)from));
    return words;
  }
#endif
  auto bytes = load<Bytes>(from);
#if defined(__clang__) || __GNUC__ >= 9
  return __builtin_convertvector(bytes, typename Vector<LANES>::Words);
#else
  typename Vector<LANES>::Words words;
  for (int i = 0; i < LANES; i++) words[i] = bytes[i];
  return words;
#endif
}

template <int LANES>
INLINE typename Vector<LANES>::Floats numbersOf(typename Vector<LANES>::Words words) {
#if defined(__clang__) || __GNUC__ >= 9
  return __builtin_convertvector((typename Vector<LANES>::Whole)words, typename Vector<LANES>::Floats);
#else
  typename Vector<LANES>::Floats floats;
  for (int i = 0; i < LANES; i++) floats[i] = (float)(int32_t)words[i];
  return floats;
#endif
}

// Many halves and bytes as floats.
template <int LANES>
struct Wide {
  using Floats = typename Vector<LANES>::Floats;
  using Words = typename Vector<LANES>::Words;
  static constexpr size_t SPARE = LANES;

  INLINE static void halves(float* to, const uint8_t* from, size_t count) {
    size_t i = 0;
#if defined(__x86_64__)
    if constexpr (LANES > 4) {
      typedef uint16_t Halves __attribute__((vector_size(LANES * 2)));
      // Other parts of the matrix follow.
      for (; i < count; i += LANES) {
        Floats made;
        asm("vcvtph2ps %1, %0" : "=v"(made) : "m"(*(const Halves*)(from + 2 * i)));
        memcpy(to + i, &made, sizeof made);
      }
    }
#endif
    for (; i < count; i++) to[i] = fromHalf(from + 2 * i);
  }

  // A number of each block times one of each of its groups, of which a block has 8 or 16; bytes of codes follow those of groups.
  template <class Byte>
  INLINE static void spread(float* to, const float* ofBlock, const Byte* ofGroup, size_t groups, size_t each) {
    for (size_t g = 0; g < groups; g += LANES) {
      Words bytes = widen<LANES>((const uint8_t*)ofGroup + g);
      if (sizeof(Byte) == 1 && (Byte)-1 < 0) bytes = (bytes ^ 128u) - 128u;
      Floats of;
      if ((size_t)LANES <= each) of = Floats{} + ofBlock[g / each];
      else for (int i = 0; i < LANES; i++) of[i] = ofBlock[g / each + i / (LANES / 2)];
      const Floats made = numbersOf<LANES>(bytes) * of;
      memcpy(to + g, &made, sizeof made);
    }
  }
};

// A value of a table for each index below 16; higher bits of an index are not looked at.
template <int LANES>
INLINE typename Vector<LANES>::Floats lookedUp(const float* table, typename Vector<LANES>::Words at) {
  using Floats = typename Vector<LANES>::Floats;
  Floats found;
#if defined(__x86_64__)
  if constexpr (LANES == 16) {
    asm("vpermps %2, %1, %0" : "=v"(found) : "v"(at), "v"(load<Floats>(table)));
    return found;
  }
  if constexpr (LANES == 8) {
    Floats upper;
    asm("vpermps %2, %1, %0" : "=x"(found) : "x"(at), "x"(load<Floats>(table)));
    asm("vpermps %2, %1, %0" : "=x"(upper) : "x"(at), "x"(load<Floats>(table + LANES)));
    // The sign chooses.
    asm("vblendvps %2, %1, %0, %0" : "+x"(found) : "x"(upper), "x"(at << 28));
    return found;
  }
#endif
  for (int i = 0; i < LANES; i++) found[i] = table[at[i] & 15];
  return found;
}

// Rows in fewer bits: codes of LOW bits and HIGH more, with or without a minimum; or nf4. A group's numbers share a scale.
template <int LANES, int LOW, int HIGH, bool MINIMUM, int GROUP>
struct Coded {
  static constexpr int VECTORS = GROUP / LANES, LONG = LANES > 4 ? 64 : 0;
  static constexpr bool HAS_REST = false;
  const CodedRows& rows;

  Coded() : rows(own()) {}
  static CodedRows& own() {
    thread_local CodedRows made;
    return made;
  }
  INLINE void open(const Matrix& m, size_t from, size_t count) { own().template open<Wide<LANES>>(m, from, count); }
  INLINE size_t output(int m) const { return rows.row[m].output; }
  INLINE void ask(int m, size_t i) const {
    __builtin_prefetch(rows.row[m].low + i + AHEAD);
    if constexpr (HIGH > 0) __builtin_prefetch(rows.row[m].high + i + AHEAD);
  }
  INLINE void vectorsOf(int m, size_t i, typename Vector<LANES>::Floats* made) const {
    through<VECTORS>(m, i, [&](int v, auto w) __attribute__((always_inline)) { made[v] = w; });
  }
  // Gives COUNT vectors of a row one after the other.
  template <int COUNT, class Take>
  INLINE void through(int m, size_t i, Take take) const {
    using Floats = typename Vector<LANES>::Floats;
    const CodedRow& row = rows.row[m];
    const uint8_t *low = row.low + i, *high = row.high + i;
    using Words = typename Vector<LANES>::Words;
    // A row of int8 has one scale.
    const size_t group = LOW == 8 ? i >> rows.group : i / GROUP;
    const float *scales = row.scales + group, *minima = row.minima + group;
    const size_t next = LOW == 8 && rows.group == 31 ? 0 : 1;
    // A vector: processors move by a number in two steps.
    const Words down = apart(Words{} + (uint32_t)row.lowShift);
    alignas(64) uint8_t whole[COUNT * LANES];
    if constexpr (HIGH > 0) joined<COUNT * LANES>(low, high, row, whole);
    UNROLL(int v = 0; v < COUNT; v++) {
      const auto bytes = widen<LANES>((HIGH > 0 ? whole : low) + v * LANES);
      const float scale = scales[v * LANES / GROUP * next];
      Floats made;
      if constexpr (LOW == 4 && HIGH == 0) made = lookedUp<LANES>(rows.values, bytes >> down) * scale;
      else made = (numbersOf<LANES>(bytes) - rows.offset) * scale;
      if constexpr (MINIMUM) made -= minima[v * LANES / GROUP];
      take(v, made);
    }
  }
  // Codes of both their parts, four of them in a word.
  template <int COUNT>
  INLINE static void joined(const uint8_t* low, const uint8_t* high, const CodedRow& row, uint8_t* to) {
    constexpr int BY = COUNT / 4 < LANES ? COUNT / 4 : LANES;
    using Words = typename Vector<BY>::Words;
    const Words down = apart(Words{} + (uint32_t)row.lowShift);
    const Words up = apart(Words{} + (uint32_t)(row.highShift < 4 ? 4 - row.highShift : 0));
    const Words highDown = apart(Words{} + (uint32_t)(row.highShift > 4 ? row.highShift - 4 : 0));
    constexpr uint32_t LOWS = 0x0f0f0f0f, HIGHS = ((1 << HIGH) - 1) * 0x10101010u;
    UNROLL(int i = 0; i < COUNT; i += BY * 4) {
      const Words code = (load<Words>(low + i) >> down & LOWS) | (load<Words>(high + i) << up >> highDown & HIGHS);
      memcpy(to + i, &code, sizeof code);
    }
  }
  INLINE void rest(int, size_t, typename Vector<LANES>::Floats*) const {}
};

// y[r, m] of M rows of weights, from the `first`, and R rows of x, whose rows are `width` numbers, zeros at their ends.
template <int LANES, int M, int R, class Rows>
INLINE void tile(const Rows& rows, int first, size_t depth, const float* x, size_t width, float* y, size_t outputs) {
  using Floats = typename Vector<LANES>::Floats;
  constexpr int V = Rows::VECTORS;
  constexpr size_t BY = V * LANES;
  Floats sums[M][R] = {};
  size_t i = 0;
  auto step = [&](auto get) __attribute__((always_inline)) {
    Floats w[M][V];
    UNROLL(int m = 0; m < M; m++) get(first + m, w[m]);
    UNROLL(int v = 0; v < V; v++) {
      UNROLL(int r = 0; r < R; r++) {
        Floats a = load<Floats>(x + r * width + i + v * LANES);
        UNROLL(int m = 0; m < M; m++) sums[m][r] += w[m][v] * a;
      }
    }
  };
  if constexpr (Rows::LONG > 0) {
    // What is known of a row is fetched once for some vectors of it.
    for (; i + Rows::LONG <= depth; i += Rows::LONG) {
      UNROLL(int m = 0; m < M; m++) rows.ask(first + m, i);
      UNROLL(int m = 0; m < M; m++) {
        rows.template through<Rows::LONG / LANES>(first + m, i, [&](int v, Floats w) __attribute__((always_inline)) {
          UNROLL(int r = 0; r < R; r++) sums[m][r] += w * load<Floats>(x + r * width + i + v * LANES);
        });
      }
    }
  }
  for (; i + BY <= depth; i += BY) {
    UNROLL(int m = 0; m < M; m++) rows.ask(first + m, i);
    step([&](int m, Floats* made) __attribute__((always_inline)) { rows.vectorsOf(m, i, made); });
  }
  if constexpr (Rows::HAS_REST) {
    if (i < depth) step([&](int m, Floats* made) __attribute__((always_inline)) { rows.rest(m, i, made); });
  }
  UNROLL(int m = 0; m < M; m++) UNROLL(int r = 0; r < R; r++) y[r * outputs + rows.output(first + m)] = total<LANES>(sums[m][r]);
}

// Some outputs of R rows of x, M at a time.
template <int LANES, int M, int R, class Rows>
INLINE void across(const Rows& rows, int count, size_t depth, const float* x, size_t width, float* y, size_t outputs) {
  int m = 0;
  for (; m + M <= count; m += M) tile<LANES, M, R>(rows, m, depth, x, width, y, outputs);
  for (; m < count; m++) tile<LANES, 1, R>(rows, m, depth, x, width, y, outputs);
}

// Rows of x, at the start of a cache line, with zeros at their ends.
struct Given {
  const float* x;
  size_t rows, width;
};

// Outputs whose turn is from `from` to `to`, of all rows. R rows of x at a time, for as many rows of weights as stay in the nearest cache.
template <int LANES, int M, int R, int ALONE, class Rows>
INLINE void product(const Matrix& matrix, size_t from, size_t to, const Given& given, float* y) {
  const auto [x, rows, width] = given;
  const size_t depth = matrix.depth, outputs = matrix.outputs;
  Rows weights;
  for (size_t at = from; at < to; at += 8) {
    const int count = std::min<size_t>(8, to - at);
    weights.open(matrix, at, count);
    size_t r = 0;
    for (; r + R <= rows; r += R) across<LANES, M, R>(weights, count, depth, x + r * width, width, y + r * outputs, outputs);
    if constexpr (R > 4) {
      for (; r + 4 <= rows; r += 4) across<LANES, 4, 4>(weights, count, depth, x + r * width, width, y + r * outputs, outputs);
    }
    for (; r + 2 <= rows; r += 2) across<LANES, 4, 2>(weights, count, depth, x + r * width, width, y + r * outputs, outputs);
    if (r < rows) across<LANES, ALONE, 1>(weights, count, depth, x + r * width, width, y + r * outputs, outputs);
  }
}

// The same for one kind of processor: its vectors' numbers, and the tile that its registers hold.
template <int LANES, int M, int R>
INLINE void any(const Matrix& m, size_t from, size_t to, const Given& given, float* y) {
  switch (m.form) {
    case FLOAT32: return product<LANES, M, R, 8, Plain<LANES, float>>(m, from, to, given, y);
    case BF16: return product<LANES, M, R, 8, Plain<LANES, uint16_t>>(m, from, to, given, y);
    case NF4: return product<LANES, M, R, 4, Coded<LANES, 4, 0, false, 64>>(m, from, to, given, y);
    case INT8: case Q8_0: return product<LANES, M, R, 4, Coded<LANES, 8, 0, false, 32>>(m, from, to, given, y);
    case Q4_0: return product<LANES, M, R, 4, Coded<LANES, 4, 0, false, 32>>(m, from, to, given, y);
    case Q4_1: case Q4_K: return product<LANES, M, R, 4, Coded<LANES, 4, 0, true, 32>>(m, from, to, given, y);
    case Q5_0: return product<LANES, M, R, 4, Coded<LANES, 4, 1, false, 32>>(m, from, to, given, y);
    case Q5_1: case Q5_K: return product<LANES, M, R, 4, Coded<LANES, 4, 1, true, 32>>(m, from, to, given, y);
    case Q6_K: return product<LANES, M, R, 4, Coded<LANES, 4, 2, false, 16>>(m, from, to, given, y);
  }
}

using Kernel = void(const Matrix&, size_t, size_t, const Given&, float*);

#define VECTOR_KERNEL(NAME, TARGET, LANES, M, R)                                                          \
  TARGET inline void NAME(const Matrix& m, size_t from, size_t to, const Given& given, float* y) { \
    any<LANES, M, R>(m, from, to, given, y);                                                       \
  }

#if defined(__x86_64__)
VECTOR_KERNEL(withAvx512, __attribute__((target("avx512f,fma"))), 16, 2, 8)
VECTOR_KERNEL(withAvx2, __attribute__((target("avx2,fma"))), 8, 2, 4)
VECTOR_KERNEL(portable, , 4, 2, 4)
#else
VECTOR_KERNEL(portable, , 4, 2, 8)
#endif

}  // namespace vectors
