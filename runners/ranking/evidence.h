// What the statistics of a ranking support, in sentences.
#pragma once

#include <nlohmann/json.hpp>

namespace gapbench {

/// One entry {topic, text, measures} a finding against gap number `gap` of a ranking document whose "axes",
/// "statistics" and "measures" are there: which measures lie outside chance after correction for all of them
/// ("chance"), which order the gaps better than the hyper-parameters alone do ("hyperparameters"), which change sign
/// between the levels of an axis ("groups"), and what no measure has, with the reason ("not_computed").
nlohmann::ordered_json evidence_json(const nlohmann::ordered_json& document, std::size_t gap);

}  // namespace gapbench
