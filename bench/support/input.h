// Input that bench/peers/common.py makes bit for bit the same, so that a benchmark and its peers can be checked to compute the
// same thing.
#pragma once

#include <cstdint>
#include <vector>

namespace gapbench::bench {

/// n numbers in [-1, 1) from a multiplicative hash: high 24 bits of (k + 1) * multiplier mod 2^32, exact in float32.
inline std::vector<float> hashed_values(std::int64_t n, std::uint32_t multiplier = 2654435761u) {
  std::vector<float> values(static_cast<std::size_t>(n));
  for (std::size_t k = 0; k < values.size(); ++k) {
    std::uint32_t h = (static_cast<std::uint32_t>(k) + 1) * multiplier;
    h ^= h >> 15;
    h *= 2246822519u;
    values[k] = static_cast<float>(h >> 8) / 8388608.0f - 1.0f;
  }
  return values;
}

}  // namespace gapbench::bench
