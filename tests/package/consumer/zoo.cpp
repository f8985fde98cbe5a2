// Uses the parts that need LibTorch: a network of two layers has the number of parameters done by hand.
#include <cstdio>

#include "runners/stages/version.h"
#include "zoo/networks/architecture.h"

int main() {
  const auto hp =
      gapbench::HyperParameters::from_json({{"network", "fcn"}, {"depth", 1}, {"width", 5}}, "consumer");
  const auto network = gapbench::make_architecture(hp, {1, 2, 2, 3});
  std::printf("%s: %lld parameters\n", gapbench::version_text().c_str(),
              static_cast<long long>(network->parameter_count()));
  return network->parameter_count() == 4 * 5 + 5 + 5 * 3 + 3 ? 0 : 1;
}
