// The network as the training loop sees it: arrays and gradients as plain floats. Each executor implements it;
// the loop, the optimisers and the stopping rules exist once. One thread uses one network. Torch-free.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "zoo/data/aligned_vector.h"
#include "zoo/networks/architecture.h"
#include "zoo/training/history.h"

namespace gapbench {

/// What a step's random numbers and buffers depend on besides the batch. The same context gives the same
/// dropout masks: for a second gradient at other weights (SAM), pass it again with update_statistics false.
struct StepContext {
  std::uint64_t dropout_key = 0;
  std::int64_t step = 1;                ///< from 1
  bool update_statistics = true;        ///< the running statistics of batch norm move
  bool evaluation = false;              ///< no dropout, batch norm by its running statistics, which stay
  const std::uint32_t* rows = nullptr;  ///< sample i is row rows[i] of the images; null: row i
};

class TrainableNetwork {
 public:
  explicit TrainableNetwork(const Architecture& architecture) : architecture_(architecture) {}
  virtual ~TrainableNetwork() = default;
  const Architecture& architecture() const { return architecture_; }
  /// What computes, as far as it may change bits: the executor, then the instruction set and library where it uses them.
  virtual std::string execution() const = 0;

  /// Array i of Architecture::arrays(), to read and to write, in an element order that is the network's own
  /// and never changes: elementwise rules need not know it, others use to_row_major and from_row_major.
  virtual std::span<float> array(std::size_t i) = 0;
  /// Gradient of the last loss by array i, in its element order; valid until the next call of
  /// loss_and_gradients. Empty for buffers.
  virtual std::span<const float> gradient(std::size_t i) = 0;
  /// Values that belong to array i (weights, gradients, moving averages) from the network's order to row-major
  /// and back. Both throw InternalError where the length is not that of the array.
  virtual std::vector<float> to_row_major(std::size_t i, std::span<const float> values) const = 0;
  virtual std::vector<float> from_row_major(std::size_t i, std::span<const float> values) const = 0;
  /// Array i from row-major values, in place.
  virtual void set_array(std::size_t i, std::span<const float> row_major) = 0;

  /// Mean over the n samples of the cross-entropy -sum_k t_k ln p_k (nats), and its gradients; in training mode unless
  /// the context says evaluation.
  /// `images` [n or more, ...] in the order Architecture::channels_last() names; `targets` row-major [n, classes], each
  /// row a distribution: one-hot for a plain label, otherwise what label smoothing and mixup make of it. Where
  /// the loss is not finite the gradients are not to be used. A function of its arguments and the arrays alone.
  virtual double loss_and_gradients(const float* images, const float* targets, std::int64_t n,
                                    const StepContext& context) = 0;
  /// Mean cross-entropy (nats, float64 sum) and share of wrong classifications in evaluation mode. An example
  /// whose logits are not finite gives a cross-entropy that is not finite. Ties go to the lowest class.
  virtual Metrics evaluate(const float* images, const std::int64_t* labels, std::int64_t n) = 0;
  /// Logits in evaluation mode, row-major [n, classes] into `out`.
  virtual void logits(const float* images, std::int64_t n, float* out) = 0;
  /// These logits, to the bit, and d/dt of them with every trained array multiplied by 1 + t, at t = 0. A layer that is
  /// linear in its own arrays and in its input x has the derivative of its output at x + dx, so this costs two forward
  /// passes.
  virtual void logits_and_derivatives(const float* images, std::int64_t n, float* logits,
                                      float* derivatives) = 0;

 private:
  const Architecture& architecture_;
};

/// The images one after the other: themselves where `rows` (see StepContext) is null, else copied into `room`.
const float* gather(const float* images, const std::uint32_t* rows, std::int64_t n, std::int64_t size,
                    AlignedVector<float>& room);

/// All arrays row-major in Architecture::arrays() order, and the way back; the last from one concatenated buffer.
std::vector<std::vector<float>> export_arrays(TrainableNetwork& network);
void import_arrays(TrainableNetwork& network, const std::vector<std::vector<float>>& arrays);
void import_arrays(TrainableNetwork& network, std::span<const float> concatenated);

}  // namespace gapbench
