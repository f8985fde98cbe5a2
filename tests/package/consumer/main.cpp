// Computes weight correlation of a hand-made network and Kendall's tau, and checks both against values done by hand.
#include <cmath>
#include <cstdio>
#include <vector>

#include "measures/api/registry.h"
#include "runners/ranking/kendall.h"

int main() {
  // three units of two inputs: cosines 0, 1/sqrt(2), 1/sqrt(2); then two units with cosine -0.6
  const std::vector<float> first = {1, 0, 0, 2, 3, 3}, second = {1, 0, 0, -3, 4, 0};
  const gapbench::Snapshot snapshot(
      "hand-made", {{"layers.0.weight", {3, 2}, first, {}}, {"head.weight", {2, 3}, second, {}}},
      {{gapbench::LayerKind::dense, 0, {}}, {gapbench::LayerKind::dense, 1, {}}}, 10, 2);
  const gapbench::Outcome wc = gapbench::all_measures().at("wc-paper").compute(snapshot, nullptr);
  const double expected = (std::sqrt(2.0) / 3 + 0.6) / 2;

  const std::vector<double> measure = {1, 2, 3, 4}, gap = {0.1, 0.2, 0.4, 0.3};  // one discordant pair of six
  const gapbench::Kendall k = gapbench::kendall(measure, gap);

  std::printf("wc-paper %.9f (by hand %.9f), tau %.9f\n", wc.value().value_or(-1), expected,
              k.tau_b.value_or(-9));
  return wc.ok() && std::abs(*wc.value() - expected) < 1e-6 && k.tau_b && std::abs(*k.tau_b - 2.0 / 3) < 1e-12
             ? 0
             : 1;
}
