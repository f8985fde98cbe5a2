// DenseNet-40 and 121 for small images. Each layer sees all earlier values of its block, joined by channels: batch norm where
// asked, activation, convolution (no bias where there is batch norm), dropout where asked; blocks are joined by batch norm,
// activation, a 1x1 convolution and 2x2 mean pooling.
//   40    three blocks of twelve 3x3 layers, growth 12, stem of 16 channels, transitions keep the channels
//   121   four blocks of 6, 12, 24 and 16 layers with 1x1 bottlenecks of four times the growth 32, stem of 64 channels,
//         transitions halve the channels
// Growth and stem are times width_multiplier. Source: Huang et al. 2017, tables for CIFAR; 121 with the 3x3 stem of stride 1.
// state_dict: stem, blocks.<b>.<l>.{norm<i>,conv<i>}, transitions.<b>.{norm,conv}, norm, head.
#include <vector>

#include "measures/api/error.h"
#include "zoo/networks/architecture.h"

namespace gapbench {

std::unique_ptr<Architecture> make_densenet(const HyperParameters& hp, const InputShape& input) {
  const bool large = hp.network == "densenet121", norm = batch_norm_of(hp, true);
  if (!large && hp.network != "densenet40") throw InternalError("no DenseNet is named " + hp.network);
  const std::vector<int> blocks = large ? std::vector<int>{6, 12, 24, 16} : std::vector<int>{12, 12, 12};
  const std::int64_t growth = scaled_width(hp, large ? 32 : 12);
  NetworkBuilder net(hp.network, input);
  const auto before = [&](const std::string& name) {
    if (norm) net.batch_norm(name);
    net.activation(activation_of(hp));
  };
  net.conv("stem", scaled_width(hp, large ? 64 : 16), 3, 1, 1, !norm);
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    for (int l = 0; l < blocks[b]; ++l) {
      const std::string name = "blocks." + std::to_string(b) + "." + std::to_string(l) + ".";
      const std::size_t known = net.value();
      before(name + "norm1");
      if (large) {
        net.conv(name + "conv1", 4 * growth, 1, 1, 0, !norm);
        before(name + "norm2");
      }
      net.conv(name + (large ? "conv2" : "conv1"), growth, 3, 1, 1, !norm).dropout(hp.dropout);
      const std::size_t fresh = net.value();
      net.from(known).concat(fresh);
    }
    if (b + 1 == blocks.size()) break;
    const std::string name = "transitions." + std::to_string(b) + ".";
    before(name + "norm");
    net.conv(name + "conv", large ? net.extent().channels / 2 : net.extent().channels, 1, 1, 0, !norm)
        .dropout(hp.dropout);
    if (net.extent().height > 1 && net.extent().width > 1) net.mean_pool();
  }
  before("norm");
  net.mean_positions().dense("head", input.classes);
  return net.finish();
}

}  // namespace gapbench
