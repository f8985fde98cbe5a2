// Tables of pair sums between configurations, from which every resample of configurations follows.
//
// Formula   T_cd = sum over runs i of c, j of d of sign(x_i - x_j) sign(y_i - y_j), T_cc over i < j.
//           With configuration c drawn w_c times, S = sum_c w_c sum_{d > c} w_d T_cd + sum_c w_c^2 T_cc, and
//           tau-b = S / sqrt(untied pairs in x * untied pairs in y): the tau-b of all drawn runs, in which copies
//           of a run are tied. All resamples of 16 measures are one matrix product a row of T.
//           tau-c = 2 S m / (n^2 (m - 1)) of the same runs, n of them, m the smaller number of distinct values.
//           X_cd = mean over runs of sign(x_i - x_j): what a permutation of whole configurations leaves, on
//           average over the ways to match their seeds.
// Inputs    x, y of each run; x may be missing (NaN): the run does not count for that measure.
// Error     S is exact while |T| row sums stay below 2^24 (10,000 runs a configuration pair times 1,600
//           configurations), else 1e-7 relative.
// Cost      n^2 / 2 vector comparisons of 16 measures for the table and C^2 / 2 * resamples vector
//           multiplications; X takes 32 C^2 bytes per 16 measures.
#pragma once

#include <span>
#include <vector>

#include "runners/ranking/bootstrap.h"
#include "runners/ranking/sign_error.h"

namespace gapbench {

constexpr std::size_t table_lanes = 16;

/// Of each draw, NaN where undefined.
struct ResampledTau {
  std::vector<double> tau_b, tau_c;
};
/// For at most 16 measures.
std::vector<ResampledTau> resampled_tau(const std::vector<std::span<const double>>& measures,
                                        const Runs& runs, const BootstrapDraws& draws);

/// X of at most 16 measures.
class MeanSigns {
 public:
  MeanSigns(const std::vector<std::span<const double>>& measures, const Runs& runs);
  /// The 16 lanes of X_cd for c < d.
  const float* at(std::size_t c, std::size_t d) const {
    return &mean_[(c * (2 * configurations_ - c - 1) / 2 + d - c - 1) * table_lanes];
  }

 private:
  std::size_t configurations_;
  std::vector<float> mean_;
};

}  // namespace gapbench
