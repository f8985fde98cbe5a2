// A plain convolutional network: depth blocks of a 3x3 convolution, batch norm where asked, activation and 2x2 max pooling,
// channels doubling from width with each block, dropout after each block; then the mean over positions and Linear.
// Pooling is left out where a single row or column is left.
// state_dict: blocks.<b>.{weight,bias}, norms.<b>.*, head.{weight,bias}.
#include "measures/api/error.h"
#include "zoo/networks/architecture.h"

namespace gapbench {

std::unique_ptr<Architecture> make_cnn(const HyperParameters& hp, const InputShape& input) {
  if (hp.depth > 12)
    throw InputError("a cnn of depth " + std::to_string(hp.depth) +
                     " is not allowed; it takes 1 to 12 blocks, whose channels double");
  NetworkBuilder net("cnn", input);
  for (std::int64_t b = 0; b < hp.depth; ++b) {
    net.conv("blocks." + std::to_string(b), hp.width << b, 3, 1, 1);
    if (batch_norm_of(hp, false)) net.batch_norm("norms." + std::to_string(b));
    net.activation(activation_of(hp));
    if (net.extent().height > 1 && net.extent().width > 1) net.max_pool();
    net.dropout(hp.dropout);
  }
  net.mean_positions().dense("head", input.classes);
  return net.finish();
}

}  // namespace gapbench
