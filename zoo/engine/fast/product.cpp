// Loops: columns in strips of one tile, the sum in blocks whose part of B stays in the level-1 cache, then rows.
// Rows are split evenly over tiles, so that none is nearly empty.
#include "zoo/engine/fast/product.h"

#include <algorithm>
#include <utility>

#include "zoo/engine/fast/instruction_set.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gapbench::fast {

namespace {

struct TileArguments {
  const float* a;
  const std::int32_t* row;
  const float* b;
  std::int64_t ldb, depth;
  float* c;
  const std::int32_t* c_row;  // plain tiles
  std::int64_t ldc;           // transposed tiles
  const float* bias;
  int last;
  int rows;  // narrow tiles
  bool accumulate, relu;
};

using Tile = void (*)(const TileArguments&);
constexpr int most_rows = 16;
constexpr int narrow_step = 4, narrow_rows = 24, narrow_transposed_step = 16, narrow_transposed_rows = 48;

struct Tiles {
  int vector;
  int rows[4];  // most rows of a tile of 1, 2, 3, 4 registers a row; 0: no such tile
  Tile plain[4][most_rows], transposed[4][most_rows];
  int narrow_columns;                      // most columns of a narrow strip; 0: there are none
  Tile narrow[narrow_rows / narrow_step];  // of 4, 8, ... rows
  Tile narrow_transposed[narrow_transposed_rows / narrow_transposed_step];  // of 16, 32, ... rows

  // The tile for a strip of this many registers (0: narrow) and rows; most rows of one.
  Tile plain_tile(int registers, int count) const {
    return registers > 0 ? plain[registers - 1][count - 1] : narrow[(count - 1) / narrow_step];
  }
  Tile transposed_tile(int registers, int count) const {
    return registers > 0 ? transposed[registers - 1][count - 1]
                         : narrow_transposed[(count - 1) / narrow_transposed_step];
  }
  int most(int registers) const { return registers > 0 ? rows[registers - 1] : narrow_rows; }
  int most_transposed(int registers) const {
    return registers > 0 ? rows[registers - 1] : narrow_transposed_rows;
  }
};

#if defined(__x86_64__)
namespace avx512 {
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,fma,prefer-vector-width=512")
#define VECTOR 16
#define MASKED
#define ROWS1 12
#define ROWS2 12
#define ROWS3 8
#define ROWS4 6
#include "zoo/engine/fast/product_tile.inc"
#undef MASKED
#pragma GCC pop_options
}  // namespace avx512
namespace avx2 {
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define VECTOR 8
#define ROWS1 8
#define ROWS2 6
#define ROWS3 4
#define ROWS4 0
#include "zoo/engine/fast/product_tile.inc"
#pragma GCC pop_options
}  // namespace avx2
#endif
namespace generic {
#define VECTOR 4
#define ROWS1 8
#define ROWS2 6
#define ROWS3 0
#define ROWS4 0
#include "zoo/engine/fast/product_tile.inc"
}  // namespace generic

const Tiles& tiles_for_this_machine() {
  switch (instruction_set()) {
#if defined(__x86_64__)
    case InstructionSet::avx512:
      return avx512::tiles;
    case InstructionSet::avx2:
      return avx2::tiles;
#endif
    default:
      return generic::tiles;
  }
}

// Floats of B that a block of the sum may take: a part of a level-2 cache.
constexpr std::int64_t block_floats = 65536;

// Calls strip(first column, registers a row, floats in the last register) over n columns; 0 registers are a narrow strip.
template <class Strip>
void for_each_strip(const Tiles& t, std::int64_t n, const Strip& strip) {
  int widest = 4;
  while (t.rows[widest - 1] == 0) --widest;
  if (const auto rest = static_cast<int>(n % t.vector); rest > 0 && rest <= t.narrow_columns) {
    n -= rest;
    strip(n, 0, rest);
  }
  const std::int64_t registers = (n + t.vector - 1) / t.vector;
  const std::int64_t strips = (registers + widest - 1) / widest;
  std::int64_t first = 0;
  for (std::int64_t s = 0; s < strips; ++s) {
    const std::int64_t end = registers * (s + 1) / strips;
    const auto last = static_cast<int>(std::min<std::int64_t>(t.vector, n - (end - 1) * t.vector));
    strip(first * t.vector, static_cast<int>(end - first), last);
    first = end;
  }
}

// Calls tile(first row, rows) over m rows in tiles of nearly the same height.
template <class Call>
void for_each_tile(std::int64_t m, int most, const Call& call) {
  const std::int64_t count = (m + most - 1) / most;
  std::int64_t first = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t end = m * (i + 1) / count;
    call(first, static_cast<int>(end - first));
    first = end;
  }
}

}  // namespace

void multiply(const float* a, const std::int32_t* row, std::int64_t m, const std::int32_t* tap,
              std::int64_t taps, std::int64_t depth, const float* b, std::int64_t ldb, std::int64_t n,
              float* c, const std::int32_t* c_row, const Finish& finish) {
  const Tiles& t = tiles_for_this_machine();
  for_each_strip(t, n, [&](std::int64_t j, int registers, int last) {
    const std::int64_t block = std::max<std::int64_t>(16, block_floats / (std::max(1, registers) * t.vector));
    const std::int64_t blocks = (depth + block - 1) / block;
    for (std::int64_t at = 0; at < taps * blocks; ++at) {
      const std::int64_t i = at / blocks, k = depth * (at % blocks) / blocks,
                         end = depth * (at % blocks + 1) / blocks;
      TileArguments args;
      args.a = a + tap[i] + k;
      args.b = b + (i * depth + k) * ldb + j;
      args.ldb = ldb;
      args.depth = end - k;
      args.c = c + j;
      args.bias = finish.bias != nullptr ? finish.bias + j : nullptr;
      args.last = last;
      args.accumulate = at > 0 || finish.accumulate;
      args.relu = finish.relu && at + 1 == taps * blocks;
      for_each_tile(m, t.most(registers), [&](std::int64_t first, int rows) {
        args.row = row + first;
        args.c_row = c_row + first;
        args.rows = rows;
        t.plain_tile(registers, rows)(args);
      });
    }
  });
}

void multiply_transposed(const float* a, const std::int32_t* row, std::int64_t m, std::int64_t depth,
                         const float* b, std::int64_t ldb, std::int64_t n, float* c, bool accumulate) {
  const Tiles& t = tiles_for_this_machine();
  for_each_strip(t, n, [&](std::int64_t j, int registers, int last) {
    const std::int64_t block = std::max<std::int64_t>(16, block_floats / (std::max(1, registers) * t.vector));
    const std::int64_t blocks = (m + block - 1) / block;
    for (std::int64_t at = 0; at < blocks; ++at) {
      const std::int64_t i = m * at / blocks, end = m * (at + 1) / blocks;
      TileArguments args;
      args.row = row + i;
      args.b = b + i * ldb + j;
      args.ldb = ldb;
      args.depth = end - i;
      args.ldc = n;
      args.last = last;
      args.accumulate = at > 0 || accumulate;
      for_each_tile(depth, t.most_transposed(registers), [&](std::int64_t first, int rows) {
        args.a = a + first;
        args.c = c + first * n + j;
        args.rows = rows;
        t.transposed_tile(registers, rows)(args);
      });
    }
  });
}

}  // namespace gapbench::fast
