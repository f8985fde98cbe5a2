// What training leaves on record. Torch-free.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gapbench {

struct Metrics {
  double cross_entropy = 0;                ///< mean, nats
  double error = 0;                        ///< share of wrong classifications
  std::array<double, 2> half_errors = {};  ///< the same over the samples at even and at odd positions from 0
};

struct EpochRecord {
  std::int64_t epoch = 0;  ///< 1 for the first
  std::int64_t steps = 0;  ///< optimiser steps since the start
  double batch_loss = 0;   ///< mean over the epoch's samples of the loss at the time of their step, nats
  bool evaluated = true;   ///< false between two checks: train and test mean nothing then
  Metrics train, test;     ///< at the end of the epoch, evaluation mode, full sets
  std::optional<double>
      gradient_noise;  ///< at the end of the first and of the last epoch, see gradient_noise.h
};

enum class StopReason { target, epoch_cap, step_cap, diverged, interrupted };

/// "target", "epoch-cap", "step-cap", "diverged", "interrupted".
std::string_view to_string(StopReason reason);

/// One line of history.jsonl; a loss that is not finite becomes null, and so do all four metrics of an epoch that was not
/// evaluated.
nlohmann::json to_json(const EpochRecord& record);
EpochRecord epoch_record_from_json(const nlohmann::json& j);

/// Optimiser steps up to the first check at which the training cross-entropy was at most `target`; nothing where none was.
std::optional<std::int64_t> steps_to(const std::vector<EpochRecord>& history, double target);

}  // namespace gapbench
