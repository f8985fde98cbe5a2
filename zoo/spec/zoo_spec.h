// A zoo as its user writes it down: a JSON file with fixed hyper-parameters, axes, exclusions and seeds.
// Published as zoo/specs/spec.schema.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "zoo/spec/hyperparameters.h"

namespace gapbench {

struct Axis {
  std::string name;
  std::vector<nlohmann::json> values;  ///< canonical, distinct, in the user's order
};

/// Which iterates of the optimiser are kept as random projections (zoo/training/iterate_log.h).
struct LogIterates {
  std::int64_t last = 0;          ///< of the training run; 0 = none
  std::int64_t dimension = 2000;  ///< of a projection, a multiple of 4
};

struct ZooSpec {
  std::string name;
  std::string description;
  std::string dataset;
  std::filesystem::path data_dir;  ///< empty: the command line or the default decides; never part of an id
  nlohmann::json fixed;            ///< checked values
  std::vector<Axis> axes;          ///< in the user's order
  std::vector<nlohmann::json> exclude;  ///< partial assignments; a configuration that matches one is left out
  std::vector<std::uint64_t> seeds;     ///< distinct
  std::vector<std::string> measures;    ///< patterns; empty = all
  std::vector<std::int64_t>
      keep_epochs;           ///< epochs whose weights are kept beside the final ones; never part of an id
  LogIterates log_iterates;  ///< never part of an id
  std::int64_t bootstrap_resamples = 1000;  ///< of the ranking
  double bootstrap_level = 0.95;
  nlohmann::ordered_json source;  ///< the file as read, for the record

  /// Parses and checks. `where` names the file in messages. Unknown keys throw InputError with the nearest
  /// valid key.
  static ZooSpec parse(std::string_view text, const std::string& where);
  static ZooSpec load(const std::filesystem::path& file);
};

/// One network to train. Its id is a hash of all that can change its weights, and of nothing else.
struct ModelSpec {
  std::string dataset;
  std::string data_sha256;
  HyperParameters hp;
  std::uint64_t seed = 0;
  std::string id;             ///< 16 hexadecimal digits
  std::string configuration;  ///< the same without the seed: models that differ in the seed alone share it

  /// Computes both ids.
  ModelSpec(std::string dataset, std::string data_sha256, HyperParameters hp, std::uint64_t seed);
  nlohmann::json to_json() const;
  static ModelSpec from_json(const nlohmann::json& j, const std::string& where);
};

/// Raised whenever the same ModelSpec would train to other bits than before: it is part of every model id.
inline constexpr int training_revision = 2;

/// All models of a spec: the product of its axes less the exclusions, times its seeds; configurations vary
/// slowest along the first axis, seeds fastest. Throws InputError where nothing is left. Cost: O(models).
std::vector<ModelSpec> expand(const ZooSpec& spec, const std::string& data_sha256);

}  // namespace gapbench
