// VGG-11, 16 and 19 for small images: 3x3 convolutions in five blocks, 2x2 max pooling after each (left out where a single row
// or column is left), then two hidden dense layers and Linear.
//   full      channels 64, 128, 256, 512, 512 and dense layers of 512, all times width_multiplier; convolution, batch norm where
//             asked, activation; dropout after each hidden dense layer. With 10 classes and 3x32x32 images VGG-11, 16 and 19 have
//             9,747,136, 15,239,872 and 20,548,288 weights, as in Jin et al. 2020.
//   reduced   channels 4, 4, 4, 8, 8 and dense layers of 12 (120 for 100 classes); convolution or dense layer, activation, then
//             batch norm: the released VGG-19 script of Jin et al. 2020; VGG-11 and 16 by analogy, since theirs is not released.
// state_dict: features.<i>, feature_norms.<i>, classifier.<i>, classifier_norms.<i>, head.
#include <array>
#include <span>

#include "measures/api/error.h"
#include "zoo/networks/architecture.h"

namespace gapbench {

namespace {

std::array<int, 5> convolutions_of(const std::string& network) {
  if (network.starts_with("vgg11")) return {1, 1, 2, 2, 2};
  if (network.starts_with("vgg16")) return {2, 2, 3, 3, 3};
  if (network.starts_with("vgg19")) return {2, 2, 4, 4, 4};
  throw InternalError("no VGG is named " + network);
}

}  // namespace

std::unique_ptr<Architecture> make_vgg(const HyperParameters& hp, const InputShape& input) {
  const bool reduced = hp.network.ends_with("-reduced"), norm = batch_norm_of(hp, reduced);
  static constexpr std::array<std::int64_t, 5> full_channels = {64, 128, 256, 512, 512},
                                               reduced_channels = {4, 4, 4, 8, 8};
  const std::array<int, 5> convolutions = convolutions_of(hp.network);
  NetworkBuilder net(hp.network, input);
  const auto finish_layer = [&](const std::string& norm_name) {
    if (norm && !reduced) net.batch_norm(norm_name);
    net.activation(activation_of(hp));
    if (norm && reduced) net.batch_norm(norm_name);
  };
  int index = 0;
  for (std::size_t block = 0; block < 5; ++block) {
    for (int c = 0; c < convolutions[block]; ++c, ++index) {
      net.conv("features." + std::to_string(index),
               scaled_width(hp, (reduced ? reduced_channels : full_channels)[block]), 3, 1, 1);
      finish_layer("feature_norms." + std::to_string(index));
    }
    if (net.extent().height > 1 && net.extent().width > 1) net.max_pool();
  }
  net.flatten();
  const std::int64_t hidden = scaled_width(hp, reduced ? (input.classes >= 100 ? 120 : 12) : 512);
  for (int i = 0; i < 2; ++i) {
    net.dense("classifier." + std::to_string(i), hidden);
    finish_layer("classifier_norms." + std::to_string(i));
    net.dropout(hp.dropout);
  }
  net.dense("head", input.classes);
  return net.finish();
}

}  // namespace gapbench
