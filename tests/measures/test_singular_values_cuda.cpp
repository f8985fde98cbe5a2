// The CUDA version of singular_values against the reference. Skipped, with the reason, where there is no device.
#include <array>
#include <cstring>
#include <limits>

#include "tests/measures/singular_value_cases.h"
#include "tests/support/device.h"

using namespace gapbench::kernels;

namespace {

// `values` holds the matrices, at `offset` bytes behind an aligned address on the device.
std::vector<double> on_device(MatrixBatch in, const std::vector<float>& values, std::size_t offset = 0) {
  const DeviceBytes data(values, offset), workspace(singular_values_cuda_workspace(in)),
      out(static_cast<std::size_t>(in.batches * std::min(in.rows, in.columns)) * sizeof(double));
  in.data = data.as<float>();
  REQUIRE(singular_values_cuda(in, out.as<double>(), workspace.get(), nullptr) == 0);
  return out.read<double>();
}

void compare(const MatrixBatch& in, const std::vector<float>& values) {
  check_singular_values(in, on_device(in, values));
}

}  // namespace

TEST_CASE("CUDA singular values agree with the reference") {
  skip_without_device();
  std::uint64_t stream = 0;
  for (const std::int64_t rows : {0, 1, 2, 3, 9, 31, 32, 33, 96, 97})
    for (const std::int64_t columns : {0, 1, 2, 8, 33, 100})
      for (const std::int64_t batches : {0, 1, 11}) {
        if (batches > 1 && rows * columns > 300) continue;
        const auto values = normals(batches * rows * columns, ++stream);
        compare(contiguous(values, batches, rows, columns), values);
      }
  for (const auto& [batches, rows, columns] :
       {std::array<std::int64_t, 3>{3000, 3, 2},
        {1, 1000, 9},
        {2, 9, 3000},
        {1, 144, 143},
        // more than shared memory holds: some columns, some rows and columns, also beside the matrix
        {2, 250, 140},
        {1, 130, 300},
        {1, 16000, 3}}) {
    const auto values = normals(batches * rows * columns, ++stream);
    compare(contiguous(values, batches, rows, columns), values);
  }
}

TEST_CASE("CUDA singular values of extreme scales, of low rank and of zeros") {
  skip_without_device();
  for_each_special_matrix(
      [](const MatrixBatch& in) { compare(in, {in.data, in.data + in.batches * in.rows * in.columns}); });
}

TEST_CASE("CUDA singular values through strides, at any float address, in any batch") {
  skip_without_device();
  const std::int64_t outputs = 10, inputs = 6;
  const std::vector<float> w = normals(outputs * inputs * 9, 5);
  const MatrixBatch slices{w.data(), 9, outputs, inputs, 1, inputs * 9, 9};
  const std::vector<double> found = on_device(slices, w, 4);
  check_singular_values(slices, found);
  for (std::int64_t p = 0; p < 9; ++p) {
    MatrixBatch one = slices;
    one.batches = 1;
    const std::vector<double> alone = on_device(one, {w.begin() + p, w.end()});
    CHECK(std::memcmp(alone.data(), found.data() + p * inputs, alone.size() * sizeof(double)) == 0);
  }
}

TEST_CASE("CUDA: a matrix that is not finite has no singular values, its neighbours do") {
  skip_without_device();
  for (const std::int64_t size : {1, 7, 40}) {
    std::vector<float> v = normals(3 * size * size, 6);
    const std::vector<double> clean = on_device(contiguous(v, 3, size, size), v);
    v[static_cast<std::size_t>(size * size + size / 2)] = std::numeric_limits<float>::infinity();
    const std::vector<double> found = on_device(contiguous(v, 3, size, size), v);
    for (std::int64_t i = 0; i < 3 * size; ++i) {
      const auto at = static_cast<std::size_t>(i);
      CHECK((i / size == 1 ? std::isnan(found[at]) : found[at] == clean[at]));
    }
  }
}
