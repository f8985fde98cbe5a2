// Snapshot: what a measure may see of one trained model without running it. Plain float32 arrays as a PyTorch
// `state_dict` names and shapes them, plus the layers they form. Knows neither LibTorch nor files.
#pragma once

#include <any>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "measures/api/outcome.h"
#include "measures/api/plan.h"

namespace gapbench {

/// One saved array with its final and, where known, initial values, row-major float32.
struct Array {
  std::string name;                 ///< the state_dict key, for example "layers.0.weight"
  std::vector<std::int64_t> shape;  ///< as in PyTorch; {} is a scalar
  std::span<const float> final;     ///< prod(shape) values after training
  std::span<const float> init;      ///< prod(shape) values before training; empty where unknown
  bool trained = true;              ///< false for a buffer: the running statistics of batch norm
};

enum class LayerKind { dense, conv };

/// One weight layer. Weights are dense [outputs, inputs] or conv [outputs, inputs, kernel_height,
/// kernel_width] (groups 1).
struct Layer {
  LayerKind kind = LayerKind::dense;
  std::size_t weight = 0;           ///< index into Snapshot::arrays()
  std::optional<std::size_t> bias;  ///< index into Snapshot::arrays(), shape [outputs]
  // Geometry of a convolution; all 1 or 0 for a dense layer.
  std::int64_t input_height = 1, input_width = 1;  ///< spatial size of this layer's own input
  std::int64_t stride = 1, padding = 0;            ///< both directions
};

/// The memo: intermediates that several measures share, computed at most once per model (design: evaluate
/// once, derive many). Not thread-safe: one thread measures one snapshot.
class Memo {
 public:
  /// The value stored under `key`; calls make() the first time. One key always carries one type.
  template <class Make>
  const auto& get(const std::string& key, Make&& make) {
    using Value = std::decay_t<decltype(make())>;
    auto it = entries_.find(key);
    if (it == entries_.end()) it = entries_.emplace(key, std::any(std::in_place_type<Value>, make())).first;
    return *std::any_cast<Value>(&it->second);
  }

 private:
  std::map<std::string, std::any> entries_;
};

/// A search that several measures share and that costs more than all of them: kept with the model, so that a measure
/// added later costs nothing.
struct StoredSearch {
  int revision = 0;  ///< of the search's definition: another one is not used
  Outcome outcome = Outcome::failed("not searched");
  double seconds = 0;
  double passes = 0;     ///< forward passes of one sample it took; a gradient counts as three
  std::string executor;  ///< Probe::execution() of these passes; empty: an earlier version
};

/// What training left on record, for measures of its course.
struct TrainingRecord {
  std::int64_t steps = 0;  ///< optimiser steps in all
  /// Steps up to the first check at which the training cross-entropy was at most .1 or .01 nats; empty where
  /// none was.
  std::optional<std::int64_t> steps_to_cross_entropy_01, steps_to_cross_entropy_001;
  /// Variance of the per-sample gradient, mean over parameters, after epoch 1 and at the end; empty where it
  /// was not logged.
  std::optional<double> gradient_noise_epoch1, gradient_noise_final;
};

class Snapshot {
 public:
  /// `storage` keeps the memory alive that the arrays point into.
  Snapshot(std::string model_id, std::vector<Array> arrays, std::vector<Layer> layers,
           std::int64_t train_size, std::int64_t classes, std::shared_ptr<const void> storage = nullptr)
      : model_id_(std::move(model_id)),
        arrays_(std::move(arrays)),
        layers_(std::move(layers)),
        train_size_(train_size),
        classes_(classes),
        storage_(std::move(storage)) {}

  const std::string& model_id() const { return model_id_; }
  /// Every saved array: weights, biases and batch-norm statistics, in network order.
  const std::vector<Array>& arrays() const { return arrays_; }
  /// Weight layers in network order, input first.
  const std::vector<Layer>& layers() const { return layers_; }
  const Array& weight(const Layer& layer) const { return arrays_[layer.weight]; }
  /// Number m of training samples; 0 where unknown.
  std::int64_t train_size() const { return train_size_; }
  std::int64_t classes() const { return classes_; }
  /// True when every array has its initial values.
  bool has_init() const {
    for (const Array& a : arrays_)
      if (a.init.size() != a.final.size()) return false;
    return true;
  }
  /// Empty where gapbench did not train the model.
  const std::optional<TrainingRecord>& training() const { return training_; }
  void set_training(TrainingRecord record) { training_ = record; }
  /// How the arrays form a network; empty where only the arrays are known.
  const std::optional<Plan>& plan() const { return plan_; }
  void set_plan(Plan plan) { plan_ = std::move(plan); }
  /// Threads a measure may use; no result depends on their number.
  int threads() const { return threads_; }
  void set_threads(int threads) { threads_ = threads; }
  Memo& memo() const { return memo_; }
  /// By name. The runner fills it before measures run and stores it afterwards.
  std::map<std::string, StoredSearch>& searches() const { return searches_; }

 private:
  std::string model_id_;
  std::vector<Array> arrays_;
  std::vector<Layer> layers_;
  std::int64_t train_size_;
  std::int64_t classes_;
  std::shared_ptr<const void> storage_;
  std::optional<TrainingRecord> training_;
  std::optional<Plan> plan_;
  int threads_ = 1;
  mutable Memo memo_;
  mutable std::map<std::string, StoredSearch> searches_;
};

}  // namespace gapbench
