// The layers of a fast network. Each owns its buffers, computes its output from its input, and turns the gradient
// by its output into gradients by its arrays and by its input.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "zoo/data/aligned_vector.h"
#include "zoo/networks/plan.h"

namespace gapbench::fast {

using Buffer = AlignedVector<float>;

/// One call of a layer: samples first .. first + n of a batch.
struct Pass {
  std::int64_t n = 0, first = 0, batch = 0;
  bool training = false;
  bool update_statistics = false;
  std::uint64_t dropout_key = 0, step = 0;
  const std::uint32_t* rows =
      nullptr;  ///< of the first layer's input x: sample i is row rows[i]; null: row i
};

class Layer {
 public:
  virtual ~Layer() = default;
  /// Makes room for passes of up to `n` samples.
  virtual void reserve(std::int64_t n) = 0;
  /// Whether forward and backward find samples by Pass::rows, of which none is beyond `most`.
  virtual bool finds_rows(std::int64_t) const { return false; }
  /// Called after arrays may have changed, before a pass that has a backward pass.
  virtual void arrays_changed() {}
  /// Returns the output, which may be the input changed in place where `keep_input` is false.
  virtual float* forward(float* x, bool keep_input, const Pass& pass) = 0;
  /// For derivatives along the arrays themselves, in evaluation mode: x holds pass.n inputs and then the same inputs plus
  /// their derivatives dx; so the output, f(x) and then f(x) + df. `x` may be changed.
  virtual float* forward_along_arrays(float* x, const Pass& pass) {  // of a linear layer without arrays
    return forward(x, false, twice(pass));
  }
  /// After forward on the same samples. `x` is forward's input where needs_input, `g` the gradient by the
  /// output. Returns the gradient by the input, in `g` or in `other` (both large enough for either). With
  /// `want` false only the arrays' gradients count and the result is not used.
  virtual float* backward(const float* x, float* g, float* other, bool want, const Pass& pass) = 0;
  /// Whether backward reads x as forward got it.
  virtual bool needs_input() const = 0;

 protected:
  static Pass twice(Pass pass) {
    pass.n *= 2;
    return pass;
  }
};

/// Arrays of one layer and where their gradients go; all outlive the layer.
struct Arrays {
  const float *weight = nullptr, *bias = nullptr;
  float *weight_gradient = nullptr, *bias_gradient = nullptr;
  float *running_mean = nullptr, *running_variance = nullptr;
};

/// dense and conv, followed by ReLU where `relu`. Weights [kernel rows, kernel columns, inputs, outputs].
std::unique_ptr<Layer> make_affine(const Op& op, bool relu, const Arrays& arrays);
std::unique_ptr<Layer> make_activation(const Op& op);
std::unique_ptr<Layer> make_batch_norm(const Op& op, const Arrays& arrays);
std::unique_ptr<Layer> make_max_pool(const Op& op);
/// `extent` is the place's size before any flatten; the mask is drawn in the order of the samples' elements
/// as PyTorch has them: [channels, positions] when `flattened`, else [positions, channels]. `words_before` is
/// the number of units of one sample in earlier dropout places.
std::unique_ptr<Layer> make_dropout(const Op& op, const Extent& extent, bool flattened,
                                    std::int64_t words_before);
std::unique_ptr<Layer> make_mean_positions(const Op& op);

}  // namespace gapbench::fast
