// CPU version. Rows are packed once into k-major panels (normalised for the plain form), then tiles of
// products above the diagonal are formed and folded at once. Blocks of 256 steps by 512 columns keep one
// operand in the level-2 cache.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "measures/kernels/weight_correlation.h"
#include "measures/numerics/parallel_for.h"

namespace gapbench::kernels {

namespace {

struct Variant {
  int mr, nr;
  void (*tile)(const float* a, const float* b, std::int64_t depth, bool fresh, float* out);
  double (*absolute_tile_sum)(const float* a, const float* b, std::int64_t depth);
  double (*absolute_sum)(const float* values);
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
#define MR 6
#define NV 2
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

const Variant& best_variant() {
#if defined(__x86_64__)
  static const Variant& chosen = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                                         __builtin_cpu_supports("avx512dq")
                                     ? avx512::variant
                                 : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
                                     ? avx2::variant
                                     : generic::variant;
  return chosen;
#else
  return generic::variant;
#endif
}

constexpr std::int64_t depth_block = 256, column_block = 512, row_block = 128;
constexpr int largest_tile = 8 * 48;

std::int64_t panels(std::int64_t n, std::int64_t width) {
  return (n + width - 1) / width;
}

// The rows of one matrix as panels of `width` rows: panel p, depth block d, step k, row r is at
// ((p * blocks + d) * depth_block + k) * width + r with the last depth block short; missing rows are zero.
struct Packed {
  std::int64_t width, length;
  std::vector<float> values;
  const float* at(std::int64_t panel, std::int64_t k0) const {
    return values.data() + (panel * length + k0) * width;
  }
};

void pack(const RowBatches& in, const float* base, const std::vector<double>& scale, std::int64_t width,
          Packed& out) {
  out.width = width;
  out.length = in.length;
  out.values.resize(static_cast<std::size_t>(panels(in.rows, width) * width * in.length));
  for (std::int64_t p = 0; p < panels(in.rows, width); ++p) {
    float* panel = out.values.data() + p * width * in.length;
    for (std::int64_t r = 0; r < width; ++r) {
      const std::int64_t i = p * width + r;
      if (i < in.rows) {
        const float* row = base + i * in.row_stride;
        const double s = scale[static_cast<std::size_t>(i)];
        for (std::int64_t k = 0; k < in.length; ++k)
          panel[k * width + r] = static_cast<float>(static_cast<double>(row[k]) * s);
      } else {
        for (std::int64_t k = 0; k < in.length; ++k) panel[k * width + r] = 0.0f;
      }
    }
  }
}

std::vector<double> row_norms(const RowBatches& in, const float* base) {
  std::vector<double> norms(static_cast<std::size_t>(in.rows));
  for (std::int64_t i = 0; i < in.rows; ++i) {
    const float* row = base + i * in.row_stride;
    double sum = 0;
    for (std::int64_t k = 0; k < in.length; ++k)
      sum += static_cast<double>(row[k]) * static_cast<double>(row[k]);
    norms[static_cast<std::size_t>(i)] = std::sqrt(sum);
  }
  return norms;
}

// Scratch of one thread.
struct Workspace {
  Packed a, b;
  std::vector<float> tiles;
  std::vector<float> norm;  // padded to whole tiles, for the smoothed form
};

// Folds the tiles above the diagonal of rows [i0, i1) of the packed matrix: sum over i < j of fold(product).
// `whole` folds a tile in memory that lies above the diagonal, `one` folds a single product; both return
// float64.
template <class Whole, class One>
double fold_rows(const Variant& v, const Workspace& w, std::int64_t rows, std::int64_t i0, std::int64_t i1,
                 bool fused, std::vector<float>& tiles, const Whole& whole, const One& one) {
  const std::int64_t length = w.a.length;
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
    if (fused) {
      float values[largest_tile];
      for (std::int64_t i = i0; i < i1; i += v.mr)
        for (std::int64_t j = std::max(j0, i / v.nr * v.nr); j < j1; j += v.nr) {
          const float *a = w.a.at(i / v.mr, 0), *b = w.b.at(j / v.nr, 0);
          if (i + v.mr <= j) {
            sum += v.absolute_tile_sum(a, b, length);
          } else {
            v.tile(a, b, length, true, values);
            sum += fold_tile(values, i, j);
          }
        }
      continue;
    }
    const std::int64_t across = (j1 - j0) / v.nr;
    tiles.resize(static_cast<std::size_t>(panels(i1 - i0, v.mr) * across * tile_size));
    for (std::int64_t k0 = 0; k0 < std::max<std::int64_t>(length, 1); k0 += depth_block)
      for (std::int64_t i = i0; i < i1; i += v.mr)
        for (std::int64_t j = std::max(j0, i / v.nr * v.nr); j < j1; j += v.nr)
          v.tile(w.a.at(i / v.mr, k0), w.b.at(j / v.nr, k0), std::min(depth_block, length - k0), k0 == 0,
                 tiles.data() + ((i - i0) / v.mr * across + (j - j0) / v.nr) * tile_size);
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

CosineSum plain(const RowBatches& in, std::int64_t batch, Workspace& w, int threads) {
  const Variant& v = best_variant();
  const float* base = in.data + batch * in.batch_stride;
  std::vector<double> scale = row_norms(in, base);
  CosineSum result;
  std::int64_t rows = 0;
  bool finite = true;
  for (double& s : scale) {
    finite = finite && std::isfinite(s);
    if (s == 0)
      ++result.zero_rows;
    else
      ++rows;
    s = s == 0 ? 0 : 1 / s;
  }
  result.pairs = rows * (rows - 1) / 2;
  if (!finite) {
    result.sum = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  pack(in, base, scale, v.mr, w.a);
  pack(in, base, scale, v.nr, w.b);
  const std::int64_t block = rows_a_block(v), blocks = panels(in.rows, block);
  std::vector<double> partial(static_cast<std::size_t>(blocks));
  std::vector<std::vector<float>> tiles(static_cast<std::size_t>(std::max(threads, 1)));
  const auto whole = [&v](const float* values, std::int64_t, std::int64_t) { return v.absolute_sum(values); };
  const auto one = [](float product, std::int64_t, std::int64_t) {
    return std::abs(static_cast<double>(product));
  };
  parallel_for(blocks, threads, [&](std::int64_t k, int t) {
    partial[static_cast<std::size_t>(k)] =
        fold_rows(v, w, in.rows, k * block, std::min((k + 1) * block, in.rows), in.length <= depth_block,
                  tiles[static_cast<std::size_t>(t)], whole, one);
  });
  for (const double p : partial) result.sum += p;
  return result;
}

double smoothed(const RowBatches& in, std::int64_t batch, double epsilon, Workspace& w, int threads) {
  const Variant& v = best_variant();
  const float* base = in.data + batch * in.batch_stride;
  if (in.rows == 0) return 0;
  const std::vector<double> norms = row_norms(in, base);
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
  const std::vector<double> unscaled(norms.size(), 1.0);
  pack(in, base, unscaled, v.mr, w.a);
  pack(in, base, unscaled, v.nr, w.b);
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
        fold_rows(v, w, in.rows, k * block, std::min((k + 1) * block, in.rows), false,
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

const char* cpu_variant() {
  const int nr = best_variant().nr;
  return nr == 48 ? "avx512" : nr == 16 ? "avx2" : "generic";
}

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
