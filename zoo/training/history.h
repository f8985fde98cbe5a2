// What training leaves on record. Torch-free.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace gapbench {

struct Metrics {
  double cross_entropy = 0;  ///< mean, nats
  double error = 0;          ///< share of wrong classifications
};

struct EpochRecord {
  std::int64_t epoch = 0;  ///< 1 for the first
  std::int64_t steps = 0;  ///< optimiser steps since the start
  double batch_loss = 0;   ///< mean over the epoch's samples of the loss at the time of their step, nats
  Metrics train, test;     ///< at the end of the epoch, evaluation mode, full sets
};

enum class StopReason { target, epoch_cap, diverged, interrupted };

/// "target", "epoch-cap", "diverged", "interrupted".
std::string_view to_string(StopReason reason);

/// One line of history.jsonl; a loss that is not finite becomes null.
nlohmann::json to_json(const EpochRecord& record);
EpochRecord epoch_record_from_json(const nlohmann::json& j);

}  // namespace gapbench
