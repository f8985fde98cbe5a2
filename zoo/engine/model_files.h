// What the engine writes of a model into the store, and reads back.
#pragma once

#include <optional>

#include "measures/api/snapshot.h"
#include "zoo/networks/architecture.h"
#include "zoo/spec/zoo_spec.h"
#include "zoo/store/model_store.h"
#include "zoo/training/trainer.h"

namespace gapbench {

/// Writes every file of a finished model, result.json last, and removes its checkpoint.
void save_trained(const ModelStore& store, const ModelSpec& model, const Architecture& architecture,
                  const TrainedModel& trained, double seconds);

/// Writes epoch-<n>.safetensors.
void save_epoch(const ModelStore& store, const ModelSpec& model, const Architecture& architecture,
                std::int64_t epoch, const std::vector<std::vector<float>>& arrays);

void save_checkpoint(const ModelStore& store, const ModelSpec& model, const Architecture& architecture,
                     const TrainState& state);
/// Nothing where there is no checkpoint.
std::optional<TrainState> load_checkpoint(const ModelStore& store, const ModelSpec& model,
                                          const Architecture& architecture);

/// Final and initial arrays of a trained model, memory-mapped. Throws InputError when a file does not hold
/// the arrays that the model's spec calls for, naming both.
Snapshot load_snapshot(const ModelStore& store, const ModelSpec& model, const Architecture& architecture,
                       std::int64_t train_size, std::int64_t classes);

}  // namespace gapbench
