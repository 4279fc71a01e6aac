// What matrices are kept as, and where the parts of those in fewer bits are: the same as in dsl/quantise.ts and dsl/blocks.ts.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

// As the caller numbers them.
enum Form : int32_t { FLOAT32, BF16, INT8, NF4, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K };

// A matrix [outputs, depth]. In fewer bits: depth is a multiple of 32, of nf4 of 64, and a part of a byte has whole rows.
struct Matrix {
  const void* data;
  size_t outputs, depth;
  int32_t form;

  size_t bytes() const {
    const size_t count = outputs * depth;
    switch (form) {
      case FLOAT32: return 4 * count;
      case BF16: return 2 * count;
      case INT8: case Q8_0: return count;
      default: return count / 2;
    }
  }
};

// Numbers in a block and in a group of it, bits of a code, what is subtracted, whether there is a minimum, groups' scales.
struct Kind {
  size_t size, group;
  int low, high, offset;
  enum { NONE, ADDED, SUBTRACTED } minimum;
  enum { PLAIN, UNSIGNED, SIGNED } scales;
};

constexpr Kind KINDS[] = {
    {32, 32, 4, 0, 8, Kind::NONE, Kind::PLAIN},         {32, 32, 4, 0, 0, Kind::ADDED, Kind::PLAIN},
    {32, 32, 4, 1, 16, Kind::NONE, Kind::PLAIN},        {32, 32, 4, 1, 0, Kind::ADDED, Kind::PLAIN},
    {32, 32, 8, 0, 128, Kind::NONE, Kind::PLAIN},       {256, 32, 4, 0, 0, Kind::SUBTRACTED, Kind::UNSIGNED},
    {256, 32, 4, 1, 0, Kind::SUBTRACTED, Kind::UNSIGNED}, {256, 16, 4, 2, 32, Kind::NONE, Kind::SIGNED},
};

constexpr float NF4_VALUES[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

// The values of 8-bit dynamic floats, in order; they come from the caller, who computes them.
inline float dynamicValues[256];

// A number that the compiler does not see into: the product that it is stays rounded, whatever is added to it.
inline float apart(float value) {
  asm("" : "+m"(value));
  return value;
}

// Half precision; without subnormal numbers on the way, which processors may be told to take for 0.
[[gnu::always_inline]] inline float fromHalf(const uint8_t* at) {
  uint16_t half;
  memcpy(&half, at, 2);
  const uint32_t size = half & 0x7fff;
  const float small = (float)(int32_t)size * 0x1p-24f;
  uint32_t bits;
  memcpy(&bits, &small, 4);
  const uint32_t large = (size << 13) + (size < 0x7c00 ? 112u << 23 : 224u << 23);
  bits = (size < 0x400 ? bits : large) | (uint32_t)(half & 0x8000) << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

// Where a row's codes are, and what they are multiplied with: w = scale (code - offset) - minimum, or nf4's value times scale.
struct CodedRow {
  const uint8_t *low, *high;
  int lowShift, highShift;
  const float *scales, *minima;
  // Which it is.
  size_t output;
};

// Some rows of a matrix in fewer bits.
class CodedRows {
 public:
  CodedRow row[8];
  float offset = 0;
  // Of codes of four bits, what each stands for.
  float values[16] = {};
  // A group's numbers are 2 to this; a row's, of int8.
  int group = 31;

  // `Wide` makes floats of many halves and bytes at a time, and may write SPARE of them more than it is asked for.
  template <class Wide>
  [[gnu::always_inline]] inline void open(const Matrix& m, size_t from, size_t count) {
    const uint8_t* data = (const uint8_t*)m.data;
    if (m.form == INT8) return openInt8(m, data, from, count);
    if (m.form == NF4) return openNf4(m, data, from, count);
    const Kind& kind = KINDS[m.form - Q4_0];
    const size_t all = m.outputs * m.depth, blocks = m.depth / kind.size, groups = m.depth / kind.group;
    const uint8_t* at = data;
    auto part = [&](size_t bytes) { return (at += bytes) - bytes; };
    const uint8_t* d = part(2 * all / kind.size);
    const uint8_t* e = part(kind.minimum == Kind::NONE ? 0 : 2 * all / kind.size);
    const uint8_t* s = part(kind.scales == Kind::PLAIN ? 0 : all / kind.group);
    const uint8_t* least = part(kind.minimum == Kind::SUBTRACTED ? all / kind.group : 0);
    const uint8_t* low = part(all * kind.low / 8);
    const uint8_t* high = at;
    offset = kind.offset;
    group = kind.group == 16 ? 4 : 5;
    for (int i = 0; i < 16; i++) values[i] = (float)(i - kind.offset);
    const size_t each = kind.size / kind.group, own = std::max(groups, blocks) + Wide::SPARE;
    room((2 * count + 1) * own);
    float* ofBlock = numbers.data() + 2 * count * own;
    for (size_t i = 0; i < count; i++) {
      const size_t at = place(i, m, from + i, low, kind.low, high, kind.high), block = at * blocks, first = at * groups;
      float *scale = numbers.data() + 2 * i * own, *minimum = scale + own;
      row[i].scales = scale;
      row[i].minima = minimum;
      Wide::halves(kind.scales == Kind::PLAIN ? scale : ofBlock, d + 2 * block, blocks);
      if (kind.scales == Kind::SIGNED) Wide::spread(scale, ofBlock, (const int8_t*)s + first, groups, each);
      if (kind.scales == Kind::UNSIGNED) Wide::spread(scale, ofBlock, s + first, groups, each);
      if (kind.minimum == Kind::NONE) continue;
      Wide::halves(kind.minimum == Kind::ADDED ? minimum : ofBlock, e + 2 * block, blocks);
      if (kind.minimum == Kind::SUBTRACTED) Wide::spread(minimum, ofBlock, least + first, groups, each);
      else for (size_t b = 0; b < blocks; b++) minimum[b] = -minimum[b];
    }
  }

 private:
  std::vector<float> numbers;

  void room(size_t count) {
    if (numbers.size() < count) numbers.resize(count);
  }

  // A byte has the bits of a number of the first part of the matrix in its lowest ones, those of the second in the next, ...
  static void locate(const Matrix& m, size_t at, const uint8_t* plane, int bits, const uint8_t*& to, int& shift) {
    const size_t rows = bits == 0 || bits == 8 ? m.outputs : m.outputs * bits / 8;
    to = plane + at % rows * m.depth;
    shift = bits == 0 || bits == 8 ? 0 : (int)(at / rows) * bits;
  }

  // Rows that share bytes are neighbours in the order in which they are taken, so that memory gives each byte once.
  size_t place(size_t i, const Matrix& m, size_t turn, const uint8_t* low, int lowBits, const uint8_t* high, int highBits) {
    const size_t parts = 8 / (highBits > 0 ? highBits : lowBits), at = turn % parts * (m.outputs / parts) + turn / parts;
    row[i].output = at;
    locate(m, at, low, lowBits, row[i].low, row[i].lowShift);
    locate(m, at, high, highBits, row[i].high, row[i].highShift);
    return at;
  }

  void openInt8(const Matrix& m, const uint8_t* data, size_t from, size_t count) {
    offset = 128;
    group = 31;
    for (size_t i = 0; i < count; i++) {
      row[i].scales = (const float*)data + place(i, m, from + i, data + 4 * m.outputs, 8, nullptr, 0);
    }
  }

  [[gnu::always_inline]] inline void openNf4(const Matrix& m, const uint8_t* data, size_t from, size_t count) {
    constexpr size_t BLOCK = 64, OUTER = 256;
    const size_t blocks = m.outputs * m.depth / BLOCK, each = m.depth / BLOCK, outer = (blocks + OUTER - 1) / OUTER;
    const float* given = (const float*)data;
    const uint8_t* maxima = data + 4 * (1 + outer);
    group = 6;
    memcpy(values, NF4_VALUES, sizeof values);
    room(each * count);
    for (size_t i = 0; i < count; i++) {
      float* scale = numbers.data() + i * each;
      const size_t first = place(i, m, from + i, maxima + blocks, 4, nullptr, 0) * each;
      row[i].scales = scale;
      for (size_t b = 0; b < each; b++) {
        const size_t block = first + b;
        scale[b] = apart(dynamicValues[maxima[block]] * given[1 + block / OUTER]) + given[0];
      }
    }
  }
};
