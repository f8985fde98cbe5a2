// Circular convolutions over which the CPU and the CUDA version of circular_conv_norm are tested.
#pragma once

#include <vector>

#include "measures/kernels/conv_spectral.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"

inline std::vector<float> random_kernel(const gapbench::kernels::CircularConv& c, std::uint64_t seed,
                                        double scale = 1) {
  gapbench::RandomStream random(gapbench::random_key("circular convolution", "kernel"), seed);
  std::vector<float> w;
  for (std::int64_t i = 0; i < c.outputs * c.inputs * c.kernel_height * c.kernel_width; ++i)
    w.push_back(static_cast<float>(scale * random.normal()));
  return w;
}

inline const std::vector<gapbench::kernels::CircularConv> small_convolutions = {
    {5, 4, 3, 3, 8, 8, 1}, {5, 4, 3, 3, 8, 8, 2},   {3, 6, 3, 3, 7, 5, 1},  {3, 6, 5, 5, 7, 9, 2},
    {4, 3, 3, 1, 6, 5, 1}, {2, 2, 3, 3, 1, 1, 2},   {6, 2, 1, 1, 4, 4, 2},  {7, 5, 1, 1, 4, 4, 1},
    {2, 3, 3, 3, 2, 2, 1}, {1, 1, 3, 3, 5, 6, 1},   {9, 1, 3, 3, 4, 6, 1},  {1, 9, 3, 3, 6, 4, 3},
    {4, 4, 2, 4, 6, 6, 3}, {20, 18, 3, 3, 4, 3, 1}, {17, 33, 3, 3, 3, 4, 2}};

// Kernels of several spectra and scales.
template <class Check>
void for_each_spectrum(const Check& check) {
  using gapbench::kernels::CircularConv;
  for (const CircularConv& c : {CircularConv{24, 24, 3, 3, 8, 8, 1}, CircularConv{40, 12, 3, 3, 6, 7, 1},
                                CircularConv{12, 40, 3, 3, 5, 4, 1}, CircularConv{33, 16, 5, 5, 4, 4, 2}})
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      std::vector<float> w = random_kernel(c, seed, seed == 1 ? 1e-40 : seed == 2 ? 1e30 : 1);
      const auto taps = static_cast<std::size_t>(c.kernel_height * c.kernel_width);
      if (seed >= 3)  // a trained kernel's falling spectrum, larger at the frequency 0 or at another
        for (std::size_t i = 0; i < w.size(); ++i) {
          const float sign = seed == 4 && i % taps % 2 == 1 ? -1.0f : 1.0f;
          w[i] = w[i] / static_cast<float>(1 + i / taps % 7) + (seed < 5 ? 0.3f * sign : 0.0f);
        }
      CAPTURE(c.outputs, c.inputs, seed);
      check(w, c);
    }
}
