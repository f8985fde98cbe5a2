// The CUDA version of perturb against the reference. Skipped, with the reason, where there is no device.
#include <array>
#include <cmath>
#include <vector>

#include "measures/kernels/perturbation.h"
#include "measures/numerics/philox.h"
#include "tests/support/device.h"

using namespace gapbench;
using namespace gapbench::kernels;

TEST_CASE("CUDA perturbations agree with the reference, at any address and in any partition") {
  skip_without_device();
  for (const std::int64_t n : {0, 1, 31, 32, 33, 1000, (1 << 20) + 1})
    for (const std::uint64_t first : {0, 1, 1000002})
      for (const bool scaled : {false, true})
        for (const auto& [offset, offset_s, offset_out] :
             {std::array<std::size_t, 3>{0, 0, 0}, {4, 4, 4}, {4, 0, 0}, {0, 4, 0}, {0, 0, 4}}) {
          if (n > 1000 && (first > 1 || offset_s != offset_out)) continue;
          RandomStream random(random_key("perturbation", "weights"));
          std::vector<float> w(static_cast<std::size_t>(n)), s(w.size()), expected(w.size());
          for (float& x : w) x = static_cast<float>(2 * random.uniform() - 1);
          for (float& x : s) x = static_cast<float>(2 * random.uniform() - 1);
          const PerturbationStream from{random_key("a", "b"), (std::uint64_t{7} << 40) + 3, first};
          perturb_ref(w.data(), scaled ? s.data() : nullptr, n, 0.3, from, expected.data());
          const DeviceBytes device_w(w, offset), device_s(s, offset_s),
              out(w.size() * sizeof(float), offset_out);
          const float* const scale = scaled ? device_s.as<float>() : nullptr;
          REQUIRE(perturb_cuda(device_w.as<float>(), scale, n, 0.3, from, out.as<float>(), nullptr) == 0);
          const auto found = out.read<float>();
          std::int64_t beyond = 0;
          for (std::size_t i = 0; i < w.size(); ++i)
            beyond +=
                !(std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i])) <=
                  0x1p-23 * std::abs(static_cast<double>(expected[i])) +
                      perturbation_error_cuda * 0.3 * (scaled ? std::abs(static_cast<double>(s[i])) : 1.0));
          CAPTURE(n, first, scaled, offset, offset_s, offset_out);
          CHECK(beyond == 0);
          if (n < 3) continue;
          PerturbationStream rest = from;  // the same values in two calls, in place
          rest.first += 3;
          float* const at = device_w.as<float>();
          REQUIRE(perturb_cuda(at, scale, 3, 0.3, from, at, nullptr) == 0);
          REQUIRE(perturb_cuda(at + 3, scaled ? scale + 3 : nullptr, n - 3, 0.3, rest, at + 3, nullptr) == 0);
          CHECK(device_w.read<float>() == found);
        }
}
