// CPU version. Rows are packed once into k-major panels (normalised for the plain form), which serve as either factor; tiles
// of products above the diagonal are formed and folded at once. A panel's block of steps stays in the level-1 cache while the
// rows pass by, a block of rows and of columns in the level-2 cache.
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "measures/kernels/weight_correlation.h"
#include "measures/numerics/clones.h"
#include "measures/numerics/instruction_set.h"
#include "measures/numerics/parallel_for.h"

namespace gapbench::kernels {

namespace {

// Values that will be read soon.
struct Ahead {
  const float* data = nullptr;
  std::int64_t floats = 0;
};

struct Variant {
  int mr, nr;
  void (*tile)(const float* a, const float* b, std::int64_t depth, bool fresh, float* out, std::int64_t below,
               std::int64_t columns, Ahead next);
  double (*absolute_sum)(const float* a, const float* b, std::int64_t depth, std::int64_t columns,
                         std::int64_t b_stride, const float* tiles, std::int64_t below);
  double (*smoothed_sum)(const float* values, const float* row_norm, const float* column_norm, float epsilon);
};

#if defined(__x86_64__)
namespace avx512 {
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,fma,prefer-vector-width=512")
#define VECTOR 16
#define MR 8
#define NV 3
#include "measures/kernels/weight_correlation_tile.inc"
#pragma GCC pop_options
}  // namespace avx512
namespace avx2 {
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define VECTOR 8
#define MR 4
#define NV 3
#include "measures/kernels/weight_correlation_tile.inc"
#pragma GCC pop_options
}  // namespace avx2
#endif
namespace generic {
#define VECTOR 4
#define MR 4
#define NV 2
#include "measures/kernels/weight_correlation_tile.inc"
}  // namespace generic

const Variant& variant_in_use() {
  switch (instruction_set()) {
#if defined(__x86_64__)
    case InstructionSet::avx512:
      return avx512::variant;
    case InstructionSet::avx2:
      return avx2::variant;
#endif
    default:
      return generic::variant;
  }
}

constexpr std::int64_t depth_block = 128, column_block = 480, row_block = 192;
constexpr int largest_tile = 8 * 48;

std::int64_t panels(std::int64_t n, std::int64_t width) {
  return (n + width - 1) / width;
}

struct Free {
  void operator()(float* p) const { std::free(p); }
};

// Large ones in large pages, where the system has them: a block of steps touches many panels, each in pages of its own.
float* allocate(std::size_t floats) {
  constexpr std::size_t page = std::size_t{1} << 21;
  const std::size_t bytes = floats * sizeof(float), whole = (bytes + page - 1) / page * page;
  const bool large = bytes >= 2 * page;
  void* const p = large ? std::aligned_alloc(page, whole) : std::malloc(std::max(bytes, sizeof(float)));
  if (p == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  if (large) madvise(p, whole, MADV_HUGEPAGE);
#endif
  return static_cast<float*>(p);
}

// The rows of one matrix as panels of nr rows: step k of row i is at ((i / nr) * length + k) * nr + i % nr; rows that are
// missing to a multiple of 16 are zero.
struct Packed {
  std::int64_t nr = 0, length = 0;
  std::unique_ptr<float[], Free> values;
  std::size_t capacity = 0;
  void resize(std::int64_t rows, std::int64_t nr_, std::int64_t length_) {
    nr = nr_;
    length = length_;
    const auto size = static_cast<std::size_t>(panels(rows, nr) * nr * length);
    if (size <= capacity) return;
    values.reset(allocate(size));  // not set: a large one is written by the threads that pack
    capacity = size;
  }
  const float* at(std::int64_t row, std::int64_t step) const {
    return values.get() + (row / nr * length + step) * nr + row % nr;
  }
};

GAPBENCH_CLONES double sum_of_squares(const float* w, std::int64_t n) {
  constexpr int lanes = 16;
  double part[lanes] = {}, sum = 0;
  std::int64_t k = 0;
  for (; k + lanes <= n; k += lanes)
    for (int i = 0; i < lanes; ++i) part[i] += static_cast<double>(w[k + i]) * static_cast<double>(w[k + i]);
  for (; k < n; ++k) sum += static_cast<double>(w[k]) * static_cast<double>(w[k]);
  if (n >= lanes)
    for (const double p : part) sum += p;
  return sum;
}

double norm_of(const RowBatches& in, const float* base, std::int64_t i) {
  return std::sqrt(sum_of_squares(base + i * in.row_stride, in.length));
}

// Packs panel p, row i times scale[i].
void pack(const RowBatches& in, const float* base, const std::vector<double>& scale, std::int64_t p,
          Packed& out) {
  constexpr std::int64_t steps =
      64;  // of a panel: what is written stays in the level-1 cache until it is whole
  const std::int64_t nr = out.nr;
  float* const panel = out.values.get() + p * nr * in.length;
  const std::int64_t used =
      std::min(nr, panels(in.rows - p * nr, 16) * 16);  // registers behind them are never read
  for (std::int64_t k0 = 0; k0 < in.length; k0 += steps)
    for (std::int64_t r = 0; r < used; ++r) {
      const std::int64_t i = p * nr + r, end = std::min(k0 + steps, in.length);
      if (i >= in.rows) {
        for (std::int64_t k = k0; k < end; ++k) panel[k * nr + r] = 0.0f;
        continue;
      }
      const float* const row = base + i * in.row_stride;
      const double s = scale[static_cast<std::size_t>(i)];
      for (std::int64_t k = k0; k < end; ++k)
        panel[k * nr + r] = static_cast<float>(static_cast<double>(row[k]) * s);
    }
}

std::vector<double> row_norms(const RowBatches& in, const float* base) {
  std::vector<double> norms(static_cast<std::size_t>(in.rows));
  for (std::int64_t i = 0; i < in.rows; ++i) norms[static_cast<std::size_t>(i)] = norm_of(in, base, i);
  return norms;
}

// The rows' norms, and the rows packed: each divided by its norm, or as it is. A panel's rows are read once from memory, as the
// norms leave them in the level-2 cache.
std::vector<double> norms_and_panels(const RowBatches& in, const float* base, bool divide, std::int64_t nr,
                                     int threads, Packed& out) {
  out.resize(in.rows, nr, in.length);
  std::vector<double> norms(static_cast<std::size_t>(in.rows)), scale(norms.size(), 1.0);
  parallel_for(panels(in.rows, nr), threads, [&](std::int64_t p, int) {
    for (std::int64_t i = p * nr; i < std::min(in.rows, (p + 1) * nr); ++i) {
      const auto at = static_cast<std::size_t>(i);
      norms[at] = norm_of(in, base, i);
      if (divide) scale[at] = norms[at] == 0 ? 0 : 1 / norms[at];
    }
    pack(in, base, scale, p, out);
  });
  return norms;
}

// Scratch of one thread.
struct Workspace {
  Packed packed;
  std::vector<float> norm;  // padded to whole tiles, for the smoothed form
};

// Folds the tiles above the diagonal of rows [i0, i1) of the packed matrix: sum over i < j of fold(product).
// `whole` folds a tile in memory that lies above the diagonal, `one` folds a single product; both return
// float64.
template <class Whole, class One>
double fold_rows(const Variant& v, const Workspace& w, std::int64_t rows, std::int64_t i0, std::int64_t i1,
                 std::vector<float>& tiles, const Whole& whole, const One& one) {
  const std::int64_t length = w.packed.length;
  const std::int64_t columns_a_block = std::max<std::int64_t>(1, column_block / v.nr) * v.nr;
  const int tile_size = v.mr * v.nr;
  double sum = 0;
  const auto fold_tile = [&](const float* values, std::int64_t i, std::int64_t j) {
    if (i + v.mr <= j)
      return whole(values, i, j);  // missing rows and columns are zero, and fold to zero or are masked
    double partial = 0;
    for (int r = 0; r < v.mr; ++r)
      for (int c = 0; c < v.nr; ++c)
        if (i + r < j + c && i + r < rows && j + c < rows) partial += one(values[r * v.nr + c], i + r, j + c);
    return partial;
  };
  for (std::int64_t j0 = i0 / v.nr * v.nr; j0 < rows; j0 += columns_a_block) {
    const std::int64_t j1 = std::min(j0 + columns_a_block, panels(rows, v.nr) * v.nr);
    const std::int64_t across = (j1 - j0) / v.nr;
    tiles.resize(static_cast<std::size_t>(panels(i1 - i0, v.mr) * across * tile_size));
    for (std::int64_t k0 = 0; k0 < std::max<std::int64_t>(length, 1); k0 += depth_block)
      for (std::int64_t i = i0; i < i1; i += v.mr)
        for (std::int64_t j = std::max(j0, i / v.nr * v.nr); j < j1; j += v.nr)
          v.tile(w.packed.at(i, k0), w.packed.at(j, k0), std::min(depth_block, length - k0), k0 == 0,
                 tiles.data() + ((i - i0) / v.mr * across + (j - j0) / v.nr) * tile_size, i - j, rows - j,
                 {});
    for (std::int64_t i = i0; i < i1; i += v.mr)
      for (std::int64_t j = std::max(j0, i / v.nr * v.nr); j < j1; j += v.nr)
        sum += fold_tile(tiles.data() + ((i - i0) / v.mr * across + (j - j0) / v.nr) * tile_size, i, j);
  }
  return sum;
}

// Row blocks are whole panels, so that no tile is shared between two of them.
std::int64_t rows_a_block(const Variant& v) {
  return std::max<std::int64_t>(1, row_block / v.mr) * v.mr;
}

// Sum of the absolute products of rows [i0, i1) with the rows behind each of them. The last block of steps is folded as it is
// formed; missing rows are zero.
double absolute_rows(const Variant& v, const Workspace& w, std::int64_t rows, std::int64_t i0,
                     std::int64_t i1, std::vector<float>& tiles) {
  const std::int64_t length = w.packed.length,
                     columns_a_block = std::max<std::int64_t>(1, column_block / v.nr) * v.nr;
  const std::int64_t tile_size = v.mr * v.nr,
                     last = length > 256 ? (length - 1) / depth_block * depth_block : 0;
  const std::int64_t share = depth_block * v.nr / panels(row_block, v.mr) / 16 * 16;
  double sum = 0;
  for (std::int64_t j0 = i0 / v.nr * v.nr; j0 < rows; j0 += columns_a_block) {
    const std::int64_t j1 = std::min(j0 + columns_a_block, panels(rows, v.nr) * v.nr),
                       across = (j1 - j0) / v.nr;
    if (last > 0) tiles.resize(static_cast<std::size_t>(panels(i1 - i0, v.mr) * across * tile_size));
    const auto tile = [&](std::int64_t i, std::int64_t j) {
      return tiles.data() + ((i - i0) / v.mr * across + (j - j0) / v.nr) * tile_size;
    };
    for (std::int64_t k = 0; k < last; k += depth_block)
      for (std::int64_t j = j0; j < j1; j += v.nr) {
        // the next panel's steps, or this block of columns' next steps; each tile of the block of rows takes its share
        const float* const next = j + v.nr < j1 ? w.packed.at(j + v.nr, k) : w.packed.at(j0, k + depth_block);
        for (std::int64_t i = i0; i < std::min(i1, j + v.nr); i += v.mr)
          v.tile(w.packed.at(i, k), w.packed.at(j, k), depth_block, k == 0, tile(i, j), i - j, rows - j,
                 {next + (i - i0) / v.mr * share, share});
      }
    for (std::int64_t i = i0; i < i1; i += v.mr) {
      const std::int64_t j = std::max(j0, i / v.nr * v.nr);
      if (j < j1)
        sum += v.absolute_sum(w.packed.at(i, last), w.packed.at(j, last), length - last,
                              std::min(j1, rows) - j, length * v.nr, last > 0 ? tile(i, j) : nullptr, i - j);
    }
  }
  return sum;
}

CosineSum plain(const RowBatches& in, std::int64_t batch, Workspace& w, int threads) {
  const Variant& v = variant_in_use();
  const float* base = in.data + batch * in.batch_stride;
  const std::vector<double> norms = norms_and_panels(in, base, true, v.nr, threads, w.packed);
  CosineSum result;
  bool finite = true;
  for (const double n : norms) {
    finite = finite && std::isfinite(n);
    result.zero_rows += n == 0;
  }
  const std::int64_t rows = in.rows - result.zero_rows;
  result.pairs = rows * (rows - 1) / 2;
  if (!finite) {
    result.sum = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  const std::int64_t block = rows_a_block(v), blocks = panels(in.rows, block);
  std::vector<double> partial(static_cast<std::size_t>(blocks));
  std::vector<std::vector<float>> tiles(static_cast<std::size_t>(std::max(threads, 1)));
  parallel_for(blocks, threads, [&](std::int64_t k, int t) {
    partial[static_cast<std::size_t>(k)] = absolute_rows(
        v, w, in.rows, k * block, std::min((k + 1) * block, in.rows), tiles[static_cast<std::size_t>(t)]);
  });
  for (const double p : partial) result.sum += p;
  return result;
}

double smoothed(const RowBatches& in, std::int64_t batch, double epsilon, Workspace& w, int threads) {
  const Variant& v = variant_in_use();
  const float* base = in.data + batch * in.batch_stride;
  if (in.rows == 0) return 0;
  const std::vector<double> norms = norms_and_panels(in, base, false, v.nr, threads, w.packed);
  const double largest = *std::max_element(norms.begin(), norms.end());
  for (const double n : norms)
    if (!std::isfinite(n)) return std::numeric_limits<double>::quiet_NaN();
  if (largest > 1e15) {  // products would leave float32
    double mean = 0;
    RowBatches one = in;
    one.data = base;
    one.batches = 1;
    smoothed_cosine_means_ref(one, epsilon, &mean);
    return mean;
  }
  w.norm.assign(
      static_cast<std::size_t>(std::max(panels(in.rows, v.nr) * v.nr, panels(in.rows, v.mr) * v.mr)), 0.0f);
  for (std::size_t i = 0; i < norms.size(); ++i) w.norm[i] = static_cast<float>(norms[i]);
  const auto e = static_cast<float>(epsilon);
  const auto one = [&](float product, std::int64_t i, std::int64_t j) {
    return std::abs((static_cast<double>(product) + epsilon) /
                    (norms[static_cast<std::size_t>(i)] * norms[static_cast<std::size_t>(j)] + epsilon));
  };
  const auto whole = [&](const float* values, std::int64_t i, std::int64_t j) {
    if (i + v.mr <= in.rows && j + v.nr <= in.rows)
      return v.smoothed_sum(values, w.norm.data() + i, w.norm.data() + j, e);
    double sum = 0;  // a missing row would fold to e / e = 1
    for (int r = 0; r < v.mr; ++r)
      for (int c = 0; c < v.nr; ++c)
        if (i + r < in.rows && j + c < in.rows) sum += one(values[r * v.nr + c], i + r, j + c);
    return sum;
  };
  const std::int64_t block = rows_a_block(v), blocks = panels(in.rows, block);
  std::vector<double> partial(static_cast<std::size_t>(blocks));
  std::vector<std::vector<float>> tiles(static_cast<std::size_t>(std::max(threads, 1)));
  parallel_for(blocks, threads, [&](std::int64_t k, int t) {
    partial[static_cast<std::size_t>(k)] =
        fold_rows(v, w, in.rows, k * block, std::min((k + 1) * block, in.rows),
                  tiles[static_cast<std::size_t>(t)], whole, one);
  });
  double sum = 0;
  for (const double p : partial) sum += p;
  const auto n = static_cast<double>(in.rows);
  return (2 * sum + n) / (n * n);  // each diagonal entry is (|w|^2 + e) / (|w|^2 + e) = 1
}

// Many small matrices: one thread each. Few large ones: threads within each.
template <class Compute>
void over_batches(const RowBatches& in, int threads, const Compute& compute) {
  if (in.batches >= threads) {
    std::vector<Workspace> workspaces(static_cast<std::size_t>(std::max(threads, 1)));
    parallel_for(in.batches, threads,
                 [&](std::int64_t b, int t) { compute(b, workspaces[static_cast<std::size_t>(t)], 1); });
  } else {
    Workspace workspace;
    for (std::int64_t b = 0; b < in.batches; ++b) compute(b, workspace, threads);
  }
}

}  // namespace

void absolute_cosine_sums(const RowBatches& in, CosineSum* out, int threads) {
  over_batches(in, threads,
               [&](std::int64_t b, Workspace& w, int inner) { out[b] = plain(in, b, w, inner); });
}

void smoothed_cosine_means(const RowBatches& in, double epsilon, double* out, int threads) {
  over_batches(in, threads,
               [&](std::int64_t b, Workspace& w, int inner) { out[b] = smoothed(in, b, epsilon, w, inner); });
}

void signed_cosine_sums(const RowBatches& in, CosineSum* out) {
  std::vector<double> mean(static_cast<std::size_t>(in.length));
  for (std::int64_t b = 0; b < in.batches; ++b) {
    const float* base = in.data + b * in.batch_stride;
    const std::vector<double> norms = row_norms(in, base);
    std::fill(mean.begin(), mean.end(), 0.0);
    CosineSum result;
    std::int64_t rows = 0;
    for (std::int64_t i = 0; i < in.rows; ++i) {
      const double n = norms[static_cast<std::size_t>(i)];
      if (n == 0) {
        ++result.zero_rows;
        continue;
      }
      ++rows;
      for (std::int64_t k = 0; k < in.length; ++k)
        mean[static_cast<std::size_t>(k)] += static_cast<double>(base[i * in.row_stride + k]) / n;
    }
    double square = 0;
    for (const double m : mean) square += m * m;
    result.pairs = rows * (rows - 1) / 2;
    result.sum = (square - static_cast<double>(rows)) / 2;
    out[b] = result;
  }
}

}  // namespace gapbench::kernels
