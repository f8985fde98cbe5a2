// Random projections of the last iterates of a training run: the path of the weights, small enough to keep. Torch-free.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "zoo/spec/zoo_spec.h"
#include "zoo/training/trainable_network.h"

namespace gapbench {

// Formula   iterate t, the weights after step t:   y_t = S (w_t - w_0),   w the trained arrays, row-major, one after the other.
//           S has 4 entries of +-1/2 in each column, one in each quarter of its k rows; rows and signs are uniform and
//           independent. Word 4 e + b of RandomStream(random_key("gapbench", "iterates")) belongs to weight e and quarter b:
//           its lowest bit is the sign (1 is minus), the other 31 bits x give row b k/4 + floor(x k/4 / 2^31). One S for
//           all models, so that those of one shape can be compared.
// Source    Johnson and Lindenstrauss 1984; Kane and Nelson 2014, "Sparser Johnson-Lindenstrauss transforms" (the block
//           construction), of which Charikar et al. 2002, "Finding frequent items in data streams", is the case of one
//           entry a column
// Error     for any fixed difference x of two iterates E|S x|^2 = |x|^2 and
//           Var(|S x|^2) = 2/k (|x|^4 - sum_e x_e^4): the standard deviation of a squared distance is at most sqrt(2/k) of
//           it, 3.2 % for k = 2000, and of a distance half of that. Sums are in float64, y is rounded to float32.
// Cost      4 P additions a step, 8 P bytes of tables and 4 last k bytes of iterates
inline constexpr int projection_entries = 4;

/// One entry of S.
struct ProjectionEntry {
  std::uint32_t row = 0;  ///< within its quarter
  bool negative = false;
};
/// The entries of one column; `dimension` is k, a multiple of 4.
std::array<ProjectionEntry, projection_entries> projection_column(std::uint64_t weight,
                                                                  std::int64_t dimension);

/// The last iterates of a run that has done `steps` steps.
struct Iterates {
  std::int64_t dimension = 0;  ///< 0: none are kept
  std::vector<float>
      values;  ///< row-major [n, dimension], oldest first; the last row is that of the last step
  std::int64_t count() const {
    return dimension > 0 ? static_cast<std::int64_t>(values.size()) / dimension : 0;
  }
};

/// The first of the steps that are kept of a run that has done `steps`; steps + 1 where none is. Runs without a target know
/// their last step, and keep nothing before they need to.
std::int64_t first_kept_iterate(const LogIterates& log, const HyperParameters& hp, std::int64_t samples,
                                std::int64_t steps);
/// Whether these are the iterates that an undisturbed run has after `steps` steps.
bool complete(const Iterates& iterates, const LogIterates& log, const HyperParameters& hp,
              std::int64_t samples, std::int64_t steps);

/// Keeps the iterates of one network.
class IterateLog {
 public:
  /// `network` is to outlive it; its weights need not be there yet.
  IterateLog(const LogIterates& log, const ModelSpec& model, std::int64_t samples, TrainableNetwork& network);
  /// Goes on after `steps` steps. Throws InternalError where these iterates are not complete().
  void restore(const Iterates& iterates, std::int64_t steps);
  /// The network's weights are those after this step, counted from 1, one more than at the last call.
  void add(std::int64_t step);
  Iterates iterates(std::int64_t steps) const;

 private:
  void project(std::size_t trained, std::span<const float> values);
  float* row(std::int64_t step);

  LogIterates log_;
  HyperParameters hp_;
  std::int64_t samples_;
  TrainableNetwork& network_;
  std::vector<std::size_t> trained_;                // indices of arrays that are no buffers
  std::vector<std::vector<std::uint16_t>> tables_;  // per array: 2 row + sign, in the network's order
  std::vector<double> sum_, initial_;               // S w and S w_0, without the factor 1/2
  std::vector<float> ring_;                         // step t is row t modulo `last`
};

}  // namespace gapbench
