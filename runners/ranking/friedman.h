// Do measures differ in rank over several ledgers, and which pairs: Friedman's test and Nemenyi's critical
// difference.
//
// Formula   R_j = mean rank of measure j over N ledgers (rank 1 = best, ties averaged), k measures.
//           chi2 = (k - 1) sum_j (sum_i (r_ij - (k + 1) / 2))^2 / sum_ij (r_ij - (k + 1) / 2)^2, k - 1 degrees.
//           Critical difference = q_alpha sqrt(k (k + 1) / (6 N)), q_alpha the upper quantile of the studentised
//           range of k normals over sqrt(2).
// Inputs    score[ledger][measure], larger is better.
// Returns   mean ranks, chi2 and its p, the critical difference; nothing for fewer than 2 ledgers or measures.
// Source    M. Friedman 1937; P. Nemenyi 1963; J. Demsar, JMLR 7 (2006).
// Error     quantiles to 1e-8. The chi2 law is rough for fewer than some ten ledgers.
// Cost      O(N k log k).
#pragma once

#include <optional>
#include <vector>

namespace gapbench {

struct Friedman {
  std::vector<double> mean_rank;
  double chi2 = 0, p_value = 1, critical_difference = 0;
};
std::optional<Friedman> friedman(const std::vector<std::vector<double>>& score, double alpha = 0.05);

/// P(chi-square with `degrees` >= x).
double chi2_tail(double x, double degrees);
/// Upper alpha quantile of the range of k independent standard normals.
double range_quantile(std::size_t k, double alpha);

}  // namespace gapbench
