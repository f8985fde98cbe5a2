// The measures of the output margin with another percentile: <id>-p05 and <id>-p50; margin-p05 and margin-p50 themselves.
//
// Formula   that of the measure without the ending, its margin the k-th smallest of the n training samples' margins,
//           k = max(1, floor(n / 20)) for -p05, max(1, floor(n / 2)) for -p50, in place of floor(n / 10).
// Inputs    those of the measure.
// Returns   as the measure; censored where this margin is not positive.
// Source    Neyshabur et al. 2018 (arXiv 1805.12076), whose released code takes the fifth percentile, interpolated; ours
//           is an order statistic. The median is ours: it stays positive where a tenth of the labels cannot be fit.
// Error     that of the measure.
// Cost      shared with the measure but for a selection.
#include <cmath>

#include "measures/api/measure.h"
#include "measures/layers/layers.h"
#include "measures/output/margin.h"
#include "measures/paths/path_sum.h"

namespace gapbench::measures {

Measure margin_p10();
Measure inverse_margin();
Measure log_prod_spec_over_margin();
Measure log_sum_spec_over_margin();
Measure log_prod_fro_over_margin();
Measure log_sum_fro_over_margin();
Measure path_norm_over_margin();
Measure log_spec_init_main();
Measure log_spec_orig_main();

namespace {

// Functions of the logarithm that the margin divides.
Outcome nothing(const Snapshot&) {
  return Outcome::value(0);
}
Outcome spec(const Snapshot& snapshot) {
  return log_product_of_operator_norms(snapshot);
}
Outcome init_main(const Snapshot& snapshot) {
  if (auto missing = without_init(snapshot)) return *missing;
  return log_spectral_main_term(snapshot, frobenius_norms_of_change(snapshot));
}
Outcome orig_main(const Snapshot& snapshot) {
  return log_spectral_main_term(snapshot, frobenius_norms(snapshot));
}
Outcome paths(const Snapshot& snapshot) {
  return log_path_sum(snapshot);
}

template <int percent>
Outcome margin(const Snapshot& snapshot, Probe* probe) {
  return margin_outcome(snapshot, probe, percent);
}
template <int percent, Outcome (*log_value)(const Snapshot&)>
Outcome over_margin(const Snapshot& snapshot, Probe* probe) {
  return over_squared_margin(log_value(snapshot), snapshot, probe, percent);
}
template <int percent>
Outcome inverse(const Snapshot& snapshot, Probe* probe) {
  return over_margin<percent, &nothing>(snapshot, probe).map([](double v) { return std::exp(v); });
}
template <int percent, Outcome (*log_value)(const Snapshot&)>
Outcome root_over_margin(const Snapshot& snapshot, Probe* probe) {
  return geometric_mean_form(over_margin<percent, log_value>(snapshot, probe), snapshot);
}

template <int percent>
Measure variant(Measure m, std::string_view id, Outcome (*compute)(const Snapshot&, Probe*)) {
  static_assert(percent == 5 || percent == 50);
  m.info.id = id;
  m.info.name = percent == 5 ? "As with the 10th percentile of the margins, with the 5th"
                             : "As with the 10th percentile of the margins, with the 50th";
  m.info.source = percent == 5 ? "Neyshabur et al. 2018, arXiv 1805.12076, released code" : "gapbench";
  if (compute == &margin<percent>) {
    m.info.formula = percent == 5 ? "k-th smallest of z_y - max_{j != y} z_j, k = floor(n/20)"
                                  : "k-th smallest of z_y - max_{j != y} z_j, k = floor(n/2)";
    m.info.latex = percent == 5 ? "\\big(z_y-\\max_{j\\ne y}z_j\\big)_{(\\lfloor n/20\\rfloor)}"
                                : "\\big(z_y-\\max_{j\\ne y}z_j\\big)_{(\\lfloor n/2\\rfloor)}";
  }
  m.info.notes = percent == 5 ? "The margin is the floor(n/20)-th smallest; the released code interpolates."
                              : "The margin is the floor(n/2)-th smallest.";
  m.info.revision = 1;
  m.info.on_request = true;
  m.compute = compute;
  return m;
}

}  // namespace

Measure margin_p05() {
  return variant<5>(margin_p10(), "margin-p05", &margin<5>);
}
Measure inverse_margin_p05() {
  return variant<5>(inverse_margin(), "inverse-margin-p05", &inverse<5>);
}
Measure log_prod_spec_over_margin_p05() {
  return variant<5>(log_prod_spec_over_margin(), "log-prod-spec-over-margin-p05", &over_margin<5, &spec>);
}
Measure log_sum_spec_over_margin_p05() {
  return variant<5>(log_sum_spec_over_margin(), "log-sum-spec-over-margin-p05", &root_over_margin<5, &spec>);
}
Measure log_prod_fro_over_margin_p05() {
  return variant<5>(log_prod_fro_over_margin(), "log-prod-fro-over-margin-p05",
                    &over_margin<5, &log_product_of_frobenius_norms>);
}
Measure log_sum_fro_over_margin_p05() {
  return variant<5>(log_sum_fro_over_margin(), "log-sum-fro-over-margin-p05",
                    &root_over_margin<5, &log_product_of_frobenius_norms>);
}
Measure path_norm_over_margin_p05() {
  return variant<5>(path_norm_over_margin(), "path-norm-over-margin-p05", &over_margin<5, &paths>);
}
Measure log_spec_init_main_p05() {
  return variant<5>(log_spec_init_main(), "log-spec-init-main-p05", &over_margin<5, &init_main>);
}
Measure log_spec_orig_main_p05() {
  return variant<5>(log_spec_orig_main(), "log-spec-orig-main-p05", &over_margin<5, &orig_main>);
}

Measure margin_p50() {
  return variant<50>(margin_p10(), "margin-p50", &margin<50>);
}
Measure inverse_margin_p50() {
  return variant<50>(inverse_margin(), "inverse-margin-p50", &inverse<50>);
}
Measure log_prod_spec_over_margin_p50() {
  return variant<50>(log_prod_spec_over_margin(), "log-prod-spec-over-margin-p50", &over_margin<50, &spec>);
}
Measure log_sum_spec_over_margin_p50() {
  return variant<50>(log_sum_spec_over_margin(), "log-sum-spec-over-margin-p50",
                     &root_over_margin<50, &spec>);
}
Measure log_prod_fro_over_margin_p50() {
  return variant<50>(log_prod_fro_over_margin(), "log-prod-fro-over-margin-p50",
                     &over_margin<50, &log_product_of_frobenius_norms>);
}
Measure log_sum_fro_over_margin_p50() {
  return variant<50>(log_sum_fro_over_margin(), "log-sum-fro-over-margin-p50",
                     &root_over_margin<50, &log_product_of_frobenius_norms>);
}
Measure path_norm_over_margin_p50() {
  return variant<50>(path_norm_over_margin(), "path-norm-over-margin-p50", &over_margin<50, &paths>);
}
Measure log_spec_init_main_p50() {
  return variant<50>(log_spec_init_main(), "log-spec-init-main-p50", &over_margin<50, &init_main>);
}
Measure log_spec_orig_main_p50() {
  return variant<50>(log_spec_orig_main(), "log-spec-orig-main-p50", &over_margin<50, &orig_main>);
}

}  // namespace gapbench::measures
