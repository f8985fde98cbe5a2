// Fully connected network: flatten, then depth times (Linear, batch norm where asked, activation, dropout), then Linear.
// state_dict: layers.<i>.{weight,bias} and norms.<i>.* for the hidden layers, head.{weight,bias}.
#include "zoo/networks/architecture.h"

namespace gapbench {

std::unique_ptr<Architecture> make_fcn(const HyperParameters& hp, const InputShape& input) {
  std::vector<std::int64_t> widths = hp.widths;
  if (widths.empty()) widths.assign(static_cast<std::size_t>(hp.depth), hp.width);
  NetworkBuilder net("fcn", input);
  net.flatten();
  for (std::size_t i = 0; i < widths.size(); ++i) {
    net.dense("layers." + std::to_string(i), widths[i]);
    if (batch_norm_of(hp, false)) net.batch_norm("norms." + std::to_string(i));
    net.activation(activation_of(hp)).dropout(hp.dropout);
  }
  net.dense("head", input.classes);
  return net.finish();
}

}  // namespace gapbench
