// K models of one group in training: their state on the device, and one epoch of all of them.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "zoo/engine/stack/device.h"
#include "zoo/engine/stack/epoch_plan.h"
#include "zoo/engine/stack/gradient_rules.h"
#include "zoo/engine/stack/iterate_ring.h"
#include "zoo/engine/stack/network.h"
#include "zoo/engine/stack/optimizer.h"
#include "zoo/training/trainer.h"
#include "zoo/training/training_data.h"

namespace gapbench::stack {

/// Whether a stack trains such a model: an architecture that layout.h serves, and no collision.
bool serves(const HyperParameters& hp, const Architecture& architecture);
/// Models with equal keys can share a stack: shape, batch size, training samples, optimiser, augmentation, and what is done to gradients.
std::string group_key(const HyperParameters& hp, const Architecture& architecture);

/// How many members a stack of models like this one has on the device: as many as make a step `work_of_a_step` of
/// arithmetic, from 4 to `most_members`, and no more than three quarters of `memory` bytes hold.
std::int64_t members_of_a_stack(const Architecture& architecture, const ModelSpec& model,
                                const TrainingData& data, const at::Device& device, std::int64_t memory,
                                const LogIterates& log_iterates = {});
/// How many stacks train on the device at a time: one on the CPU, else one for each 16 GB that are free, from 1 to 4.
int streams_of(const at::Device& device);

/// As few waves as stacks of `most` members allow, of equal size: the last one would leave a device idle otherwise.
std::int64_t members_in_waves(std::int64_t most, std::int64_t models);

/// Bytes that a stack takes at most, with the data of its group; on the CPU `host` includes `device`.
struct StackBytes {
  double device = 0, host = 0;
};
StackBytes bytes_of_a_stack(const Architecture& architecture, const HyperParameters& hp,
                            const TrainingData& data, const at::Device& device,
                            const LogIterates& log_iterates, std::int64_t members);

/// The samples of one group on the device.
struct DeviceData {
  at::Tensor train_images, test_images;  ///< [n, size]
  at::Tensor test_labels;                ///< int64 [n]
  std::shared_ptr<const TrainingData> host;
  DeviceData(std::shared_ptr<const TrainingData> data, const at::Device& device);
};

/// The samples that stacks hold at present, each set once. Thread-safe.
class DeviceDataCache {
 public:
  std::shared_ptr<const DeviceData> get(const std::shared_ptr<const TrainingData>& data,
                                        const at::Device& device);

 private:
  std::mutex mutex_;
  std::map<const TrainingData*, std::weak_ptr<const DeviceData>> sets_;
};

/// What one epoch gave one member.
struct EpochResult {
  double loss_sum =
      0;  ///< sum over samples of the losses at the time of their step; not finite: training broke off
  std::int64_t steps = 0;  ///< of the member since its start
};

class TrainingStack {
 public:
  /// `size` members of the group of `first`; `threads` is for work on the host.
  TrainingStack(const Architecture& architecture, std::shared_ptr<const DeviceData> data,
                const ModelSpec& first, std::int64_t size, const at::Device& device, int threads,
                const LogIterates& log_iterates = {});
  std::int64_t size() const { return size_; }

  /// Puts a model into a slot: from its state's arrays, or from its initial values where `state` has none (it then gets
  /// them). The model and its architecture are copied.
  void load(std::int64_t slot, const ModelSpec& model, const Architecture& architecture,
            const TrainState& state);
  /// The slot's results no longer matter.
  void clear(std::int64_t slot);
  bool occupied(std::int64_t slot) const { return members_[static_cast<std::size_t>(slot)].has_value(); }

  /// One epoch of every occupied slot; results by slot, of the others meaningless.
  std::vector<EpochResult> train_epoch();
  struct Evaluation {
    std::vector<Metrics> train, test;  ///< by slot
  };
  Evaluation evaluate();
  /// Seconds of a step of a full batch of all slots, occupied or not. No slot's results are to be used afterwards.
  double time_step();
  /// As gradient_noise.h, of these slots, in their order.
  std::vector<std::optional<double>> gradient_noise(const std::vector<std::int64_t>& slots);
  /// Arrays, optimizer_state and iterates of the slot's state.
  void download(std::int64_t slot, TrainState& state) const;

 private:
  struct Member {
    ModelSpec model;
    std::vector<std::int64_t> labels;
    std::int64_t epochs = 0, steps = 0;  // done
  };
  void step(std::int64_t batch_size, const BatchInputs& inputs, const at::Tensor& batch);
  at::Tensor gather(const at::Tensor& indices) const;  // [K, n] to [K, n, size]
  std::vector<Metrics> metrics(const at::Tensor& images, const at::Tensor& labels);
  template <class F>
  void for_each_slot(F f) const;

  Network network_;
  std::shared_ptr<const DeviceData> data_;
  at::Device device_;
  Rule rule_;
  GradientRules rules_;
  LogIterates log_iterates_;
  std::int64_t size_, batch_size_;
  int threads_;
  std::vector<std::optional<Member>> members_;
  Arrays arrays_;
  at::Tensor gradients_, state_;  // [K, P], [sets, K, P]
  std::optional<IterateRing> iterates_;
  at::Tensor labels_;                        // int64 [K, n]
  at::Tensor everywhere_, added_;            // of the targets, float [K]
  at::Tensor radius_, clip_norm_, descent_;  // double [K]
  Randomness randomness_;
  at::Tensor loss_sum_, alive_;    // double [K], bool [K]
  at::Tensor batch_, tail_batch_;  // int64 [1]: the next full batch of the epoch, and the last, smaller one
  ImageLayout layout_;
  at::Tensor sources_;  // see turned()
  EpochPlan plan_;
  std::unique_ptr<RepeatedStep> full_step_, tail_step_;
};

}  // namespace gapbench::stack
