#include "zoo/training/gradient_noise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "measures/numerics/philox.h"

namespace gapbench {

namespace {

constexpr std::int64_t most_batches = 64, largest_batch = 16;

// Adds g to sum and returns |g|^2. Several accumulators: one would wait for each addition.
double add(std::span<const float> g, double* sum) {
  std::array<double, 8> squares{};
  for (std::size_t i = 0; i < g.size(); ++i) {
    const auto v = static_cast<double>(g[i]);
    sum[i] += v;
    squares[i % squares.size()] += v * v;
  }
  return std::accumulate(squares.begin(), squares.end(), 0.0);
}

}  // namespace

NoiseBatches noise_batches(std::int64_t n, std::string_view dataset) {
  NoiseBatches result;
  result.size = std::clamp(n / most_batches, std::int64_t{1}, largest_batch);
  result.count = std::min(most_batches, n / result.size);
  result.order.resize(static_cast<std::size_t>(n));
  std::iota(result.order.begin(), result.order.end(), 0u);
  RandomStream(random_key(dataset, "gradient noise")).shuffle(result.order.begin(), result.order.end());
  return result;
}

std::optional<double> noise_of_sums(const NoiseBatches& batches, double squares, double of_sum,
                                    std::int64_t parameters) {
  const auto m = static_cast<double>(batches.count);
  const double variance =
      static_cast<double>(batches.size) * (squares - of_sum / m) / (m - 1) / static_cast<double>(parameters);
  if (!std::isfinite(variance)) return std::nullopt;
  return std::max(0.0, variance);  // of equal gradients rounding leaves either sign
}

std::optional<double> gradient_noise(TrainableNetwork& network, const TrainingData& data,
                                     const std::vector<std::int64_t>& labels, std::string_view dataset) {
  const NoiseBatches draw = noise_batches(data.train.count, dataset);
  const auto [size, batches, order] = draw;
  if (batches < 2) return std::nullopt;
  const auto pixels = static_cast<std::size_t>(data.shape.size()),
             classes = static_cast<std::size_t>(data.shape.classes);
  AlignedVector<float> images(static_cast<std::size_t>(size) * pixels),
      targets(static_cast<std::size_t>(size) * classes);
  std::size_t parameters = 0;
  for (const ArraySpec& array : network.architecture().arrays())
    if (array.trained) parameters += static_cast<std::size_t>(array.size());
  std::vector<double> sum(parameters, 0.0);
  double squares = 0;
  for (std::int64_t b = 0; b < batches; ++b) {
    std::fill(targets.begin(), targets.end(), 0.0f);
    for (std::size_t i = 0; i < static_cast<std::size_t>(size); ++i) {
      const std::size_t sample = order[static_cast<std::size_t>(b * size) + i];
      std::memcpy(images.data() + i * pixels, data.train.images.data() + sample * pixels,
                  pixels * sizeof(float));
      targets[i * classes + static_cast<std::size_t>(labels[sample])] = 1;
    }
    network.loss_and_gradients(images.data(), targets.data(), size, {.evaluation = true});
    std::size_t offset = 0;
    for (std::size_t i = 0; i < network.architecture().arrays().size(); ++i) {
      const std::span<const float> g = network.gradient(i);
      squares += add(g, sum.data() + offset);
      offset += g.size();
    }
  }
  double of_sum = 0;
  for (const double s : sum) of_sum += s * s;
  return noise_of_sums(draw, squares, of_sum, static_cast<std::int64_t>(parameters));
}

}  // namespace gapbench
