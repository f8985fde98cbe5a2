// Random changes of a training batch. Every number is a function of (model, step, place in the batch). Torch-free.
#pragma once

#include <cstdint>
#include <vector>

#include "measures/numerics/philox.h"

namespace gapbench {

/// Memory order of one image: [channels, height, width], or [height, width, channels] for channels_last.
struct ImageLayout {
  std::int64_t channels = 1, height = 1, width = 1;
  bool channels_last = false;
  std::int64_t size() const { return channels * height * width; }
};

/// What flip_and_crop() does to one image: pixel (y, x) is taken from (y + dy, x + dx), mirrored from (y + dy, width - 1 - x - dx).
struct Turn {
  bool flip = false;
  std::int64_t dy = 0, dx = 0;
  /// All turns of images of this size are numbered; count() of them.
  static std::int64_t count(const ImageLayout& layout);
  std::int64_t number(const ImageLayout& layout) const;
  static Turn of_number(std::int64_t number, const ImageLayout& layout);
  /// For each position y width + x the position it is taken from, -1 outside.
  std::vector<std::int64_t> sources(const ImageLayout& layout) const;
};
Turn draw_turn(const ImageLayout& layout, RandomStream& random);

/// What mixup() does to a batch: keep of each sample, the rest of its partner.
struct Mix {
  float keep = 1;
  std::vector<std::uint32_t> partner;
};
Mix draw_mix(std::int64_t n, double alpha, RandomStream& random);

/// Mirrors each of n images left to right with probability 1/2, and shifts it by whole pixels, uniform in [-pad, pad] in both
/// directions, pad = max(1, height / 8) and max(1, width / 8) (4 for 32x32, as is usual for CIFAR); what comes in from outside
/// is 0. In place.
void flip_and_crop(float* images, std::int64_t n, const ImageLayout& layout, RandomStream& random);

// Mixup of a batch with a permutation of itself.
//
// Formula   lambda ~ Beta(alpha, alpha), pi a uniform permutation of the batch: x_i = lambda x_i + (1 - lambda) x_pi(i), and
//           the same for the targets.
// Inputs    images [n, image_size], targets [n, classes], alpha > 0.
// Returns   both in place.
// Source    H. Zhang, M. Cisse, Y. Dauphin, D. Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.
// Error     float32 rounding.
// Cost      one copy of the batch.
void mixup(float* images, float* targets, std::int64_t n, std::int64_t image_size, std::int64_t classes,
           double alpha, RandomStream& random);

/// A draw of Beta(a, a), a > 0: the ratio of Gamma draws (Marsaglia and Tsang, 2000). Returns a number in [0, 1].
double symmetric_beta(double a, RandomStream& random);

}  // namespace gapbench
