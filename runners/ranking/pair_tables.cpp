#include "runners/ranking/pair_tables.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "measures/api/error.h"
#include "runners/ranking/clones.h"

namespace gapbench {

namespace {

constexpr std::size_t L = table_lanes;
constexpr std::size_t block = 8;  // resamples whose sums are held in registers
using Floats = float __attribute__((vector_size(4 * L), aligned(4), may_alias));
using Ints = std::int32_t __attribute__((vector_size(4 * L), aligned(4), may_alias));

// Ranks as floats, so that a missing value (NaN) compares false both ways: rank[run * 16 + lane].
std::vector<float> rank_lanes(const std::vector<std::span<const double>>& measures, std::size_t runs) {
  if (measures.size() > L) throw InternalError("pair tables hold 16 measures");
  std::vector<float> lanes(runs * L, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t m = 0; m < measures.size(); ++m) {
    std::vector<double> levels;
    for (const double v : measures[m])
      if (!std::isnan(v)) levels.push_back(v);
    std::sort(levels.begin(), levels.end());
    levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
    for (std::size_t i = 0; i < runs; ++i)
      if (!std::isnan(measures[m][i]))
        lanes[i * L + m] = static_cast<float>(std::lower_bound(levels.begin(), levels.end(), measures[m][i]) -
                                              levels.begin());
  }
  return lanes;
}

// out = sum over i, j of sign(x_i - x_j) * sign(y_i - y_j)
GAPBENCH_CLONES void sum_concordance(const float* rank, const std::uint32_t* first, std::size_t first_count,
                                     const std::uint32_t* second, std::size_t second_count, const double* y,
                                     std::int32_t* out) {
  Ints sum = {};
  for (std::size_t i = 0; i < first_count; ++i) {
    const Floats a = *reinterpret_cast<const Floats*>(rank + first[i] * L);
    for (std::size_t j = 0; j < second_count; ++j) {
      const Floats b = *reinterpret_cast<const Floats*>(rank + second[j] * L);
      const Ints sign = (a < b) - (a > b);  // comparisons give -1 where true
      if (y[first[i]] > y[second[j]])
        sum += sign;
      else if (y[first[i]] < y[second[j]])
        sum -= sign;
    }
  }
  for (std::size_t l = 0; l < L; ++l) out[l] = sum[l];
}

// out = sum over i, j of sign(x_i - x_j)
GAPBENCH_CLONES void sum_signs(const float* rank, const std::uint32_t* first, std::size_t first_count,
                               const std::uint32_t* second, std::size_t second_count, std::int32_t* out) {
  Ints sum = {};
  for (std::size_t i = 0; i < first_count; ++i) {
    const Floats a = *reinterpret_cast<const Floats*>(rank + first[i] * L);
    for (std::size_t j = 0; j < second_count; ++j) {
      const Floats b = *reinterpret_cast<const Floats*>(rank + second[j] * L);
      sum += (a < b) - (a > b);
    }
  }
  for (std::size_t l = 0; l < L; ++l) out[l] = sum[l];
}

// out[r][lane] += own[r] * sum over d of weight[d][r] * table[d][lane], for 8 resamples r
GAPBENCH_CLONES void add_products(const float* table, const float* weight, std::size_t count,
                                  const float* own, double* out) {
  Floats sum[block] = {};
  for (std::size_t d = 0; d < count; ++d) {
    const Floats t = *reinterpret_cast<const Floats*>(table + d * L);
    for (std::size_t r = 0; r < block; ++r) sum[r] += weight[d * block + r] * t;
  }
  for (std::size_t r = 0; r < block; ++r)
    for (std::size_t l = 0; l < L; ++l)
      out[r * L + l] += static_cast<double>(own[r]) * static_cast<double>(sum[r][l]);
}

// Runs drawn w times each: how many, their pairs that are not tied in the values, and distinct values; missing
// values do not count.
class DrawnRuns {
 public:
  DrawnRuns(std::span<const double> values, std::span<const double> present,
            const std::vector<std::uint32_t>& configuration, std::size_t configurations)
      : runs_(configurations, 0), single_(configurations, 0) {
    std::vector<std::uint32_t> order;
    for (std::uint32_t i = 0; i < values.size(); ++i)
      if (!std::isnan(present[i])) order.push_back(i);
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return values[a] < values[b]; });
    offset_.push_back(0);
    for (std::size_t start = 0; start < order.size();) {
      std::size_t end = start;
      for (; end < order.size() && values[order[end]] == values[order[start]]; ++end)
        ++runs_[configuration[order[end]]];
      if (end == start + 1) {
        ++single_[configuration[order[start]]];
      } else {
        for (std::size_t i = start; i < end; ++i) tied_.push_back(configuration[order[i]]);
        offset_.push_back(tied_.size());
      }
      start = end;
    }
  }
  struct Count {
    double runs = 0, untied = 0, distinct = 0;  // untied: pairs
  };
  Count count(std::span<const std::uint32_t> draw) const {
    std::int64_t total = 0, squares = 0, distinct = 0;
    for (std::size_t c = 0; c < runs_.size(); ++c) {
      const std::int64_t w = draw[c];
      total += w * runs_[c];
      squares += w * w * single_[c];
      distinct += (w > 0) * single_[c];
    }
    for (std::size_t g = 0; g + 1 < offset_.size(); ++g) {
      std::int64_t sum = 0;
      for (std::size_t i = offset_[g]; i < offset_[g + 1]; ++i) sum += draw[tied_[i]];
      squares += sum * sum;
      distinct += sum > 0;
    }
    return {static_cast<double>(total), static_cast<double>((total * total - squares) / 2),
            static_cast<double>(distinct)};
  }

 private:
  std::vector<std::int64_t> runs_, single_;  // of each configuration: runs, runs with a value of their own
  std::vector<std::uint32_t> tied_;          // configurations of the runs of each group of equal values
  std::vector<std::size_t> offset_;
};

}  // namespace

std::vector<ResampledTau> resampled_tau(const std::vector<std::span<const double>>& measures,
                                        const Runs& runs, const BootstrapDraws& draws) {
  const std::size_t configurations = runs.of.size(), resamples = draws.resamples();
  const std::size_t blocks = (resamples + block - 1) / block;
  const std::vector<float> rank = rank_lanes(measures, runs.gap.size());
  // weight[block of resamples][configuration][resample]
  std::vector<float> weight(blocks * configurations * block, 0.0f);
  for (std::size_t r = 0; r < resamples; ++r)
    for (std::size_t c = 0; c < configurations; ++c)
      weight[(r / block * configurations + c) * block + r % block] = static_cast<float>(draws.counts(r)[c]);

  std::vector<double> sums(blocks * block * L, 0.0);
  std::vector<float> row(configurations * L);
  std::int32_t signs[L];
  for (std::size_t c = 0; c < configurations; ++c) {
    const auto& own = runs.of[c];
    for (std::size_t d = c + 1; d < configurations; ++d) {
      const auto& other = runs.of[d];
      sum_concordance(rank.data(), own.data(), own.size(), other.data(), other.size(), runs.gap.data(),
                      signs);
      for (std::size_t l = 0; l < L; ++l) row[d * L + l] = static_cast<float>(signs[l]);
    }
    double inside[L] = {};
    for (std::size_t i = 0; i + 1 < own.size(); ++i) {
      sum_concordance(rank.data(), &own[i], 1, &own[i + 1], own.size() - i - 1, runs.gap.data(), signs);
      for (std::size_t l = 0; l < L; ++l) inside[l] += signs[l];
    }
    for (std::size_t b = 0; b < blocks; ++b) {
      const float* const w = &weight[(b * configurations) * block];
      add_products(&row[(c + 1) * L], w + (c + 1) * block, configurations - c - 1, w + c * block,
                   &sums[b * block * L]);
      for (std::size_t r = 0; r < block; ++r) {
        const double squared = static_cast<double>(w[c * block + r]) * static_cast<double>(w[c * block + r]);
        for (std::size_t l = 0; l < L; ++l) sums[(b * block + r) * L + l] += squared * inside[l];
      }
    }
  }

  std::vector<std::uint32_t> configuration(runs.gap.size());
  for (std::uint32_t c = 0; c < configurations; ++c)
    for (const std::uint32_t i : runs.of[c]) configuration[i] = c;
  std::vector<ResampledTau> taus(measures.size());
  constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
  for (std::size_t m = 0; m < measures.size(); ++m) {
    const DrawnRuns x(measures[m], measures[m], configuration, configurations);
    const DrawnRuns y(runs.gap, measures[m], configuration, configurations);
    for (std::size_t r = 0; r < resamples; ++r) {
      const DrawnRuns::Count cx = x.count(draws.counts(r)), cy = y.count(draws.counts(r));
      const double s = sums[r * L + m], levels = std::min(cx.distinct, cy.distinct);
      const bool defined = levels > 1;
      taus[m].tau_b.push_back(defined ? std::clamp(s / std::sqrt(cx.untied) / std::sqrt(cy.untied), -1.0, 1.0)
                                      : undefined);
      taus[m].tau_c.push_back(
          defined ? std::clamp(2 * s * levels / (cx.runs * cx.runs * (levels - 1)), -1.0, 1.0) : undefined);
    }
  }
  return taus;
}

MeanSigns::MeanSigns(const std::vector<std::span<const double>>& measures, const Runs& runs)
    : configurations_(runs.of.size()), mean_(configurations_ * (configurations_ - 1) / 2 * L) {
  const std::vector<float> rank = rank_lanes(measures, runs.gap.size());
  std::vector<float> present(configurations_ * L, 0.0f);  // runs of a configuration that have a value
  for (std::size_t c = 0; c < configurations_; ++c)
    for (const std::uint32_t i : runs.of[c])
      for (std::size_t l = 0; l < L; ++l) present[c * L + l] += !std::isnan(rank[i * L + l]);
  std::int32_t signs[L];
  float* out = mean_.data();
  for (std::size_t c = 0; c < configurations_; ++c)
    for (std::size_t d = c + 1; d < configurations_; ++d, out += L) {
      sum_signs(rank.data(), runs.of[c].data(), runs.of[c].size(), runs.of[d].data(), runs.of[d].size(),
                signs);
      for (std::size_t l = 0; l < L; ++l)
        out[l] = static_cast<float>(signs[l]) / std::max(1.0f, present[c * L + l] * present[d * L + l]);
    }
}

}  // namespace gapbench
