// What the steps of an epoch take besides images and weights: computed on the host, for the next epoch while the device still
// works on this one.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "zoo/engine/stack/optimizer.h"
#include "zoo/spec/zoo_spec.h"
#include "zoo/training/augmentation.h"

namespace gapbench::stack {

/// Of a number of batches of one size.
struct BatchInputs {
  at::Tensor order;         ///< int64 [batches, K, n]: samples
  at::Tensor turns;         ///< int64 [batches, K, n]: Turn::number() of each sample; n = 0 without flip-crop
  at::Tensor partners;      ///< int64 [batches, K, n]: of mixup, places in the batch; n = 0 without
  at::Tensor keep;          ///< float [batches, K]: of mixup
  at::Tensor coefficients;  ///< float [batches, coefficient_count, K]
};

class EpochPlan {
 public:
  /// `samples` of an epoch in batches of `batch_size`, the last maybe smaller; all models have the update rule and the
  /// augmentation of `hp`.
  EpochPlan(const HyperParameters& hp, const ImageLayout& layout, std::int64_t samples,
            std::int64_t batch_size, std::int64_t members, const at::Device& device);
  std::int64_t batches() const { return full_ + (tail_ > 0); }
  /// On the device: the batches of full size, and the last one, of 0 samples where all are full.
  const BatchInputs& full() const { return device_[0]; }
  const BatchInputs& tail() const { return device_[1]; }

  /// Computes the slot's part of an epoch (from 1) of the model, which has done `steps` steps before, unless that is what it
  /// has. Not while a send() that did not wait is under way. Several slots at a time may be prepared by several threads.
  void prepare(std::int64_t slot, const ModelSpec& model, std::int64_t epoch, std::int64_t steps);
  /// Gives the device what was prepared since, after the work that it was given before.
  void send(bool wait);

 private:
  struct Prepared {
    std::string model;
    std::int64_t epoch = 0, steps = 0;
    bool operator==(const Prepared&) const = default;
  };
  Rule rule_;
  bool turns_, mixes_;
  ImageLayout layout_;
  std::int64_t samples_, batch_size_, members_, full_, tail_;
  BatchInputs host_[2], device_[2];
  std::vector<std::optional<Prepared>> prepared_;  // by slot
  std::vector<char> unsent_;                       // by slot
};

}  // namespace gapbench::stack
