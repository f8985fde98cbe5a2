#include "runners/ranking/baselines.h"

#include <array>
#include <utility>

#include "runners/ranking/prediction.h"

namespace gapbench {

int canonical_direction(std::string_view axis) {
  // first match counts; names as our specs and public ledgers have them
  static constexpr std::array<std::pair<std::string_view, int>, 15> directions = {{{"batch", +1},
                                                                                   {"bs", +1},
                                                                                   {"dropout", -1},
                                                                                   {"learning_rate", -1},
                                                                                   {"lr", -1},
                                                                                   {"weight_decay", -1},
                                                                                   {"wd", -1},
                                                                                   {"momentum", -1},
                                                                                   {"width", -1},
                                                                                   {"filters", -1},
                                                                                   {"depth", -1},
                                                                                   {"train_size", -1},
                                                                                   {"train_dataset_size", -1},
                                                                                   {"label_noise", +1},
                                                                                   {"noise", +1}}};
  for (const auto& [name, direction] : directions)
    if (axis.find(name) != std::string_view::npos) return direction;
  return 0;
}

std::vector<double> canonical_order(const Design& configurations,
                                    std::span<const std::uint32_t> configuration) {
  std::vector<double> of_configuration(configurations.items, 0.0), scores;
  for (const DesignAxis& a : configurations.axes)
    for (std::size_t c = 0; c < configurations.items; ++c)
      of_configuration[c] += canonical_direction(a.name) * static_cast<double>(a.level[c]) / (a.levels - 1);
  for (const std::uint32_t c : configuration) scores.push_back(of_configuration[c]);
  return scores;
}

std::vector<double> hyperparameters_in_sample(const Design& configurations,
                                              std::span<const std::uint32_t> configuration,
                                              std::span<const double> gap) {
  return in_sample(level_features(configurations, configuration), gap);
}

std::vector<double> hyperparameters_out_of_fold(const Design& configurations,
                                                std::span<const std::uint32_t> configuration,
                                                std::span<const double> gap, std::size_t folds,
                                                std::uint64_t seed) {
  const auto of_configuration = configuration_folds(configurations.items, folds, seed);
  std::vector<std::uint32_t> fold;
  for (const std::uint32_t c : configuration) fold.push_back(of_configuration[c]);
  return out_of_fold(level_features(configurations, configuration), gap, fold).prediction;
}

}  // namespace gapbench
