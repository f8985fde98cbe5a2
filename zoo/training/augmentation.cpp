#include "zoo/training/augmentation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
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

namespace {

std::int64_t pad_of(std::int64_t extent) {
  return std::max<std::int64_t>(1, extent / 8);
}

void fill_sources(const Turn& turn, const ImageLayout& l, std::span<std::int64_t> from) {
  auto next = from.begin();
  for (std::int64_t y = 0; y < l.height; ++y)
    for (std::int64_t x = 0; x < l.width; ++x) {
      const std::int64_t from_y = y + turn.dy, shifted = x + turn.dx,
                         from_x = turn.flip ? l.width - 1 - shifted : shifted;
      const bool inside = from_y >= 0 && from_y < l.height && from_x >= 0 && from_x < l.width;
      *next++ = inside ? from_y * l.width + from_x : -1;
    }
}

}  // namespace

std::int64_t Turn::count(const ImageLayout& l) {
  return 2 * (2 * pad_of(l.height) + 1) * (2 * pad_of(l.width) + 1);
}

std::int64_t Turn::number(const ImageLayout& l) const {
  const std::int64_t pad_y = pad_of(l.height), pad_x = pad_of(l.width);
  return ((flip ? 1 : 0) * (2 * pad_y + 1) + dy + pad_y) * (2 * pad_x + 1) + dx + pad_x;
}

Turn Turn::of_number(std::int64_t number, const ImageLayout& l) {
  const std::int64_t pad_y = pad_of(l.height), pad_x = pad_of(l.width), columns = 2 * pad_x + 1,
                     row = number / columns;
  return {row / (2 * pad_y + 1) != 0, row % (2 * pad_y + 1) - pad_y, number % columns - pad_x};
}

std::vector<std::int64_t> Turn::sources(const ImageLayout& l) const {
  std::vector<std::int64_t> from(static_cast<std::size_t>(l.height * l.width));
  fill_sources(*this, l, from);
  return from;
}

Turn draw_turn(const ImageLayout& l, RandomStream& random) {
  const std::int64_t pad_y = pad_of(l.height), pad_x = pad_of(l.width);
  Turn turn;
  turn.flip = (random() & 1u) != 0;
  turn.dy = std::int64_t{random.below(static_cast<std::uint32_t>(2 * pad_y + 1))} - pad_y;
  turn.dx = std::int64_t{random.below(static_cast<std::uint32_t>(2 * pad_x + 1))} - pad_x;
  return turn;
}

Mix draw_mix(std::int64_t n, double alpha, RandomStream& random) {
  Mix mix;
  mix.keep = static_cast<float>(symmetric_beta(alpha, random));
  mix.partner.resize(static_cast<std::size_t>(n));
  std::iota(mix.partner.begin(), mix.partner.end(), 0u);
  random.shuffle(mix.partner.begin(), mix.partner.end());
  return mix;
}

void flip_and_crop(float* images, std::int64_t n, const ImageLayout& l, RandomStream& random) {
  const std::int64_t step = l.channels_last ? l.channels : 1;
  const std::int64_t channel_step = l.channels_last ? 1 : l.height * l.width;
  std::vector<float> source(static_cast<std::size_t>(l.size()));
  std::vector<std::int64_t> from(static_cast<std::size_t>(l.height * l.width));
  for (std::int64_t i = 0; i < n; ++i) {
    float* image = images + i * l.size();
    std::copy(image, image + l.size(), source.begin());
    fill_sources(draw_turn(l, random), l, from);
    for (std::int64_t p = 0; p < l.height * l.width; ++p) {
      const std::int64_t q = from[static_cast<std::size_t>(p)];
      for (std::int64_t c = 0; c < l.channels; ++c)
        image[c * channel_step + p * step] =
            q >= 0 ? source[static_cast<std::size_t>(c * channel_step + q * step)] : 0.0f;
    }
  }
}

void mixup(float* images, float* targets, std::int64_t n, std::int64_t image_size, std::int64_t classes,
           double alpha, RandomStream& random) {
  const auto [keep, partner] = draw_mix(n, alpha, random);
  const auto mix = [&, kept = keep, &partners = partner](float* rows, std::int64_t length) {
    const std::vector<float> before(rows, rows + n * length);
    for (std::int64_t i = 0; i < n; ++i) {
      const float* other = before.data() + std::int64_t{partners[static_cast<std::size_t>(i)]} * length;
      for (std::int64_t k = 0; k < length; ++k) {
        float& x = rows[i * length + k];
        x = kept * x + (1 - kept) * other[k];
      }
    }
  };
  mix(images, image_size);
  mix(targets, classes);
}

}  // namespace gapbench
