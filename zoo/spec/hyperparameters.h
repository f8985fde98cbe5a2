// The hyper-parameters of a model: one table that parsing, checking, hashing, the ledger's columns, `gapbench
// describe` and the published JSON schema share. Each can be fixed or be an axis of a zoo.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace gapbench {

struct HyperParameter {
  enum class Kind { integer, number, boolean, choice, integer_list };
  std::string_view name;  ///< key in a spec; `hp.<name>` in the ledger
  Kind kind;
  nlohmann::json default_value;
  double minimum = 0, maximum = 0;  ///< for numbers (inclusive), and for the members of a list
  bool minimum_excluded = false;
  std::vector<std::string_view> choices;  ///< for Kind::choice
  std::string_view help;
};

/// All hyper-parameters, in the order the ledger shows them.
const std::vector<HyperParameter>& hyperparameters();

/// Throws InputError, with `where` in front, when the name is unknown or the value is not allowed. Returns
/// the value in canonical form: an integer-valued 32.0 for an integer becomes 32, a 1 for a number
/// becomes 1.0.
nlohmann::json checked_hyperparameter(std::string_view name, const nlohmann::json& value,
                                      const std::string& where);

/// What decides a model's weights apart from data and seed. Complete: every hyper-parameter has a value.
struct HyperParameters {
  std::string network;
  std::int64_t depth = 0, width = 0;
  std::vector<std::int64_t> widths;
  std::string optimizer;
  double lr = 0, momentum = 0;
  std::int64_t batch_size = 0;
  double weight_decay = 0, dropout = 0;
  std::int64_t train_size = 0;
  bool standardise = false;
  std::int64_t max_epochs = 0;
  double target_cross_entropy = 0;

  /// From checked values; names that are absent take their default. Throws InputError on combinations that
  /// contradict each other (`widths` beside `depth` or `width`, `widths` of a NiN).
  static HyperParameters from_json(const nlohmann::json& values, const std::string& where);
  /// Canonical: every name, keys sorted.
  nlohmann::json to_json() const;
};

}  // namespace gapbench
