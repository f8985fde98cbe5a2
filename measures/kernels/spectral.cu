// CUDA version of conv_operator_norm: see spectral.h for the contract. Lanczos on A^T A or A A^T, whichever is smaller, in
// float64, without re-orthogonalisation, which the largest value does not need. Every step the iteration may take is enqueued,
// four launches each; those after the last that was needed find the state done and return at once.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "measures/kernels/cuda_lanczos.h"
#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/spectral.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256, most_steps = 300, most_blocks = 1024;
constexpr double tolerance = 1e-8;

struct Plan {
  ConvShape shape;
  std::int64_t out_height, out_width;
  std::int64_t inputs, outputs;  // values of an input and an output image
  std::int64_t n, m;             // length of the iterated vectors, of those between
  bool transposed;               // on A A^T
};

struct State {
  double scale, scale_before;  // of the iterated vectors: each is kept as it came, 1 / scale long
  double beta;
  int steps;
  bool done, broken;
};

struct Vectors {
  double *even, *odd, *next,
      *between;            // iterated vectors of even and odd steps, A^T A of the last, A of the last
  double *dots, *squares;  // one of each block
  double *diagonal, *off_diagonal;
};

Plan plan_of(const ConvShape& shape) {
  Plan p{shape, 0, 0, 0, 0, 0, 0, false};
  ConvShape& s = p.shape;
  if (s.kernel_height == 1 && s.kernel_width == 1 && s.stride == 1 && s.padding == 0)
    s.height = s.width = 1;  // every position is the dense layer
  p.out_height = (s.height + 2 * s.padding - s.kernel_height) / s.stride + 1;
  p.out_width = (s.width + 2 * s.padding - s.kernel_width) / s.stride + 1;
  const bool none = s.height + 2 * s.padding < s.kernel_height || s.width + 2 * s.padding < s.kernel_width;
  p.inputs = s.inputs * s.height * s.width;
  p.outputs = none ? 0 : s.outputs * p.out_height * p.out_width;
  p.transposed = p.outputs < p.inputs;
  p.n = p.transposed ? p.outputs : p.inputs;
  p.m = p.transposed ? p.inputs : p.outputs;
  return p;
}

// Lanes that share a value of `size`, a power of two: enough to fill a device, but each has two channels to sum.
int lanes_a_value(std::int64_t size, std::int64_t channels) {
  int lanes = 1;
  while (lanes < 32 && size * lanes < 200000 && 4 * lanes <= channels) lanes *= 2;
  return lanes;
}
unsigned blocks_for(std::int64_t size, int lanes) {
  const std::int64_t blocks = (size * lanes + threads - 1) / threads;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks < most_blocks ? blocks : most_blocks);
}

// One lane's share of a value of A x or, Adjoint, of A^T x: every `lanes`-th channel.
template <bool Adjoint>
__device__ double value_of(const Plan& p, const float* w, const double* x, std::int64_t at, int lane,
                           int lanes) {
  const ConvShape& s = p.shape;
  const std::int64_t width = Adjoint ? s.width : p.out_width, height = Adjoint ? s.height : p.out_height;
  const std::int64_t channel = at / (height * width), row = at / width % height, column = at % width;
  const std::int64_t taps = s.kernel_height * s.kernel_width, channels = Adjoint ? s.outputs : s.inputs;
  double sum = 0;
  for (std::int64_t other = lane; other < channels; other += lanes) {
    const float* const tap = w + (Adjoint ? other * s.inputs + channel : channel * s.inputs + other) * taps;
    const double* const image = x + other * (Adjoint ? p.out_height * p.out_width : s.height * s.width);
    for (std::int64_t a = 0; a < s.kernel_height; ++a) {
      std::int64_t r = Adjoint ? row + s.padding - a : row * s.stride + a - s.padding;
      if (r < 0 || (Adjoint && r % s.stride != 0)) continue;
      if (Adjoint) r /= s.stride;
      if (r >= (Adjoint ? p.out_height : s.height)) continue;
      for (std::int64_t b = 0; b < s.kernel_width; ++b) {
        std::int64_t c = Adjoint ? column + s.padding - b : column * s.stride + b - s.padding;
        if (c < 0 || (Adjoint && c % s.stride != 0)) continue;
        if (Adjoint) c /= s.stride;
        if (c >= (Adjoint ? p.out_width : s.width)) continue;
        sum += static_cast<double>(tap[a * s.kernel_width + b]) *
               image[r * (Adjoint ? p.out_width : s.width) + c];
      }
    }
  }
  return sum;
}

// The start vector and its length.
__global__ void __launch_bounds__(threads) begin(Plan p, Vectors v, State* state) {
  double squares = 0;
  for (std::int64_t i = threadIdx.x; i < p.n; i += threads) {
    v.even[i] = start_entry(static_cast<std::uint64_t>(i));
    squares += v.even[i] * v.even[i];
  }
  squares = block_total<threads>(squares);
  for (std::int64_t i = threadIdx.x; i < p.n; i += threads) v.odd[i] = 0;
  if (threadIdx.x == 0) *state = {1 / sqrt(squares), 0, 0, 0, false, false};
}

__global__ void __launch_bounds__(threads) check_finite(const float* w, std::int64_t n, State* state) {
  bool finite = true;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x; i < n;
       i += static_cast<std::int64_t>(gridDim.x) * threads)
    finite = finite && isfinite(w[i]);
  if (!finite) state->broken = state->done = true;  // all that write write the same
}

// y = A x or A^T x times the state's scale (Scaled) or 1; with `dots`, each block's part of y . (scale with).
template <bool Adjoint, bool Scaled>
__global__ void __launch_bounds__(threads)
    apply(Plan p, const float* w, const double* x, double* y, int lanes, const double* with, double* dots,
          const State* state) {
  if (state->done) return;
  const std::int64_t size = Adjoint ? p.inputs : p.outputs;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const double scale = state->scale;
  double dot = 0;
  // whole blocks of work, so that all lanes of a warp take part in the sums
  for (std::int64_t start = static_cast<std::int64_t>(blockIdx.x) * threads; start < size * lanes;
       start += static_cast<std::int64_t>(gridDim.x) * threads) {
    const std::int64_t at = (start + threadIdx.x) / lanes;
    double value = at < size ? value_of<Adjoint>(p, w, x, at, lane, lanes) : 0;
    value = sum_of_lanes(value, lanes);
    if (Scaled) value *= scale;
    if (lane == 0 && at < size) {
      y[at] = value;
      if (dots != nullptr) dot += value * scale * with[at];
    }
  }
  if (dots == nullptr) return;
  dot = block_total<threads>(dot);
  if (threadIdx.x == 0) dots[blockIdx.x] = dot;
}

__device__ double sum_of(const double* parts, int count) {
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += threads) sum += parts[i];
  return block_total<threads>(sum);
}

// before = next - alpha now - beta before, and each block's part of its square.
__global__ void __launch_bounds__(threads)
    subtract(Plan p, Vectors v, const double* now, double* before, int dots, const State* state) {
  if (state->done) return;
  const double alpha = sum_of(v.dots, dots) * state->scale, beta = state->beta * state->scale_before;
  double squares = 0;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x; i < p.n;
       i += static_cast<std::int64_t>(gridDim.x) * threads) {
    const double x = v.next[i] - alpha * now[i] - beta * before[i];
    before[i] = x;
    squares += x * x;
  }
  squares = block_total<threads>(squares);
  if (threadIdx.x == 0) v.squares[blockIdx.x] = squares;
}

__global__ void __launch_bounds__(threads)
    end_step(Vectors v, int dots, int squares, State* state, OperatorNorm* out) {
  const bool done = state->done;
  __syncthreads();
  if (done) {
    if (threadIdx.x == 0 && state->broken) *out = {0, 0, 0, false};
    return;
  }
  const int step = state->steps;
  const double alpha = sum_of(v.dots, dots), beta = sqrt(sum_of(v.squares, squares));
  if (threadIdx.x == 0) {
    v.diagonal[step] = alpha;
    v.off_diagonal[step] = beta;
  }
  __syncthreads();
  const bool invariant = beta == 0 || beta <= 1e-14 * fmax(v.diagonal[0], alpha);
  const bool last = step + 1 == most_steps;
  if (threadIdx.x / 32 == 0 && (invariant || last || step < 4 || step % 4 == 3)) {
    const RitzValue top = top_ritz_value(v.diagonal, v.off_diagonal, step + 1);
    const double residual = top.value > 0 ? beta * top.last / top.value : 0;
    const bool converged = invariant || residual <= tolerance;
    if (threadIdx.x == 0) {
      *out = {sqrt(top.value), residual, step + 1, converged};
      state->done = converged;
    }
  }
  if (threadIdx.x == 0) {
    state->steps = step + 1;
    state->beta = beta;
    state->scale_before = state->scale;
    state->scale = 1 / beta;
  }
}

__global__ void zero(OperatorNorm* out) {
  *out = {0, 0, 0, true};
}

struct Layout {
  std::size_t even, odd, next, between, dots, squares, diagonal, off_diagonal, end;
  explicit Layout(const Plan& p) {
    std::size_t at = 256;
    const auto take = [&at](std::int64_t doubles) {
      const std::size_t here = at;
      at += (static_cast<std::size_t>(doubles) * sizeof(double) + 255) / 256 * 256;
      return here;
    };
    even = take(p.n);
    odd = take(p.n);
    next = take(p.n);
    between = take(p.m);
    dots = take(most_blocks);
    squares = take(most_blocks);
    diagonal = take(most_steps);
    off_diagonal = take(most_steps);
    end = at;
  }
};

}  // namespace

std::size_t conv_operator_norm_cuda_workspace(const ConvShape& shape) {
  return Layout(plan_of(shape)).end;
}

int conv_operator_norm_cuda(const float* w, const ConvShape& shape, OperatorNorm* out, void* workspace,
                            void* stream) {
  const Plan p = plan_of(shape);
  const auto s = static_cast<cudaStream_t>(stream);
  if (p.n == 0) {
    launch({1, 1, s}, zero, out);
    return cudaGetLastError();
  }
  const Layout at(p);
  State* const state = static_cast<State*>(workspace);
  const auto part = [&](std::size_t offset) {
    return reinterpret_cast<double*>(static_cast<char*>(workspace) + offset);
  };
  const Vectors v{part(at.even), part(at.odd),     part(at.next),     part(at.between),
                  part(at.dots), part(at.squares), part(at.diagonal), part(at.off_diagonal)};
  const std::int64_t weights = shape.outputs * shape.inputs * shape.kernel_height * shape.kernel_width;
  launch({1, threads, s}, begin, p, v, state);
  launch({blocks_for(weights, 1), threads, s}, check_finite, w, weights, state);
  const std::int64_t of_n = p.transposed ? shape.outputs : shape.inputs,
                     of_m = p.transposed ? shape.inputs : shape.outputs;
  const int lanes_m = lanes_a_value(p.m, of_n), lanes_n = lanes_a_value(p.n, of_m);
  const LaunchShape to{blocks_for(p.m, lanes_m), threads, s}, back{blocks_for(p.n, lanes_n), threads, s},
      across{blocks_for(p.n, 1), threads, s};
  double* const none = nullptr;
  for (int step = 0; step < most_steps; ++step) {
    double *const now = step % 2 == 0 ? v.even : v.odd, *const before = step % 2 == 0 ? v.odd : v.even;
    const auto forth = p.transposed ? apply<true, true> : apply<false, true>;
    const auto returning = p.transposed ? apply<false, false> : apply<true, false>;
    launch(to, forth, p, w, now, v.between, lanes_m, none, none, state);
    launch(back, returning, p, w, v.between, v.next, lanes_n, now, v.dots, state);
    launch(across, subtract, p, v, now, before, static_cast<int>(back.blocks), state);
    launch({1, threads, s}, end_step, v, static_cast<int>(back.blocks), static_cast<int>(across.blocks),
           state, out);
  }
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
