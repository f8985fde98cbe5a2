// The spectral measures with the released FFT norm in place of the operator norm: ids ending in -fft32.
//
// Formula   as the measure of the same id without -fft32, s_l the largest singular value over the frequencies of
//           a 32 x 32 grid, wrap-around, stride ignored, whatever the layer's input; a dense layer is its matrix.
// Inputs    as that measure, batch norm folded; no geometry.
// Returns   as that measure.
// Source    Dziugaite et al. 2020, rows 129 to 135 and 141 of the released code, which takes the image's size for
//           every layer, 32 on CIFAR-10.
// Error     relative 1e-7 of each s_l.
// Cost      as circular_conv_norm, once a model.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"
#include "measures/output/margin.h"

namespace gapbench::measures {

Measure log_prod_spec();
Measure log_sum_spec();
Measure log_prod_spec_over_margin();
Measure log_sum_spec_over_margin();
Measure fro_over_spec();
Measure log_spec_init_main();
Measure log_spec_orig_main();
Measure spec_dist();

namespace {

constexpr NormKind kind = NormKind::fft32;

Measure variant(Measure m, std::string_view id, std::string_view name,
                Outcome (*compute)(const Snapshot&, Probe*)) {
  m.info.id = id;
  m.info.name = name;
  m.info.source = "Dziugaite et al. 2020, arXiv 2010.11924, released code, rows 129 to 135 and 141";
  m.info.notes =
      "s is the circular convolution's norm on a 32 x 32 grid at stride 1 for every layer: too large for a "
      "strided one.";
  m.info.revision = 1;
  m.compute = compute;
  return m;
}

}  // namespace

Measure log_prod_spec_fft32() {
  return variant(log_prod_spec(), "log-prod-spec-fft32", "Product of squared norms (log), FFT on 32 x 32",
                 [](const Snapshot& snapshot, Probe*) -> Outcome {
                   return log_product_of_operator_norms(snapshot, kind);
                 });
}

Measure log_sum_spec_fft32() {
  return variant(log_sum_spec(), "log-sum-spec-fft32",
                 "Geometric-mean form of the product of squared norms (log), FFT on 32 x 32",
                 [](const Snapshot& snapshot, Probe*) -> Outcome {
                   return geometric_mean_form(log_product_of_operator_norms(snapshot, kind), snapshot);
                 });
}

Measure log_prod_spec_over_margin_fft32() {
  return variant(log_prod_spec_over_margin(), "log-prod-spec-over-margin-fft32",
                 "Product of squared norms over the squared margin (log), FFT on 32 x 32",
                 [](const Snapshot& snapshot, Probe* probe) -> Outcome {
                   return over_squared_margin(log_product_of_operator_norms(snapshot, kind), snapshot, probe);
                 });
}

Measure log_sum_spec_over_margin_fft32() {
  return variant(log_sum_spec_over_margin(), "log-sum-spec-over-margin-fft32",
                 "Geometric-mean form over the margin (log), FFT on 32 x 32",
                 [](const Snapshot& snapshot, Probe* probe) -> Outcome {
                   return geometric_mean_form(
                       over_squared_margin(log_product_of_operator_norms(snapshot, kind), snapshot, probe),
                       snapshot);
                 });
}

Measure fro_over_spec_fft32() {
  return variant(fro_over_spec(), "fro-over-spec-fft32", "Sum of stable ranks, FFT on 32 x 32",
                 [](const Snapshot& snapshot, Probe*) -> Outcome {
                   return sum_of_squared_ratios(snapshot, frobenius_norms(snapshot), kind);
                 });
}

Measure log_spec_init_main_fft32() {
  return variant(log_spec_init_main(), "log-spec-init-main-fft32",
                 "Main term of the spectral bound, reference initial weights (log), FFT on 32 x 32",
                 [](const Snapshot& snapshot, Probe* probe) -> Outcome {
                   if (auto missing = without_init(snapshot)) return *missing;
                   return over_squared_margin(
                       log_spectral_main_term(snapshot, frobenius_norms_of_change(snapshot), kind), snapshot,
                       probe);
                 });
}

Measure log_spec_orig_main_fft32() {
  return variant(log_spec_orig_main(), "log-spec-orig-main-fft32",
                 "Main term of the spectral bound, reference origin (log), FFT on 32 x 32",
                 [](const Snapshot& snapshot, Probe* probe) -> Outcome {
                   return over_squared_margin(
                       log_spectral_main_term(snapshot, frobenius_norms(snapshot), kind), snapshot, probe);
                 });
}

Measure spec_dist_fft32() {
  return variant(spec_dist(), "spec-dist-fft32", "Squared norms of the change, FFT on 32 x 32",
                 [](const Snapshot& snapshot, Probe*) -> Outcome {
                   if (auto missing = without_init(snapshot)) return *missing;
                   const OperatorNorms& norms = operator_norms_of_change(snapshot, kind);
                   if (!norms.problem.empty()) return Outcome::not_converged(norms.problem);
                   return sum_of_squares(norms.values);
                 });
}

}  // namespace gapbench::measures
