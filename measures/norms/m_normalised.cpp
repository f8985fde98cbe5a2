// The m-normalised forms of the released code of Dziugaite et al.: <id>-m.
//
// Formula   1/2 (v - ln m) where the measure v is a logarithm, sqrt(v / m) otherwise; m the number of training samples.
// Inputs    those of the measure.
// Returns   a number, censored where the measure is; undefined where the root is of a negative number; not applicable
//           where the measure has no value or m is not known.
// Source    released code of Dziugaite et al. 2020. Inside one m the order is the measure's; across several m it is not.
//           Of l2-norm and l2-dist it takes the root too, another power of the weights than of param-norm and fro-dist.
// Error     that of the measure.
// Cost      that of the measure, which is shared.
#include <cmath>

#include "measures/api/measure.h"

namespace gapbench::measures {

Measure log_spec_init_main();
Measure log_spec_orig_main();
Measure log_prod_spec_over_margin();
Measure log_prod_spec();
Measure log_sum_spec_over_margin();
Measure log_sum_spec();
Measure log_prod_fro_over_margin();
Measure log_prod_fro();
Measure log_sum_fro_over_margin();
Measure log_sum_fro();
Measure path_norm();
Measure path_norm_over_margin();
Measure fro_over_spec();
Measure fro_dist();
Measure spec_dist();
Measure param_norm();
Measure l2_norm();
Measure l2_dist();
Measure num_params();
Measure inverse_margin();

namespace {

double half_log(double v, double m) {
  return 0.5 * (v - std::log(m));
}
double root(double v, double m) {
  return std::sqrt(v / m);
}

template <Measure (*suite)(), double (*form)(double, double)>
Outcome compute(const Snapshot& snapshot, Probe* probe) {
  const auto m = static_cast<double>(snapshot.train_size());
  if (m == 0) return Outcome::not_applicable("the size of the training set is not known");
  return suite().compute(snapshot, probe).map([m](double v) { return form(v, m); });
}

template <Measure (*suite)(), double (*form)(double, double)>
Measure normalised(const char* id) {
  Measure m = suite();
  m.info.id = id;
  m.info.name = "As without -m, normalised by the size of the training set";
  m.info.formula = form == &half_log ? "(v - ln m) / 2, v the measure without -m"
                                     : "sqrt(v / m), v the measure without -m";
  m.info.latex = form == &half_log ? "\\tfrac12(v-\\ln m)" : "\\sqrt{v/m}";
  m.info.source = "Dziugaite et al. 2020, arXiv 2010.11924, released code";
  m.info.on_request = true;
  m.info.notes = "Orders models trained on one number of samples as the measure does.";
  m.compute = &compute<suite, form>;
  return m;
}

}  // namespace

Measure log_spec_init_main_m() {
  return normalised<&log_spec_init_main, &half_log>("log-spec-init-main-m");
}
Measure log_spec_orig_main_m() {
  return normalised<&log_spec_orig_main, &half_log>("log-spec-orig-main-m");
}
Measure log_prod_spec_over_margin_m() {
  return normalised<&log_prod_spec_over_margin, &half_log>("log-prod-spec-over-margin-m");
}
Measure log_prod_spec_m() {
  return normalised<&log_prod_spec, &half_log>("log-prod-spec-m");
}
Measure log_sum_spec_over_margin_m() {
  return normalised<&log_sum_spec_over_margin, &half_log>("log-sum-spec-over-margin-m");
}
Measure log_sum_spec_m() {
  return normalised<&log_sum_spec, &half_log>("log-sum-spec-m");
}
Measure log_prod_fro_over_margin_m() {
  return normalised<&log_prod_fro_over_margin, &half_log>("log-prod-fro-over-margin-m");
}
Measure log_prod_fro_m() {
  return normalised<&log_prod_fro, &half_log>("log-prod-fro-m");
}
Measure log_sum_fro_over_margin_m() {
  return normalised<&log_sum_fro_over_margin, &half_log>("log-sum-fro-over-margin-m");
}
Measure log_sum_fro_m() {
  return normalised<&log_sum_fro, &half_log>("log-sum-fro-m");
}
Measure path_norm_m() {
  return normalised<&path_norm, &half_log>("path-norm-m");
}
Measure path_norm_over_margin_m() {
  return normalised<&path_norm_over_margin, &half_log>("path-norm-over-margin-m");
}
Measure fro_over_spec_m() {
  return normalised<&fro_over_spec, &root>("fro-over-spec-m");
}
Measure fro_dist_m() {
  return normalised<&fro_dist, &root>("fro-dist-m");
}
Measure spec_dist_m() {
  return normalised<&spec_dist, &root>("spec-dist-m");
}
Measure param_norm_m() {
  return normalised<&param_norm, &root>("param-norm-m");
}
Measure l2_norm_m() {
  return normalised<&l2_norm, &root>("l2-norm-m");
}
Measure l2_dist_m() {
  return normalised<&l2_dist, &root>("l2-dist-m");
}
Measure num_params_m() {
  return normalised<&num_params, &root>("num-params-m");
}
Measure inverse_margin_m() {
  return normalised<&inverse_margin, &root>("inverse-margin-m");
}

}  // namespace gapbench::measures
