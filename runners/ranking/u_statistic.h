// Analytic standard errors of tau-a, and of the difference of two measures' taus against the same gaps.
//
// Formula   C_i = sum over j of sign(x_i - x_j) sign(y_i - y_j); tau = mean C_i / (n - 1).
//           var tau = 2 / (n (n - 1)) [2 (n - 2) / (n (n - 1)^2) sum (C_i - mean C)^2 + 1 - tau^2].
//           Two measures: d_i = (C_i(1) - C_i(2)) / (n - 1); difference = mean d_i, var = 4 / n * sample variance
//           of d_i.
// Inputs    x[n], y[n] of independent items: configurations with their seeds averaged, never single seeds.
// Returns   estimate and standard error; nothing for n < 3.
// Source    M. Hollander, D. Wolfe, Nonparametric Statistical Methods; the paired form is the first-order term of
//           the U-statistic of the difference.
// Error     large-sample: agrees with the bootstrap to a few percent from some 50 items on.
// Cost      O(n log n).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace gapbench {

std::vector<std::int64_t> concordance_sums(std::span<const double> x, std::span<const double> y);

struct EstimateWithError {
  double value = 0, standard_error = 0;
};
std::optional<EstimateWithError> tau_with_error(std::span<const std::int64_t> concordance);
/// tau of the first minus tau of the second.
std::optional<EstimateWithError> tau_difference(std::span<const std::int64_t> first,
                                                std::span<const std::int64_t> second);

}  // namespace gapbench
