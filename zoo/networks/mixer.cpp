// MLP-Mixer: patches of 4x4 pixels (2x2 for images below 16 pixels) become tokens of width channels; depth blocks, each of two
// residual branches: layer norm, a dense layer over the tokens of each channel to half as many as there are channels and back;
// layer norm, a dense layer over the channels of each token to four times as many and back; activation and dropout in between;
// then layer norm, the mean over tokens, Linear. Layers over channels are 1x1 convolutions.
// Source: Tolstikhin et al. 2021.
// state_dict: patches, blocks.<b>.{norm1,tokens1,tokens2,norm2,channels1,channels2}, norm, head.
#include <algorithm>

#include "measures/api/error.h"
#include "zoo/networks/architecture.h"

namespace gapbench {

std::unique_ptr<Architecture> make_mixer(const HyperParameters& hp, const InputShape& input) {
  const std::int64_t patch = std::min(input.height, input.width) >= 16 ? 4 : 2;
  if (input.height % patch != 0 || input.width % patch != 0)
    throw InputError("a mixer does not fit images of " + std::to_string(input.height) + "x" +
                     std::to_string(input.width) + ": both sides must be multiples of " +
                     std::to_string(patch));
  NetworkBuilder net("mixer", input);
  net.conv("patches", hp.width, patch, patch, 0);
  for (std::int64_t b = 0; b < hp.depth; ++b) {
    const std::string name = "blocks." + std::to_string(b) + ".";
    std::size_t shortcut = net.value();
    const Extent image = net.extent();
    net.layer_norm(name + "norm1").token_dense(name + "tokens1", std::max<std::int64_t>(1, hp.width / 2), 1);
    net.activation(activation_of(hp))
        .dropout(hp.dropout)
        .token_dense(name + "tokens2", image.height, image.width);
    net.add(shortcut);
    shortcut = net.value();
    net.layer_norm(name + "norm2").conv(name + "channels1", 4 * hp.width, 1, 1, 0);
    net.activation(activation_of(hp))
        .dropout(hp.dropout)
        .conv(name + "channels2", hp.width, 1, 1, 0)
        .add(shortcut);
  }
  net.layer_norm("norm").mean_positions().dense("head", input.classes);
  return net.finish();
}

}  // namespace gapbench
