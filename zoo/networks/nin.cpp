// Network-in-network: depth blocks of one 3x3 convolution with stride 2 and two 1x1 convolutions, each with batch norm
// where asked and an activation, dropout after each block; then a 1x1 convolution to the classes and the mean over
// positions. No dense layer. state_dict: blocks.<b>.<c>.{weight,bias} and norms.<b>.<c>.* with c = 0, 1, 2; head.{weight,bias}.
// Source: the NiN of Dziugaite et al. 2020, which has batch norm (batch_norm = on).
#include "measures/api/error.h"
#include "zoo/networks/architecture.h"

namespace gapbench {

std::unique_ptr<Architecture> make_nin(const HyperParameters& hp, const InputShape& input) {
  NetworkBuilder net("nin", input);
  for (std::int64_t b = 0; b < hp.depth; ++b) {
    if (b > 0 && net.extent().positions() == 1)
      throw InputError("a nin of depth " + std::to_string(hp.depth) + " does not fit images of " +
                       std::to_string(input.height) + "x" + std::to_string(input.width) + ": block " +
                       std::to_string(b) +
                       " has a single position left and each block halves the image; the largest depth is " +
                       std::to_string(b));
    for (int c = 0; c < 3; ++c) {
      const std::string place = std::to_string(b) + "." + std::to_string(c);
      if (c == 0)
        net.conv("blocks." + place, hp.width, 3, 2, 1);
      else
        net.conv("blocks." + place, hp.width, 1, 1, 0);
      if (batch_norm_of(hp, false)) net.batch_norm("norms." + place);
      net.activation(activation_of(hp));
    }
    net.dropout(hp.dropout);
  }
  net.conv("head", input.classes, 1, 1, 0).mean_positions();
  return net.finish();
}

}  // namespace gapbench
