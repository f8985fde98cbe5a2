#include "measures/kernels/perturbation.h"
#include "measures/numerics/philox.h"

namespace gapbench::kernels {

void perturb_ref(const float* w, const float* s, std::int64_t n, double sigma, const PerturbationStream& from,
                 float* out) {
  RandomStream random(from.key, from.stream);
  for (std::uint64_t i = 0; i < from.first; ++i) random.normal();
  for (std::int64_t i = 0; i < n; ++i) {
    const double scale = sigma * (s != nullptr ? static_cast<double>(s[i]) : 1.0);
    out[i] = static_cast<float>(static_cast<double>(w[i]) + scale * random.normal());
  }
}

}  // namespace gapbench::kernels
