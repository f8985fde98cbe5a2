// Network-in-network: depth blocks of one 3x3 convolution with stride 2 and two 1x1 convolutions, each with a
// ReLU, dropout after each block; then a 1x1 convolution to the classes and the mean over positions. No dense
// layer, no batch norm. state_dict: blocks.<b>.<c>.{weight,bias} with c = 0, 1, 2, and head.{weight,bias}.
// Source: after the NiN of Dziugaite et al. 2020, without its batch norm.
#include <ATen/ops/conv2d.h>
#include <ATen/ops/relu.h>

#include "measures/api/error.h"
#include "zoo/networks/architecture.h"

namespace gapbench {
namespace {

class Nin final : public Architecture {
 public:
  Nin(const HyperParameters& hp, const InputShape& input) {
    std::int64_t channels = input.channels, height = input.height, width = input.width;
    for (std::int64_t b = 0; b < hp.depth; ++b) {
      if (b > 0 && height == 1 && width == 1)
        throw InputError(
            "a nin of depth " + std::to_string(hp.depth) + " does not fit images of " +
            std::to_string(input.height) + "x" + std::to_string(input.width) + ": block " +
            std::to_string(b) +
            " has a single position left and each block halves the image; the largest depth is " +
            std::to_string(b));
      const std::string name = "blocks." + std::to_string(b) + ".";
      add_conv(name + "0", channels, hp.width, 3, 2, 1, height, width);
      height = (height - 1) / 2 + 1;
      width = (width - 1) / 2 + 1;
      add_conv(name + "1", hp.width, hp.width, 1, 1, 0, height, width);
      add_conv(name + "2", hp.width, hp.width, 1, 1, 0, height, width);
      channels = hp.width;
    }
    add_conv("head", channels, input.classes, 1, 1, 0, height, width);
  }

  bool channels_last() const override { return true; }

  at::Tensor forward(std::span<const at::Tensor> arrays, const at::Tensor& images,
                     Dropout* dropout) const override {
    at::Tensor x = images;
    for (std::size_t i = 0; i < layers().size(); ++i) {
      const Layer& l = layers()[i];
      x = at::conv2d(x, arrays[2 * i], arrays[2 * i + 1], l.stride, l.padding);
      if (i + 1 == layers().size()) break;
      x = at::relu(x);
      if (dropout != nullptr && i % 3 == 2) x = (*dropout)(x);
    }
    return x.mean({2, 3});
  }
};

}  // namespace

std::unique_ptr<Architecture> make_nin(const HyperParameters& hp, const InputShape& input) {
  return std::make_unique<Nin>(hp, input);
}

}  // namespace gapbench
