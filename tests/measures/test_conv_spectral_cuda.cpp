// The CUDA version of circular_conv_norm against the reference. Skipped, with the reason, where there is no device.
#include <cmath>
#include <cstring>

#include "tests/measures/conv_spectral_cases.h"
#include "tests/support/device.h"

using namespace gapbench::kernels;

namespace {

OperatorNorm on_device(const std::vector<float>& w, const CircularConv& shape) {
  const DeviceBytes data(w, 4), out(sizeof(OperatorNorm)),
      workspace(circular_conv_norm_cuda_workspace(shape));
  REQUIRE(circular_conv_norm_cuda(data.as<float>(), shape, out.as<OperatorNorm>(), workspace.get(),
                                  nullptr) == 0);
  return out.read<OperatorNorm>()[0];
}

}  // namespace

TEST_CASE("CUDA circular norms agree with the reference and with themselves") {
  skip_without_device();
  for (const CircularConv& c : small_convolutions) {
    CAPTURE(c.outputs, c.inputs, c.kernel_height, c.kernel_width, c.height, c.width, c.stride);
    const std::vector<float> w = random_kernel(c, 1);
    const OperatorNorm norm = on_device(w, c), again = on_device(w, c);
    CHECK(norm.converged);
    CHECK(norm.residual <= 2e-7);
    CHECK(norm.value == Approx(circular_conv_norm_ref(w, c).value).epsilon(circular_conv_norm_error_cuda));
    CHECK(again.value == norm.value);
    CHECK(again.iterations == norm.iterations);
  }
}

TEST_CASE("CUDA circular norms of more frequencies than one group, and of wide blocks") {
  skip_without_device();
  for (const CircularConv& c :
       {CircularConv{3, 2, 3, 3, 26, 25, 1}, CircularConv{2, 3, 3, 3, 60, 58, 2},
        CircularConv{1, 2100, 3, 1, 2, 1, 1}, CircularConv{300, 2, 3, 3, 3, 3, 1},
        CircularConv{2, 2, 11, 11, 4, 6, 1}, CircularConv{10, 9, 3, 3, 26, 25, 1},
        // teams of thread blocks; the fourth in several groups, as its tiles are large
        CircularConv{150, 130, 3, 3, 2, 1, 1}, CircularConv{140, 230, 1, 1, 1, 1, 1},
        CircularConv{260, 40, 3, 3, 1, 1, 3}, CircularConv{200, 180, 3, 3, 3, 2, 1},
        // more columns than a warp keeps; tiles beyond shared memory; vectors too
        CircularConv{600, 2, 2, 2, 4, 2, 2}, CircularConv{3000, 16, 2, 2, 2, 2, 2},
        CircularConv{5000, 1, 2, 2, 2, 2, 2}}) {
    CAPTURE(c.outputs, c.inputs, c.height);
    std::vector<float> w = random_kernel(c, 7);
    if (c.outputs == 10)  // the largest in the last group, just above those of the first
      for (std::size_t i = 0; i < w.size(); ++i) w[i] += 0.2f * (i % 9 / 3 % 2 == 1 ? -1.0f : 1.0f);
    const OperatorNorm norm = on_device(w, c);
    CHECK(norm.converged);
    CHECK(norm.value == Approx(circular_conv_norm_ref(w, c).value).epsilon(circular_conv_norm_error_cuda));
  }
}

TEST_CASE("CUDA circular norms of several spectra and scales") {
  skip_without_device();
  for_each_spectrum([](const std::vector<float>& w, const CircularConv& c) {
    const OperatorNorm norm = on_device(w, c);
    CHECK(norm.converged);
    CHECK(norm.value / circular_conv_norm_ref(w, c).value ==
          Approx(1).epsilon(circular_conv_norm_error_cuda));
  });
}

TEST_CASE("CUDA circular norms of special kernels") {
  skip_without_device();
  const CircularConv c{16, 12, 3, 3, 6, 6, 1};
  CHECK(on_device({}, {0, 12, 3, 3, 6, 6, 1}).value == 0);
  CHECK(on_device({}, {0, 12, 3, 3, 6, 6, 1}).converged);
  std::vector<float> w(16 * 12 * 9, 0.0f);
  CHECK(on_device(w, c).value == 0);
  CHECK(on_device(w, c).converged);
  w[4] = -3;  // one tap of one pair of channels: every block has the one singular value 3
  CHECK(on_device(w, c).value == Approx(3).epsilon(1e-7));
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    w[100] = bad;
    CHECK_FALSE(on_device(w, c).converged);
  }
  std::vector<float> identity(12 * 12 * 9, 0.0f);  // all singular values equal
  for (std::size_t i = 0; i < 12; ++i) identity[(i * 12 + i) * 9 + 4] = 2;
  CHECK(on_device(identity, {12, 12, 3, 3, 6, 6, 1}).value == Approx(2).epsilon(1e-7));
}
