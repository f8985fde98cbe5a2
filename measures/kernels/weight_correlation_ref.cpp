#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "measures/kernels/weight_correlation.h"

namespace gapbench::kernels {

namespace {

double dot(const float* a, const float* b, std::int64_t n) {
  double sum = 0;
  for (std::int64_t k = 0; k < n; ++k) sum += static_cast<double>(a[k]) * static_cast<double>(b[k]);
  return sum;
}

std::vector<double> norms(const RowBatches& in, const float* base) {
  std::vector<double> n;
  for (std::int64_t i = 0; i < in.rows; ++i) {
    const float* row = base + i * in.row_stride;
    n.push_back(std::sqrt(dot(row, row, in.length)));
  }
  return n;
}

}  // namespace

void absolute_cosine_sums_ref(const RowBatches& in, CosineSum* out) {
  for (std::int64_t b = 0; b < in.batches; ++b) {
    const float* base = in.data + b * in.batch_stride;
    const std::vector<double> norm = norms(in, base);
    CosineSum result;
    for (std::int64_t i = 0; i < in.rows; ++i) {
      const double ni = norm[static_cast<std::size_t>(i)];
      if (!std::isfinite(ni)) result.sum = std::numeric_limits<double>::quiet_NaN();
      result.zero_rows += ni == 0;
      for (std::int64_t j = i + 1; j < in.rows; ++j) {
        const double nj = norm[static_cast<std::size_t>(j)];
        if (ni == 0 || nj == 0) continue;
        ++result.pairs;
        result.sum +=
            std::abs(dot(base + i * in.row_stride, base + j * in.row_stride, in.length)) / (ni * nj);
      }
    }
    out[b] = result;
  }
}

void smoothed_cosine_means_ref(const RowBatches& in, double epsilon, double* out) {
  for (std::int64_t b = 0; b < in.batches; ++b) {
    const float* base = in.data + b * in.batch_stride;
    const std::vector<double> norm = norms(in, base);
    double sum = 0;
    for (std::int64_t i = 0; i < in.rows; ++i)
      for (std::int64_t j = 0; j < in.rows; ++j)
        sum += std::abs((dot(base + i * in.row_stride, base + j * in.row_stride, in.length) + epsilon) /
                        (norm[static_cast<std::size_t>(i)] * norm[static_cast<std::size_t>(j)] + epsilon));
    out[b] = in.rows > 0 ? sum / (static_cast<double>(in.rows) * static_cast<double>(in.rows)) : 0;
  }
}

void absolute_cosine_gradients_ref(const RowBatches& in, float* gradient) {
  std::vector<double> row(static_cast<std::size_t>(in.length));
  for (std::int64_t b = 0; b < in.batches; ++b) {
    const float* base = in.data + b * in.batch_stride;
    const std::vector<double> norm = norms(in, base);
    const bool finite = std::all_of(norm.begin(), norm.end(), [](double n) { return std::isfinite(n); });
    for (std::int64_t i = 0; i < in.rows; ++i) {
      const double ni = norm[static_cast<std::size_t>(i)];
      const float* const wi = base + i * in.row_stride;
      std::fill(row.begin(), row.end(), finite ? 0.0 : std::numeric_limits<double>::quiet_NaN());
      for (std::int64_t j = 0; j < in.rows && finite && ni > 0; ++j) {
        const double nj = norm[static_cast<std::size_t>(j)];
        if (j == i || nj == 0) continue;
        const float* const wj = base + j * in.row_stride;
        const double cosine = dot(wi, wj, in.length) / (ni * nj), sign = (cosine > 0) - (cosine < 0);
        for (std::int64_t k = 0; k < in.length; ++k)
          row[static_cast<std::size_t>(k)] +=
              sign * (static_cast<double>(wj[k]) / nj - cosine * static_cast<double>(wi[k]) / ni) / ni;
      }
      for (std::int64_t k = 0; k < in.length; ++k)
        gradient[b * in.batch_stride + i * in.row_stride + k] =
            static_cast<float>(row[static_cast<std::size_t>(k)]);
    }
  }
}

}  // namespace gapbench::kernels
