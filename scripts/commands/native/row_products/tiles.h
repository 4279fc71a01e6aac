// Products of rows with weights in bf16 by the processor's tiles (AMX): sixteen outputs and up to sixteen columns at a time.
// Tiles multiply bf16 alone: a number of x is the sum of three of those, each an eighth-bit part of its 24 bits, which are
// columns of their own. So y is what float32 would give but for the order of its sums: numbers 0 to 31, 64 to 95, ... of a row
// one after the other, the others likewise, for each of the three parts; then these six sums. Numbers below 2^-126 count as 0.
#pragma once

#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define HAS_TILES 1

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#define WITH_TILES __attribute__((target("avx512f,fma,amx-tile,amx-bf16")))

namespace tiles {

// Outputs, pairs of a row's numbers, and columns of a tile; rows of x whose parts are computed together.
constexpr size_t OUTPUTS = 16, PAIRS = 16, COLUMNS = 16, TOGETHER = 16, PARTS = 3;
// Numbers of a row in a tile.
constexpr size_t DEPTH = 2 * PAIRS;

// Whether the processor has them and the system saves them; asks for leave to use them.
inline bool available() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned BF16 = 1u << 22, TILE = 1u << 24, FEATURE = 18, ASK = 0x1023;
  if ((d & BF16) == 0 || (d & TILE) == 0) return false;
  return syscall(SYS_arch_prctl, ASK, FEATURE) == 0;
}

struct alignas(64) Configuration {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
};

// Tiles 0 to 5 are sums, two for each group of columns; 6 has weights, 7 has x.
WITH_TILES inline void configure(size_t outputs) {
  Configuration made;
  for (int i = 0; i < 8; i++) {
    made.bytes[i] = 64;
    made.rows[i] = i == 7 ? PAIRS : outputs;
  }
  asm volatile("ldtilecfg %0" ::"m"(made) : "memory");
}

#define TILE_ZERO(T) asm volatile("tilezero %%tmm" #T ::: "memory")
#define TILE_LOAD(T, FROM, STRIDE) asm volatile("tileloadd (%0,%1,1), %%tmm" #T ::"r"(FROM), "r"((size_t)(STRIDE)) : "memory")
#define TILE_STORE(T, TO) asm volatile("tilestored %%tmm" #T ", (%0,%1,1)" ::"r"(TO), "r"((size_t)64) : "memory")
#define TILE_MULTIPLY(T) asm volatile("tdpbf16ps %%tmm7, %%tmm6, %%tmm" #T ::: "memory")

// Groups of columns that so many rows of x fill.
inline size_t groups(size_t rows) { return (PARTS * rows + COLUMNS - 1) / COLUMNS; }

// Numbers (of 2 bytes) that packed rows take.
inline size_t packed(size_t rows, size_t depth) {
  const size_t steps = (depth + DEPTH - 1) / DEPTH;
  size_t all = 0;
  for (size_t r = 0; r < rows; r += TOGETHER) all += groups(std::min(TOGETHER, rows - r)) * steps * PAIRS * COLUMNS * 2;
  return all;
}

// Rows of x as tiles: for each of up to 16 rows, by group and step, [pair][column][2]; column = part * rows + row.
WITH_TILES inline void pack(const float* x, size_t rows, size_t depth, uint32_t* to) {
  const size_t steps = (depth + DEPTH - 1) / DEPTH;
  for (size_t first = 0; first < rows; first += TOGETHER) {
    const size_t some = std::min(TOGETHER, rows - first), all = groups(some);
    memset(to, 0, all * steps * PAIRS * COLUMNS * sizeof *to);
    for (size_t r = 0; r < some; r++) {
      const float* row = x + (first + r) * depth;
      size_t place[PARTS];
      for (size_t part = 0; part < PARTS; part++) {
        const size_t column = part * some + r;
        place[part] = column / COLUMNS * steps * PAIRS * COLUMNS + column % COLUMNS;
      }
      for (size_t step = 0; step < steps; step++) {
        uint32_t bits[DEPTH] = {}, words[PARTS][PAIRS];
        memcpy(bits, row + step * DEPTH, std::min(DEPTH, depth - step * DEPTH) * sizeof(float));
        for (size_t part = 0; part < PARTS; part++) {
          for (size_t p = 0; p < PAIRS; p++) words[part][p] = bits[2 * p] >> 16 | (bits[2 * p + 1] & 0xffff0000u);
          if (part + 1 == PARTS) break;
          for (size_t i = 0; i < DEPTH; i++) {
            uint32_t high = bits[i] & 0xffff0000u;
            float value, taken;
            memcpy(&value, &bits[i], 4);
            memcpy(&taken, &high, 4);
            // Of what is not finite nothing is left.
            const float rest = (high & 0x7f800000u) == 0x7f800000u ? 0.0f : value - taken;
            memcpy(&bits[i], &rest, 4);
          }
        }
        for (size_t part = 0; part < PARTS; part++) {
          uint32_t* into = to + place[part] + step * PAIRS * COLUMNS;
          for (size_t p = 0; p < PAIRS; p++) into[p * COLUMNS] = words[part][p];
        }
      }
    }
    to += all * steps * PAIRS * COLUMNS;
  }
}

// Sums of up to 16 outputs and G groups of columns.
template <int G>
WITH_TILES inline void sums(const uint16_t* w, size_t outputs, size_t depth, const uint32_t* x, float* to) {
  const size_t whole = depth / DEPTH, steps = (depth + DEPTH - 1) / DEPTH, each = PAIRS * COLUMNS, group = steps * each;
  TILE_ZERO(0); TILE_ZERO(1);
  if constexpr (G > 1) { TILE_ZERO(2); TILE_ZERO(3); }
  if constexpr (G > 2) { TILE_ZERO(4); TILE_ZERO(5); }
  const char* ahead = (const char*)(w + outputs * depth);
  const size_t lines = (outputs * depth * 2 / 64 + steps - 1) / steps;
  alignas(64) uint16_t rest[OUTPUTS][DEPTH];
  for (size_t step = 0; step < steps; step++) {
    for (size_t i = 0; i < lines; i++) __builtin_prefetch(ahead + (step * lines + i) * 64, 0, 2);
    if (step < whole) {
      TILE_LOAD(6, w + step * DEPTH, depth * 2);
    } else {
      memset(rest, 0, sizeof rest);
      for (size_t m = 0; m < outputs; m++) memcpy(rest[m], w + m * depth + step * DEPTH, (depth - step * DEPTH) * 2);
      TILE_LOAD(6, rest, DEPTH * 2);
    }
    const uint32_t* of = x + step * each;
    if (step % 2 == 0) {
      TILE_LOAD(7, of, 64); TILE_MULTIPLY(0);
      if constexpr (G > 1) { TILE_LOAD(7, of + group, 64); TILE_MULTIPLY(2); }
      if constexpr (G > 2) { TILE_LOAD(7, of + 2 * group, 64); TILE_MULTIPLY(4); }
    } else {
      TILE_LOAD(7, of, 64); TILE_MULTIPLY(1);
      if constexpr (G > 1) { TILE_LOAD(7, of + group, 64); TILE_MULTIPLY(3); }
      if constexpr (G > 2) { TILE_LOAD(7, of + 2 * group, 64); TILE_MULTIPLY(5); }
    }
  }
  constexpr size_t TILE = OUTPUTS * COLUMNS;
  TILE_STORE(0, to); TILE_STORE(1, to + TILE);
  if constexpr (G > 1) { TILE_STORE(2, to + 2 * TILE); TILE_STORE(3, to + 3 * TILE); }
  if constexpr (G > 2) { TILE_STORE(4, to + 4 * TILE); TILE_STORE(5, to + 5 * TILE); }
}

// Outputs `from` to `to` of all rows.
WITH_TILES inline void product(const uint16_t* weights, size_t from, size_t to, size_t depth, const uint32_t* x, size_t rows,
                               float* y, size_t outputs) {
  const size_t steps = (depth + DEPTH - 1) / DEPTH;
  alignas(64) float made[6][OUTPUTS][COLUMNS];
  size_t configured = 0;
  for (size_t at = from; at < to; at += OUTPUTS) {
    const size_t count = std::min(OUTPUTS, to - at);
    if (count != configured) configure(configured = count);
    const uint16_t* w = weights + at * depth;
    const uint32_t* given = x;
    for (size_t first = 0; first < rows; first += TOGETHER) {
      const size_t some = std::min(TOGETHER, rows - first), all = groups(some);
      if (all == 1) sums<1>(w, count, depth, given, made[0][0]);
      else if (all == 2) sums<2>(w, count, depth, given, made[0][0]);
      else sums<3>(w, count, depth, given, made[0][0]);
      for (size_t r = 0; r < some; r++) {
        float* into = y + (first + r) * outputs + at;
        for (size_t m = 0; m < count; m++) {
          float sum[PARTS];
          for (size_t part = 0; part < PARTS; part++) {
            const size_t column = part * some + r, group = column / COLUMNS, within = column % COLUMNS;
            sum[part] = made[2 * group][m][within] + made[2 * group + 1][m][within];
          }
          into[m] = sum[0] + sum[1] + sum[2];
        }
      }
      given += all * steps * PAIRS * COLUMNS;
    }
  }
  asm volatile("tilerelease" ::: "memory");
}

}  // namespace tiles
#endif
