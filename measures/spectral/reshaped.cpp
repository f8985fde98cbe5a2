// The spectral measures with the reshaped kernel's norm in place of the operator norm: ids ending in -rs.
//
// Formula   as the measure of the same id without -rs, s_l the largest singular value of the kernel as a matrix
//           [outputs, inputs kernel_height kernel_width]; a dense layer is its matrix.
// Inputs    as that measure, batch norm folded; no geometry.
// Returns   as that measure.
// Source    Dziugaite et al. 2020, rows 29 to 35 and 41 of the released code; Yoshida and Miyato 2017.
// Error     as dense_operator_norm.
// Cost      O(sum outputs^2 fan_in) once a model, or O(steps outputs fan_in) beyond 256 outputs.
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

constexpr NormKind kind = NormKind::reshaped;

Measure variant(Measure m, std::string_view id, std::string_view name,
                Outcome (*compute)(const Snapshot&, Probe*)) {
  m.info.id = id;
  m.info.name = name;
  m.info.source = "Dziugaite et al. 2020, arXiv 2010.11924, released code, rows 29 to 35 and 41";
  m.info.notes =
      "s is the norm of the kernel as a matrix, for stride 1 at most the operator norm and at least it over "
      "the root of the number of taps.";
  m.info.revision = 1;
  m.compute = compute;
  return m;
}

}  // namespace

Measure log_prod_spec_rs() {
  return variant(log_prod_spec(), "log-prod-spec-rs", "Product of squared norms (log), reshaped kernels",
                 [](const Snapshot& snapshot, Probe*) -> Outcome {
                   return log_product_of_operator_norms(snapshot, kind);
                 });
}

Measure log_sum_spec_rs() {
  return variant(log_sum_spec(), "log-sum-spec-rs",
                 "Geometric-mean form of the product of squared norms (log), reshaped kernels",
                 [](const Snapshot& snapshot, Probe*) -> Outcome {
                   return geometric_mean_form(log_product_of_operator_norms(snapshot, kind), snapshot);
                 });
}

Measure log_prod_spec_over_margin_rs() {
  return variant(log_prod_spec_over_margin(), "log-prod-spec-over-margin-rs",
                 "Product of squared norms over the squared margin (log), reshaped kernels",
                 [](const Snapshot& snapshot, Probe* probe) -> Outcome {
                   return over_squared_margin(log_product_of_operator_norms(snapshot, kind), snapshot, probe);
                 });
}

Measure log_sum_spec_over_margin_rs() {
  return variant(log_sum_spec_over_margin(), "log-sum-spec-over-margin-rs",
                 "Geometric-mean form over the margin (log), reshaped kernels",
                 [](const Snapshot& snapshot, Probe* probe) -> Outcome {
                   return geometric_mean_form(
                       over_squared_margin(log_product_of_operator_norms(snapshot, kind), snapshot, probe),
                       snapshot);
                 });
}

Measure fro_over_spec_rs() {
  return variant(fro_over_spec(), "fro-over-spec-rs", "Sum of stable ranks, reshaped kernels",
                 [](const Snapshot& snapshot, Probe*) -> Outcome {
                   return sum_of_squared_ratios(snapshot, frobenius_norms(snapshot), kind);
                 });
}

Measure log_spec_init_main_rs() {
  return variant(log_spec_init_main(), "log-spec-init-main-rs",
                 "Main term of the spectral bound, reference initial weights (log), reshaped kernels",
                 [](const Snapshot& snapshot, Probe* probe) -> Outcome {
                   if (auto missing = without_init(snapshot)) return *missing;
                   return over_squared_margin(
                       log_spectral_main_term(snapshot, frobenius_norms_of_change(snapshot), kind), snapshot,
                       probe);
                 });
}

Measure log_spec_orig_main_rs() {
  return variant(log_spec_orig_main(), "log-spec-orig-main-rs",
                 "Main term of the spectral bound, reference origin (log), reshaped kernels",
                 [](const Snapshot& snapshot, Probe* probe) -> Outcome {
                   return over_squared_margin(
                       log_spectral_main_term(snapshot, frobenius_norms(snapshot), kind), snapshot, probe);
                 });
}

Measure spec_dist_rs() {
  return variant(spec_dist(), "spec-dist-rs", "Squared norms of the change, reshaped kernels",
                 [](const Snapshot& snapshot, Probe*) -> Outcome {
                   if (auto missing = without_init(snapshot)) return *missing;
                   const OperatorNorms& norms = operator_norms_of_change(snapshot, kind);
                   if (!norms.problem.empty()) return Outcome::not_converged(norms.problem);
                   return sum_of_squares(norms.values);
                 });
}

}  // namespace gapbench::measures
