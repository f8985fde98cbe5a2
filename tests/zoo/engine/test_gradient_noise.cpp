// The gradient noise of a linear classifier at zero weights, where every gradient has a closed form.
#include "zoo/training/gradient_noise.h"

#include "measures/numerics/philox.h"
#include "tests/support/catch.h"
#include "zoo/engine/executor.h"

using namespace gapbench;

namespace {

// n samples of 4 equal pixels; labels in turn, so that classes are balanced where 3 divides n.
TrainingData samples(std::int64_t n, float pixel) {
  TrainingData data;
  data.shape = {1, 2, 2, 3};
  data.train.count = n;
  data.train.images.assign(static_cast<std::size_t>(4 * n), pixel);
  for (std::int64_t i = 0; i < n; ++i) data.train.labels.push_back(i % 3);
  return data;
}

std::unique_ptr<Architecture> linear(const InputShape& shape) {
  NetworkBuilder net("linear", shape);
  net.flatten().dense("head", shape.classes);
  return net.finish();
}

double noise(const TrainingData& data, const std::vector<std::int64_t>& labels, ExecutorChoice choice,
             const std::string& dataset = "data") {
  const auto architecture = linear(data.shape);
  const auto network = make_network(*architecture, data.shape, choice);
  import_arrays(*network, std::vector<std::vector<float>>{std::vector<float>(12), std::vector<float>(3)});
  return gradient_noise(*network, data, labels, dataset).value();
}

}  // namespace

TEST_CASE("gradient noise of a linear classifier at zero weights") {
  for (const ExecutorChoice choice : {ExecutorChoice::general, ExecutorChoice::fast}) {
    // g_i = (1/3 - e_y) x (pixels, 1), squared norm (1 - 1/3) (4 pixel^2 + 1); their mean is 0 where classes are balanced
    const TrainingData balanced = samples(60, 0.5f);
    CHECK(noise(balanced, balanced.train.labels, choice) ==
          Approx(60.0 / 59 * (2.0 / 3) * (4 * 0.25 + 1) / 15).epsilon(1e-6));
    // equal gradients do not vary
    CHECK(noise(balanced, std::vector<std::int64_t>(60, 1), choice) < 1e-12);
  }
}

TEST_CASE("minibatches estimate the variance of the per-sample gradient without bias") {
  const TrainingData data = samples(1500, 0.5f);  // 64 of the 93 minibatches of 16
  double sum = 0;
  for (int draw = 0; draw < 400; ++draw)
    sum += noise(data, data.train.labels, ExecutorChoice::fast, "data " + std::to_string(draw));
  // a draw has the relative error sqrt(2 / (63 * 2)), as two directions vary: 0.0063 is left of 400
  CHECK(sum / 400 == Approx(1500.0 / 1499 * (2.0 / 3) * 2 / 15).epsilon(0.025));
}

TEST_CASE("one sample has no gradient noise, and neither has a network that is not finite") {
  const TrainingData one = samples(1, 1);
  const auto architecture = linear(one.shape);
  const auto network = make_network(*architecture, one.shape, ExecutorChoice::fast);
  import_arrays(*network, std::vector<std::vector<float>>{std::vector<float>(12), std::vector<float>(3)});
  CHECK_FALSE(gradient_noise(*network, one, one.train.labels, "data"));
  const TrainingData many = samples(10, 1);
  network->array(0)[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK_FALSE(gradient_noise(*network, many, many.train.labels, "data"));
}
