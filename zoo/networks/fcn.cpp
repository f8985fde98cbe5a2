// Fully connected network: flatten, then depth times (Linear, ReLU, dropout), then Linear.
// state_dict: layers.<i>.{weight,bias} for the hidden layers, head.{weight,bias}.
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>

#include "zoo/networks/architecture.h"

namespace gapbench {
namespace {

class Fcn final : public Architecture {
 public:
  Fcn(const HyperParameters& hp, const InputShape& input) {
    std::vector<std::int64_t> widths = hp.widths;
    if (widths.empty()) widths.assign(static_cast<std::size_t>(hp.depth), hp.width);
    std::int64_t inputs = input.channels * input.height * input.width;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      add_dense("layers." + std::to_string(i), inputs, widths[i]);
      inputs = widths[i];
    }
    add_dense("head", inputs, input.classes);
  }

  at::Tensor forward(std::span<const at::Tensor> arrays, const at::Tensor& images,
                     Dropout* dropout) const override {
    at::Tensor x = images.flatten(1);
    const std::size_t hidden = layers().size() - 1;
    for (std::size_t i = 0; i < hidden; ++i) {
      x = at::relu(at::linear(x, arrays[2 * i], arrays[2 * i + 1]));
      if (dropout != nullptr) x = (*dropout)(x);
    }
    return at::linear(x, arrays[2 * hidden], arrays[2 * hidden + 1]);
  }
};

}  // namespace

std::unique_ptr<Architecture> make_fcn(const HyperParameters& hp, const InputShape& input) {
  return std::make_unique<Fcn>(hp, input);
}

}  // namespace gapbench
