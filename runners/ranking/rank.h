// Ranks the measures of a table against the gap by every protocol: a ledger of ours, or anybody's CSV.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runners/ledger/table.h"
#include "runners/ranking/protocols.h"

namespace gapbench {

/// What a registry knows of a measure; a foreign CSV has none.
struct MeasureDescription {
  std::string name, family, sign, formula, source;  ///< sign: "+", "-" or "0"
};

struct RankOptions {
  std::string title = "ranking";
  std::vector<std::string> gaps;  ///< columns; empty: gen.gap and gen.gap_loss, as far as they are there
  std::vector<std::string> axes = {"hp.*"};  ///< column patterns; one that matches nothing is passed over
  /// column patterns, with or without "complexity."; each must match a column
  std::vector<std::string> measures = {"complexity.*"};
  std::string configuration;         ///< column; empty: experiment_id if there, else each row by itself
  std::string seed;                  ///< column; empty: repeat_id if there
  std::string model;                 ///< column; empty: model_id if there, else "row <n>"
  bool keep_all = false;             ///< also rows with is.converged or is.high_train_accuracy false
  bool infinite_is_extreme = false;  ///< rank +-inf as the largest or smallest value; else it is missing
  bool complete_cases = false;       ///< leave out rows that lack a finite value of any measure
  /// two columns: the gap measured on either half of the test set; empty: of gen.gap, gen.gap_even and gen.gap_odd if there
  std::vector<std::string> halves;
  ConstantCell constant = ConstantCell::zero;
  SeedsAs seeds_as = SeedsAs::averaged;
  std::optional<double> min_ess;  ///< of environments; empty: 12 % of the most run pairs
  double test_points = 10000;     ///< behind each gap, for the weights of the sign error
  std::int64_t permutations = 1000;
  bool single_level_axes = false;  ///< the PGDL score conditions on axes of a single level too
  std::int64_t resamples = 1000;
  double level = 0.95;
  std::uint64_t random_seed = 0;  ///< of the bootstrap and the baselines
  int threads = 0;                ///< 0 = one a core; the result does not depend on it
  std::map<std::string, MeasureDescription> descriptions;
  nlohmann::json provenance = nlohmann::json::object();  ///< copied through
};

/// The ranking document (reports/schemas/ranking.schema.json). A pure function of table and options less
/// `threads`: same input, same bytes. Measures are sorted by tau-b against the first gap, largest first.
/// Baselines are added: random scores (median and band of tau over 1,000 draws), the gap with noise of standard
/// deviation 0.02 and 0.05 in the unit of the gap, and where there are axes the canonical order and the additive
/// model of the hyper-parameters in sample and out of fold; num-params and wc-nop are marked as baselines too.
/// Throws InputError on unknown columns (with the nearest), cells that are no numbers, configurations whose axes
/// disagree, two rows of one configuration and seed, no rows that can be ranked.
nlohmann::ordered_json rank(const Table& table, const RankOptions& options);

/// Friedman's test over several ranking documents, statistic by statistic and gap by gap, on the measures that all
/// of them have: the "comparison" of a document. Throws InputError for fewer than two measures in common.
nlohmann::ordered_json compare_rankings(const std::vector<nlohmann::ordered_json>& rankings);

}  // namespace gapbench
