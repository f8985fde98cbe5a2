#include "zoo/training/augmentation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace gapbench {

namespace {

// ln of a draw of Gamma(a, 1): the logarithm, since draws for small a underflow.
double log_gamma_draw(double a, RandomStream& random) {
  if (a < 1) return log_gamma_draw(a + 1, random) + std::log1p(-random.uniform()) / a;
  const double d = a - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = random.normal(), v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    if (std::log1p(-random.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

}  // namespace

double symmetric_beta(double a, RandomStream& random) {
  const double x = log_gamma_draw(a, random), y = log_gamma_draw(a, random);
  return 1 / (1 + std::exp(y - x));
}

void flip_and_crop(float* images, std::int64_t n, const ImageLayout& l, RandomStream& random) {
  const std::int64_t pad_y = std::max<std::int64_t>(1, l.height / 8),
                     pad_x = std::max<std::int64_t>(1, l.width / 8);
  const std::int64_t x_step = l.channels_last ? l.channels : 1, y_step = l.width * x_step;
  const std::int64_t channel_step = l.channels_last ? 1 : l.height * l.width;
  std::vector<float> source(static_cast<std::size_t>(l.size()));
  for (std::int64_t i = 0; i < n; ++i) {
    float* image = images + i * l.size();
    std::copy(image, image + l.size(), source.begin());
    const bool flip = (random() & 1u) != 0;
    const std::int64_t dy = std::int64_t{random.below(static_cast<std::uint32_t>(2 * pad_y + 1))} - pad_y;
    const std::int64_t dx = std::int64_t{random.below(static_cast<std::uint32_t>(2 * pad_x + 1))} - pad_x;
    for (std::int64_t y = 0; y < l.height; ++y)
      for (std::int64_t x = 0; x < l.width; ++x) {
        const std::int64_t from_y = y + dy, shifted = x + dx, from_x = flip ? l.width - 1 - shifted : shifted;
        const bool inside = from_y >= 0 && from_y < l.height && from_x >= 0 && from_x < l.width;
        for (std::int64_t c = 0; c < l.channels; ++c)
          image[c * channel_step + y * y_step + x * x_step] =
              inside ? source[static_cast<std::size_t>(c * channel_step + from_y * y_step + from_x * x_step)]
                     : 0.0f;
      }
  }
}

void mixup(float* images, float* targets, std::int64_t n, std::int64_t image_size, std::int64_t classes,
           double alpha, RandomStream& random) {
  const auto keep = static_cast<float>(symmetric_beta(alpha, random));
  std::vector<std::uint32_t> partner(static_cast<std::size_t>(n));
  std::iota(partner.begin(), partner.end(), 0u);
  random.shuffle(partner.begin(), partner.end());
  const auto mix = [&](float* rows, std::int64_t length) {
    const std::vector<float> before(rows, rows + n * length);
    for (std::int64_t i = 0; i < n; ++i) {
      const float* other = before.data() + std::int64_t{partner[static_cast<std::size_t>(i)]} * length;
      for (std::int64_t k = 0; k < length; ++k) {
        float& x = rows[i * length + k];
        x = keep * x + (1 - keep) * other[k];
      }
    }
  };
  mix(images, image_size);
  mix(targets, classes);
}

}  // namespace gapbench
