#include "runners/ranking/statistics.h"

namespace gapbench {

const std::array<StatisticInfo, stat_count>& statistic_catalogue() {
  using enum Tail;
  static const std::array<StatisticInfo, stat_count> all = {{
      {"tau_b", "tau-b", "larger", two_sided, 0.0, true,
       "Kendall's tau-b over models. Its null and p are those of tau-b over configurations."},
      {"tau_c", "tau-c", "larger", two_sided, 0.0, true, "Stuart's tau-c over models. Its null and p are those over configurations, seeds averaged."},
      {"spearman", "Spearman", "larger", two_sided, 0.0, true, "Rank correlation over models."},
      {"pearson", "Pearson", "larger", two_sided, 0.0, true, "Linear correlation over models."},
      {"tau_b_configurations", "tau-b, seeds averaged", "larger", two_sided, 0.0, true,
       "Kendall's tau-b over configurations, measure and gap averaged over seeds."},
      {"weighted_tau", "weighted tau", "larger", two_sided, 0.0, true,
       "Kendall's tau over configurations, with the weight on small gaps: what matters for choosing one."},
      {"psi", "Psi", "larger", two_sided, 0.0, true,
       "Granulated Kendall: mean over the axes of tau-a among configurations that differ in that axis alone."},
      {"jiang_k", "Jiang's K", "larger", larger, {}, false,
       "Normalised conditional mutual information of the orders, at its least over conditioning sets of up to two "
       "axes; pairs of distinct configurations."},
      {"pgdl", "PGDL", "larger", larger, {}, false,
       "Score of the PGDL competition as a fraction: exactly two axes, self pairs, equal weight of cells."},
      {"sign_error_mean", "sign error, mean", "smaller", two_sided, 0.5, true,
       "Mean over environments of the weighted share of run pairs ordered against their gaps."},
      {"sign_error_q90", "sign error, 90 %", "smaller", smaller, {}, true, "90th percentile over environments."},
      {"sign_error_max", "sign error, max", "smaller", smaller, {}, true, "Largest over environments."},
      {"robust_rmse_configuration", "robust RMSE, configurations", "smaller", smaller, {}, true,
       "Root mean squared error of the best affine predictor with slope >= 0 on its worst configuration."},
      {"robust_rmse_axis", "robust RMSE, axes", "smaller", smaller, {}, true,
       "The same where an environment is all configurations that differ in one axis alone."},
      {"robust_rmse_level", "robust RMSE, levels", "smaller", smaller, {}, true,
       "The same where an environment is all models of one level of one axis."},
      {"regret", "regret", "smaller", smaller, {}, true,
       "Gap of the configuration the measure would choose, less the smallest gap."},
      {"normalised_regret", "regret / median", "smaller", smaller, {}, true,
       "Regret in units of what a median choice loses."},
      {"hit", "top-20 % hit", "larger", larger, {}, true, "1 if the choice is among the best 20 % of configurations."},
      {"precision", "top-20 % precision", "larger", larger, {}, true,
       "Share of the measure's best 20 % that are among the best 20 %."},
      {"r2_measure", "R2, measure", "larger", larger, {}, true,
       "Out-of-fold R2 of the gap predicted from the measure's rank alone."},
      {"mae_measure", "MAE, measure", "smaller", smaller, {}, true, "Out-of-fold mean absolute error of that fit."},
      {"r2_both", "R2, hyper-parameters and measure", "larger", larger, {}, true,
       "Out-of-fold R2 of an additive model of all axes and the measure's rank."},
      {"r2_gain", "R2 gain", "larger", larger, {}, true,
       "What the measure adds to the out-of-fold R2 of the hyper-parameters alone."},
  }};
  return all;
}

}  // namespace gapbench
