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

// The members of HyperParameters, each named as its hyper-parameter: what reading and writing go through.
// clang-format off: its layout of such a list changes with every run
#define GAPBENCH_HYPERPARAMETERS(FIELD)                                                                     \
  FIELD(network)                                                                                            \
  FIELD(depth)                                                                                              \
  FIELD(width) FIELD(widths) FIELD(width_multiplier) FIELD(activation) FIELD(batch_norm) FIELD(init_scale)  \
      FIELD(optimizer) FIELD(lr) FIELD(schedule) FIELD(warmup_epochs) FIELD(milestones)                     \
          FIELD(schedule_factor) FIELD(momentum) FIELD(batch_size) FIELD(weight_decay) FIELD(dropout)       \
              FIELD(clip_norm) FIELD(sam_radius) FIELD(collision) FIELD(collision_coefficient)              \
                  FIELD(collision_mask_diagonal) FIELD(wcd) FIELD(wcd_form) FIELD(wcd_layers)               \
                      FIELD(label_smoothing) FIELD(label_noise) FIELD(label_noise_kind) FIELD(augmentation) \
                          FIELD(mixup_alpha) FIELD(train_size) FIELD(standardise) FIELD(max_epochs)         \
                              FIELD(max_steps) FIELD(target_cross_entropy) FIELD(check_every)
// clang-format on

/// What decides a model's weights apart from data and seed. Complete: every hyper-parameter has a value.
struct HyperParameters {
  std::string network;
  std::int64_t depth = 0, width = 0;  ///< 0 for networks that have their own
  std::vector<std::int64_t> widths;
  double width_multiplier = 1;
  std::string activation, batch_norm;
  double init_scale = 1;
  std::string optimizer;
  double lr = 0;
  std::string schedule;
  std::int64_t warmup_epochs = 0;
  std::vector<std::int64_t> milestones;
  double schedule_factor = 0, momentum = 0;
  std::int64_t batch_size = 0;
  double weight_decay = 0, dropout = 0, clip_norm = 0, sam_radius = 0;
  std::string collision;
  double collision_coefficient = 0;
  bool collision_mask_diagonal = false;
  double wcd = 0;
  std::string wcd_form, wcd_layers;
  double label_smoothing = 0, label_noise = 0;
  std::string label_noise_kind, augmentation;
  double mixup_alpha = 0;
  std::int64_t train_size = 0;
  bool standardise = false;
  std::int64_t max_epochs = 0, max_steps = 0;
  double target_cross_entropy = 0;
  std::int64_t check_every = 0;

  /// From values by name; names that are absent take their default. Throws InputError on an unknown name, a value
  /// that is not allowed, and combinations that contradict each other (`widths` beside `depth` or `width`, ...).
  static HyperParameters from_json(const nlohmann::json& values, const std::string& where);
  /// Canonical: every name, keys sorted.
  nlohmann::json to_json() const;
  /// to_json() without what has its default: what a model id is made of, so that a new hyper-parameter whose
  /// default changes nothing leaves the ids of older models as they are.
  nlohmann::json not_default() const;
  /// Whether the network's depth and width are part of its name (vgg, resnet, densenet).
  static bool has_own_depth(std::string_view network);
};

}  // namespace gapbench
