// The spectral measures with another norm in place of the operator norm: ids ending in -rs and -fft32.
//
// Formula   as the measure of the same id without the ending, s_l for
//           -rs     the largest singular value of the kernel as a matrix [outputs, inputs kernel_height kernel_width],
//           -fft32  the largest singular value over the frequencies of a 32 x 32 grid, wrap-around, stride ignored,
//                   whatever the layer's input;
//           a dense layer is its matrix in both.
// Inputs    as that measure, batch norm folded; no geometry.
// Returns   as that measure.
// Source    Dziugaite et al. 2020, rows 29 to 35 and 41 (-rs), 129 to 135 and 141 (-fft32) of the released code, which
//           takes the image's size for every layer, 32 on CIFAR-10; Yoshida and Miyato 2017 (-rs).
// Error     -rs as dense_operator_norm; -fft32 relative 1e-7 of each s_l.
// Cost      -rs O(sum outputs^2 fan_in) once a model, or O(steps outputs fan_in) beyond 256 outputs;
//           -fft32 as circular_conv_norm, once a model.
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

constexpr NormKind rs = NormKind::reshaped, fft32 = NormKind::fft32;

template <NormKind kind>
Measure variant(Measure m, std::string_view id, std::string_view name,
                Outcome (*compute)(const Snapshot&, Probe*)) {
  static_assert(kind == rs || kind == fft32);
  m.info.id = id;
  m.info.name = name;
  m.info.source = kind == rs
                      ? "Dziugaite et al. 2020, arXiv 2010.11924, released code, rows 29 to 35 and 41"
                      : "Dziugaite et al. 2020, arXiv 2010.11924, released code, rows 129 to 135 and 141";
  m.info.notes = kind == rs ? "s is the norm of the kernel as a matrix, for stride 1 at most the operator "
                              "norm and at least it over "
                              "the root of the number of taps."
                            : "s is the circular convolution's norm on a 32 x 32 grid at stride 1 for every "
                              "layer: too large for a "
                              "strided one.";
  m.info.revision = 1;
  m.compute = compute;
  return m;
}

template <NormKind kind>
Outcome log_prod(const Snapshot& snapshot, Probe*) {
  return log_product_of_operator_norms(snapshot, kind);
}

template <NormKind kind>
Outcome log_sum(const Snapshot& snapshot, Probe*) {
  return geometric_mean_form(log_product_of_operator_norms(snapshot, kind), snapshot);
}

template <NormKind kind>
Outcome log_prod_over_margin(const Snapshot& snapshot, Probe* probe) {
  return over_squared_margin(log_product_of_operator_norms(snapshot, kind), snapshot, probe);
}

template <NormKind kind>
Outcome log_sum_over_margin(const Snapshot& snapshot, Probe* probe) {
  return geometric_mean_form(log_prod_over_margin<kind>(snapshot, probe), snapshot);
}

template <NormKind kind>
Outcome stable_ranks(const Snapshot& snapshot, Probe*) {
  return sum_of_squared_ratios(snapshot, frobenius_norms(snapshot), kind);
}

template <NormKind kind>
Outcome init_main(const Snapshot& snapshot, Probe* probe) {
  if (auto missing = without_init(snapshot)) return *missing;
  return over_squared_margin(log_spectral_main_term(snapshot, frobenius_norms_of_change(snapshot), kind),
                             snapshot, probe);
}

template <NormKind kind>
Outcome orig_main(const Snapshot& snapshot, Probe* probe) {
  return over_squared_margin(log_spectral_main_term(snapshot, frobenius_norms(snapshot), kind), snapshot,
                             probe);
}

template <NormKind kind>
Outcome dist(const Snapshot& snapshot, Probe*) {
  if (auto missing = without_init(snapshot)) return *missing;
  const OperatorNorms& norms = operator_norms_of_change(snapshot, kind);
  if (!norms.problem.empty()) return Outcome::not_converged(norms.problem);
  return sum_of_squares(norms.values);
}

}  // namespace

Measure log_prod_spec_rs() {
  return variant<rs>(log_prod_spec(), "log-prod-spec-rs", "Product of squared norms (log), reshaped kernels",
                     &log_prod<rs>);
}

Measure log_sum_spec_rs() {
  return variant<rs>(log_sum_spec(), "log-sum-spec-rs",
                     "Geometric-mean form of the product of squared norms (log), reshaped kernels",
                     &log_sum<rs>);
}

Measure log_prod_spec_over_margin_rs() {
  return variant<rs>(log_prod_spec_over_margin(), "log-prod-spec-over-margin-rs",
                     "Product of squared norms over the squared margin (log), reshaped kernels",
                     &log_prod_over_margin<rs>);
}

Measure log_sum_spec_over_margin_rs() {
  return variant<rs>(log_sum_spec_over_margin(), "log-sum-spec-over-margin-rs",
                     "Geometric-mean form over the margin (log), reshaped kernels", &log_sum_over_margin<rs>);
}

Measure fro_over_spec_rs() {
  return variant<rs>(fro_over_spec(), "fro-over-spec-rs", "Sum of stable ranks, reshaped kernels",
                     &stable_ranks<rs>);
}

Measure log_spec_init_main_rs() {
  return variant<rs>(log_spec_init_main(), "log-spec-init-main-rs",
                     "Main term of the spectral bound, reference initial weights (log), reshaped kernels",
                     &init_main<rs>);
}

Measure log_spec_orig_main_rs() {
  return variant<rs>(log_spec_orig_main(), "log-spec-orig-main-rs",
                     "Main term of the spectral bound, reference origin (log), reshaped kernels",
                     &orig_main<rs>);
}

Measure spec_dist_rs() {
  return variant<rs>(spec_dist(), "spec-dist-rs", "Squared norms of the change, reshaped kernels", &dist<rs>);
}

Measure log_prod_spec_fft32() {
  return variant<fft32>(log_prod_spec(), "log-prod-spec-fft32",
                        "Product of squared norms (log), FFT on 32 x 32", &log_prod<fft32>);
}

Measure log_sum_spec_fft32() {
  return variant<fft32>(log_sum_spec(), "log-sum-spec-fft32",
                        "Geometric-mean form of the product of squared norms (log), FFT on 32 x 32",
                        &log_sum<fft32>);
}

Measure log_prod_spec_over_margin_fft32() {
  return variant<fft32>(log_prod_spec_over_margin(), "log-prod-spec-over-margin-fft32",
                        "Product of squared norms over the squared margin (log), FFT on 32 x 32",
                        &log_prod_over_margin<fft32>);
}

Measure log_sum_spec_over_margin_fft32() {
  return variant<fft32>(log_sum_spec_over_margin(), "log-sum-spec-over-margin-fft32",
                        "Geometric-mean form over the margin (log), FFT on 32 x 32",
                        &log_sum_over_margin<fft32>);
}

Measure fro_over_spec_fft32() {
  return variant<fft32>(fro_over_spec(), "fro-over-spec-fft32", "Sum of stable ranks, FFT on 32 x 32",
                        &stable_ranks<fft32>);
}

Measure log_spec_init_main_fft32() {
  return variant<fft32>(log_spec_init_main(), "log-spec-init-main-fft32",
                        "Main term of the spectral bound, reference initial weights (log), FFT on 32 x 32",
                        &init_main<fft32>);
}

Measure log_spec_orig_main_fft32() {
  return variant<fft32>(log_spec_orig_main(), "log-spec-orig-main-fft32",
                        "Main term of the spectral bound, reference origin (log), FFT on 32 x 32",
                        &orig_main<fft32>);
}

Measure spec_dist_fft32() {
  return variant<fft32>(spec_dist(), "spec-dist-fft32", "Squared norms of the change, FFT on 32 x 32",
                        &dist<fft32>);
}

}  // namespace gapbench::measures
