// What the text renderers share.
#pragma once

#include <string>
#include <vector>

#include "reports/report.h"

namespace gapbench::reports {

/// A number with fixed decimals; never "-0.000". "" for null.
std::string fixed(const Document& value, int decimals);
/// A p-value: three decimals, or like 2.1e-05 when smaller than .001.
std::string p_text(const Document& value);
/// "[-0.123, 0.456]", or "" for null.
std::string interval_text(const Document& interval);
/// "48 models of 24 configurations, ranked by 12 measures; 2 left out: not converged 2."
std::string population_sentence(const Document& ranking);
/// What the evidence supports, in sentences: which intervals leave out 0, and the band of a random score.
std::vector<std::string> evidence(const Document& ranking, std::size_t gap);
/// The rank correlation that noise in the test set allows, or why it is not known.
std::string noise_ceiling_sentence(const Document& ranking, std::size_t gap);
/// A level of an axis: the text itself, or the number as JSON writes it.
std::string level_text(const Document& level);
/// The Friedman tests over several ledgers against one gap, best mean rank first: a list of {statistic, sentence,
/// measures, mean_rank, critical_difference, cliques}. A clique is {first, last}, positions of a longest run of
/// measures that Nemenyi's test does not tell apart; runs of one measure are left out.
Document comparisons(const Document& ranking, std::size_t gap);

}  // namespace gapbench::reports
