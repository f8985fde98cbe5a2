// What a ranking document says, in sentences: the document carries them, so that every report says the same.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gapbench {

/// One entry {topic, text, measures} a finding against gap number `gap` of a ranking document whose "axes",
/// "bootstrap", "statistics" and "measures" are there: whose intervals leave out 0 ("intervals"), where a random score
/// falls ("random"), what the number of weights reaches ("size"), which measures lie outside chance after correction for
/// all of them ("chance"), which order the gaps better than the hyper-parameters alone do ("hyperparameters"), which
/// change sign between the levels of an axis ("groups"), and what no measure has, with the reason ("not_computed").
nlohmann::ordered_json evidence_json(const nlohmann::ordered_json& document, std::size_t gap);
/// "48 models of 24 configurations, ranked by 12 measures and 5 baselines, over the axes lr. Left out: 2 not converged."
std::string population_text(const nlohmann::ordered_json& document);
/// The rank correlation that noise in the test set allows, or why it is not known; of protocols[].noise_ceiling.
std::string noise_ceiling_text(const nlohmann::ordered_json& ceiling);
/// Runs {first, last} of measures, in the order of their mean ranks, that Nemenyi's test does not tell apart; only the
/// longest ones, and none of a single measure.
nlohmann::ordered_json cliques(const std::vector<double>& mean_rank, double critical_difference);
/// Friedman's test on one statistic, `test` an entry of comparison.tests with its cliques.
std::string comparison_text(const std::string& label, const nlohmann::ordered_json& test, std::size_t ledgers,
                            double level);

}  // namespace gapbench
