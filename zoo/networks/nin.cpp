// Network-in-network: depth blocks of one 3x3 convolution with stride 2 and two 1x1 convolutions, each with a
// ReLU, dropout after each block; then a 1x1 convolution to the classes and the mean over positions. No dense
// layer, no batch norm. state_dict: blocks.<b>.<c>.{weight,bias} with c = 0, 1, 2, and head.{weight,bias}.
// Source: after the NiN of Dziugaite et al. 2020, without its batch norm.
#include "measures/api/error.h"
#include "zoo/networks/architecture.h"

namespace gapbench {

std::unique_ptr<Architecture> make_nin(const HyperParameters& hp, const InputShape& input) {
  Sequential net("nin", input);
  for (std::int64_t b = 0; b < hp.depth; ++b) {
    if (b > 0 && net.extent().positions() == 1)
      throw InputError("a nin of depth " + std::to_string(hp.depth) + " does not fit images of " +
                       std::to_string(input.height) + "x" + std::to_string(input.width) + ": block " +
                       std::to_string(b) +
                       " has a single position left and each block halves the image; the largest depth is " +
                       std::to_string(b));
    const std::string name = "blocks." + std::to_string(b) + ".";
    net.conv(name + "0", hp.width, 3, 2, 1).activation(Activation::relu);
    net.conv(name + "1", hp.width, 1, 1, 0).activation(Activation::relu);
    net.conv(name + "2", hp.width, 1, 1, 0).activation(Activation::relu).dropout(hp.dropout);
  }
  net.conv("head", input.classes, 1, 1, 0).mean_positions();
  return net.finish();
}

}  // namespace gapbench
