// ResNet-18, 34 and 50 for small images: a 3x3 convolution of stride 1, four stages of channels 64, 128, 256, 512 (times
// width_multiplier), the mean over positions, dropout where asked, Linear. Basic blocks of two 3x3 convolutions (18, 34) or
// bottlenecks of 1x1, 3x3, 1x1 with four times the channels at their end (50); stages 2 to 4 begin with stride 2, in the 3x3
// convolution; shortcuts that change shape are 1x1 convolutions. Convolutions have no bias where batch norm follows.
// Source: He et al. 2016, post-activation; the stem for 32x32 images is the common one.
// state_dict: stem, stem_norm, stages.<s>.<b>.{conv<i>,norm<i>,shortcut,shortcut_norm}, head.
#include <array>

#include "measures/api/error.h"
#include "zoo/networks/architecture.h"

namespace gapbench {

std::unique_ptr<Architecture> make_resnet(const HyperParameters& hp, const InputShape& input) {
  const bool bottleneck = hp.network == "resnet50", norm = batch_norm_of(hp, true);
  std::array<int, 4> blocks = {3, 4, 6, 3};
  if (hp.network == "resnet18")
    blocks = {2, 2, 2, 2};
  else if (!bottleneck && hp.network != "resnet34")
    throw InternalError("no ResNet is named " + hp.network);
  NetworkBuilder net(hp.network, input);
  const auto convolution = [&](const std::string& name, const std::string& norm_name, std::int64_t channels,
                               std::int64_t kernel, std::int64_t stride) {
    net.conv(name, channels, kernel, stride, kernel / 2, !norm);
    if (norm) net.batch_norm(norm_name);
  };
  convolution("stem", "stem_norm", scaled_width(hp, 64), 3, 1);
  net.activation(activation_of(hp));
  for (std::size_t stage = 0; stage < 4; ++stage)
    for (int block = 0; block < blocks[stage]; ++block) {
      const std::string name = "stages." + std::to_string(stage) + "." + std::to_string(block) + ".";
      const std::int64_t stride = stage > 0 && block == 0 ? 2 : 1,
                         inner = scaled_width(hp, std::int64_t{64} << stage);
      const std::int64_t outer = bottleneck ? 4 * inner : inner;
      const std::size_t input_value = net.value();
      const bool same = stride == 1 && net.extent().channels == outer;
      const int count = bottleneck ? 3 : 2;
      for (int c = 0; c < count; ++c) {
        const bool wide = !bottleneck || c == 1;  // the 3x3 convolutions
        const bool strided = bottleneck ? c == 1 : c == 0;
        convolution(name + "conv" + std::to_string(c + 1), name + "norm" + std::to_string(c + 1),
                    c + 1 == count ? outer : inner, wide ? 3 : 1, strided ? stride : 1);
        if (c + 1 < count) net.activation(activation_of(hp));
      }
      const std::size_t residual = net.value();
      if (!same) {
        net.from(input_value);
        convolution(name + "shortcut", name + "shortcut_norm", outer, 1, stride);
        net.add(residual);
      } else {
        net.add(input_value);
      }
      net.activation(activation_of(hp));
    }
  net.mean_positions().dropout(hp.dropout).dense("head", input.classes);
  return net.finish();
}

}  // namespace gapbench
