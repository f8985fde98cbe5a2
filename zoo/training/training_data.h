// A data set as a network is trained on it, shared read-only by every worker. Torch-free.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "zoo/data/dataset.h"
#include "zoo/networks/architecture.h"
#include "zoo/spec/zoo_spec.h"

namespace gapbench {

/// `train` and `test` are as dataset.h has them but for the memory order of the images.
struct TrainingData {
  Samples train, test;
  InputShape shape;
  bool channels_last = false;  ///< images are [n, height, width, channels], else [n, channels, height, width]
};

/// Images from [n, channels, height, width] to [n, height, width, channels] in memory.
void to_channels_last(AlignedVector<float>& images, const InputShape& shape);

/// The labels a model is trained on, and evaluated on as its training set: those of the data with the label noise that its
/// hyper-parameters ask for.
std::vector<std::int64_t> training_labels(const ModelSpec& model, const TrainingData& data);

/// The variants of one data set that a zoo asks for (training size, standardised or not), each made once.
/// Thread-safe.
class TrainingDataCache {
 public:
  explicit TrainingDataCache(Dataset dataset) : dataset_(std::move(dataset)) {}
  const Dataset& dataset() const { return dataset_; }
  /// Training samples of a model: hp.train_size, or all there are.
  std::int64_t samples(const HyperParameters& hp) const {
    return hp.train_size > 0 ? hp.train_size : dataset_.train.count;
  }
  InputShape shape() const { return {dataset_.channels, dataset_.height, dataset_.width, dataset_.classes}; }
  /// Images in channels-last memory order where asked (same values). Throws InputError when the data set has
  /// fewer than hp.train_size training samples.
  std::shared_ptr<const TrainingData> get(const HyperParameters& hp, bool channels_last);

 private:
  Dataset dataset_;
  std::mutex mutex_;
  std::map<std::tuple<std::int64_t, bool, bool>, std::shared_ptr<const TrainingData>> variants_;
};

}  // namespace gapbench
