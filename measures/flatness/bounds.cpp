#include "measures/flatness/bounds.h"

#include <cmath>

#include "measures/flatness/search.h"
#include "measures/kernels/log_sums.h"
#include "measures/kernels/spectral.h"
#include "measures/layers/layers.h"
#include "measures/numerics/sum.h"

namespace gapbench::measures {
namespace {

// v with the error |slope| times the scale's, censored where the scale is.
Outcome derived(const Outcome& scale, double v, double slope) {
  Outcome o = scale.standard_error() ? Outcome::value(v, std::abs(slope) * *scale.standard_error())
                                     : Outcome::value(v);
  return o.ok() && scale.censored() ? std::move(o).as_censored(scale.reason()) : o;
}

double samples(const Probe* probe) {
  return static_cast<double>(probe->samples());
}

}  // namespace

double squared_weights(const Snapshot& snapshot, bool of_change) {
  CompensatedSum sum;
  for (const Layer& layer : snapshot.layers()) {
    const Array& w = snapshot.weight(layer);
    sum.add(kernels::squared_distance(w.final, of_change ? w.init : std::span<const float>()));
  }
  return sum.value();
}

Outcome inverse_square(const Outcome& scale) {
  if (!scale.ok()) return scale;
  const double s = *scale.value();
  return derived(scale, 1 / (s * s), 2 / (s * s * s));
}

Outcome pacbayes_bound(const Outcome& sigma, double squared, const Probe* probe) {
  if (!sigma.ok()) return sigma;
  const double s = *sigma.value();
  return derived(sigma, squared / (4 * s * s) + std::log(samples(probe) / s) + 10,
                 squared / (2 * s * s * s) + 1 / s);
}

Outcome sharpness_bound(const Outcome& alpha, const Outcome& sigma, const Snapshot& snapshot, double squared,
                        const Probe* probe) {
  if (!alpha.ok()) return alpha;
  if (!sigma.ok()) return sigma;
  const double a = *alpha.value(), s = *sigma.value(),
               factor = squared * std::log(2 * weight_count(snapshot)) / 4;
  const double of_alpha = 2 * factor / (a * a * a) * alpha.standard_error().value_or(0),
               of_sigma = sigma.standard_error().value_or(0) / s;
  Outcome o =
      Outcome::value(factor / (a * a) + std::log(samples(probe) / s) + 10, std::hypot(of_alpha, of_sigma));
  if (!o.ok()) return o;
  if (alpha.censored()) return std::move(o).as_censored(alpha.reason());
  return sigma.censored() ? std::move(o).as_censored(sigma.reason()) : o;
}

Outcome magnitude_bound(const Outcome& scale, const Snapshot& snapshot, double squared,
                        bool denominator_of_change, double extra, double last, const Probe* probe) {
  if (!scale.ok()) return scale;
  const double s = *scale.value(), floor = magnitude_floor * magnitude_floor,
               mean = squared / weight_count(snapshot), numerator = floor + (s * s + extra) * mean;
  CompensatedSum logs, shares;
  for (const Layer& layer : snapshot.layers()) {
    const Array& w = snapshot.weight(layer);
    const auto n = static_cast<std::int64_t>(w.final.size());
    const kernels::Segment segment{w.final.data(), denominator_of_change ? w.init.data() : nullptr, 1, n};
    kernels::LogSums sums;
    kernels::log_sums(&segment, 1, floor, s * s, &sums);
    logs.add(static_cast<double>(n) * std::log(numerator) - sums.logarithms);
    shares.add(static_cast<double>(n) * s * s * mean / numerator - sums.shares);
  }
  const double tail = last != 0 ? last : std::log(samples(probe) / s);
  return derived(scale, logs.value() / 4 + tail + 10, shares.value() / (2 * s) - (last != 0 ? 0 : 1 / s));
}

double sharpness_extra(const Snapshot& snapshot) {
  return 4 * std::log(2 * weight_count(snapshot) / bound_delta);
}
double sharpness_last(const Probe* probe) {
  return probe == nullptr ? 0 : std::log(samples(probe) / bound_delta);
}

}  // namespace gapbench::measures
