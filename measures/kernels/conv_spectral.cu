// CUDA version of circular_conv_norm: see conv_spectral.h for the contract. One of each pair of conjugate frequencies, up to 256
// at a time: their blocks are built from the taps in float32, rows as in the CPU version; then a thread block does a frequency by
// Lanczos iteration in float64. Frequencies of a later group stop early where they cannot exceed the best of those before.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "measures/kernels/conv_spectral.h"
#include "measures/kernels/cuda_lanczos.h"
#include "measures/kernels/cuda_launch.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256, warps = threads / 32, most_steps = 400;
constexpr double tolerance = 2e-7;  // of residuals, relative to s^2
constexpr std::int64_t most_together = 256, most_memory = std::int64_t{256} << 20, most_shared = 96 * 1024;

struct Plan {
  CircularConv shape;
  std::int64_t height, width;          // of the coarse grid
  std::int64_t phases_y, phases_x;     // of the input grid that the kernel reaches
  std::int64_t rows, columns, taps;    // of a block
  std::int64_t frequencies, together;  // all; in one group
  bool outputs_are_rows, shared;       // whether the vectors fit into shared memory
};

struct State {
  unsigned largest;       // bits of the largest |w|
  double best, residual;  // s^2 of w 2^-exponent, and the residual of its Ritz pair
  std::int64_t steps;
  bool converged;
};
struct Found {
  double value, residual;
  int steps;
  bool converged;  // or cannot exceed the best
};

Plan plan_of(const CircularConv& c) {
  Plan p{c, (c.height + c.stride - 1) / c.stride, (c.width + c.stride - 1) / c.stride};
  p.phases_y = c.stride < c.kernel_height ? c.stride : c.kernel_height;
  p.phases_x = c.stride < c.kernel_width ? c.stride : c.kernel_width;
  p.taps = c.kernel_height * c.kernel_width;
  p.outputs_are_rows = c.stride == 1 && c.outputs >= c.inputs;
  p.rows = p.outputs_are_rows ? c.outputs : p.phases_y * p.phases_x * c.inputs;
  p.columns = p.outputs_are_rows ? c.inputs : c.outputs;
  p.frequencies = 0;
  if (p.rows * p.columns > 0 && p.height * p.width > 0)
    p.frequencies =
        p.taps == 1 ? 1 : (p.height % 2 == 0 ? 2 : 1) * (p.width / 2 + 1) + (p.height - 1) / 2 * p.width;
  const std::int64_t vectors = (3 * p.columns + p.rows) * static_cast<std::int64_t>(sizeof(double2));
  p.shared = vectors <= most_shared;
  const std::int64_t bytes = p.rows * p.columns * static_cast<std::int64_t>(sizeof(float2)) + vectors;
  p.together = bytes > 0 ? most_memory / bytes : 1;
  p.together = p.together < 1 ? 1 : p.together < most_together ? p.together : most_together;
  if (p.frequencies < p.together) p.together = p.frequencies;
  return p;
}

// Whether there is a norm to look for; then the power of two that brings w near 1.
__device__ bool exponent_of(const State& s, int& exponent) {
  const float largest = __uint_as_float(s.largest);
  if (s.largest == 0 || s.largest >= 0x7f800000u) return false;
  exponent = ilogb(static_cast<double>(largest));
  return true;
}

__global__ void __launch_bounds__(threads) scan(const float* w, std::int64_t n, State* state) {
  unsigned largest = 0;  // absolute values of floats are ordered as their bits, infinities and NaNs last
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x; i < n;
       i += static_cast<std::int64_t>(gridDim.x) * threads)
    largest = max(largest, __float_as_uint(w[i]) & 0x7fffffffu);
  for (int step = 16; step > 0; step /= 2)
    largest = max(largest, __shfl_xor_sync(0xffffffffu, largest, step));
  if (threadIdx.x % 32 == 0 && largest > 0) atomicMax(&state->largest, largest);
}

// The f-th of the frequencies (u, v): row 0, then the rows that have a mirror image, then the middle one.
__device__ void frequency_of(const Plan& p, std::int64_t f, std::int64_t& u, std::int64_t& v) {
  const std::int64_t half = p.width / 2 + 1, whole = (p.height - 1) / 2 * p.width;
  u = f < half ? 0 : f < half + whole ? 1 + (f - half) / p.width : p.height / 2;
  v = f < half ? f : f < half + whole ? (f - half) % p.width : f - half - whole;
}

// blocks[f][rows][columns]; `tiles` thread blocks a frequency.
__global__ void __launch_bounds__(threads)
    build(const float* w, Plan p, std::int64_t first, int tiles, const State* state, float2* blocks) {
  double2* const turns = dynamic_shared<double2>();  // of each tap
  const std::int64_t local = blockIdx.x / tiles;
  const CircularConv& c = p.shape;
  int exponent;
  if (!exponent_of(*state, exponent)) return;
  std::int64_t u, v;
  frequency_of(p, first + local, u, v);
  for (int t = threadIdx.x; t < p.taps; t += threads) {
    const std::int64_t a = t / c.kernel_width / c.stride, b = t % c.kernel_width / c.stride;
    const double angle = static_cast<double>(u * a % p.height) / static_cast<double>(p.height) +
                         static_cast<double>(v * b % p.width) / static_cast<double>(p.width);
    sincospi(-2 * angle, &turns[t].y, &turns[t].x);
  }
  __syncthreads();
  const double scale = ldexp(1.0, -exponent);
  const std::int64_t entries = p.rows * p.columns;
  for (std::int64_t e = static_cast<std::int64_t>(blockIdx.x) % tiles * threads + threadIdx.x; e < entries;
       e += static_cast<std::int64_t>(tiles) * threads) {
    const std::int64_t row = e / p.columns, column = e % p.columns;
    const std::int64_t phase = p.outputs_are_rows ? 0 : row / c.inputs;
    const std::int64_t o = p.outputs_are_rows ? row : column,
                       i = p.outputs_are_rows ? column : row % c.inputs;
    const float* const tap = w + (o * c.inputs + i) * p.taps;
    double re = 0, im = 0;
    for (std::int64_t a = phase / p.phases_x; a < c.kernel_height; a += c.stride)
      for (std::int64_t b = phase % p.phases_x; b < c.kernel_width; b += c.stride) {
        const std::int64_t t = a * c.kernel_width + b;
        const double x = scale * static_cast<double>(tap[t]);
        re += x * turns[t].x;
        im += x * turns[t].y;
      }
    blocks[local * entries + e] = make_float2(static_cast<float>(re), static_cast<float>(im));
  }
}

// Lanczos on A^H A without re-orthogonalisation: copies of converged values may appear, the largest stays right to rounding.
__global__ void __launch_bounds__(threads)
    solve(Plan p, const float2* blocks, double2* memory, const State* state, Found* found) {
  __shared__ double diagonal[most_steps], off_diagonal[most_steps];
  __shared__ double2 part[threads];
  __shared__ RitzValue ritz;
  int exponent;
  if (!exponent_of(*state, exponent)) return;
  const int rows = static_cast<int>(p.rows), columns = static_cast<int>(p.columns);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const float2* const a = blocks + static_cast<std::int64_t>(blockIdx.x) * rows * columns;
  double2* v = p.shared ? dynamic_shared<double2>()
                        : memory + static_cast<std::int64_t>(blockIdx.x) * (3 * columns + rows);
  double2 *before = v + columns, *z = before + columns;
  double2* const y = z + columns;
  const double best = state->best;

  double squares = 0;
  for (int c = thread; c < columns; c += threads) {
    v[c] = make_double2(start_entry(2 * c), start_entry(2 * c + 1));
    before[c] = make_double2(0, 0);
    squares += v[c].x * v[c].x + v[c].y * v[c].y;
  }
  const double start = 1 / sqrt(block_total<threads>(squares));
  double frobenius = 0;
  for (std::int64_t e = thread; e < static_cast<std::int64_t>(rows) * columns; e += threads)
    frobenius += static_cast<double>(a[e].x) * static_cast<double>(a[e].x) +
                 static_cast<double>(a[e].y) * static_cast<double>(a[e].y);
  frobenius = block_total<threads>(frobenius);
  Found mine{0, 0, 0, true};
  for (int c = thread; c < columns; c += threads) v[c] = make_double2(v[c].x * start, v[c].y * start);
  __syncthreads();
  double beta = 0;
  for (int step = 0; step < most_steps && frobenius >= best; ++step) {
    for (int r = warp; r < rows; r += warps) {  // y = A v
      double re = 0, im = 0;
      const float2* const row = a + static_cast<std::int64_t>(r) * columns;
      for (int c = lane; c < columns; c += 32) {
        const double ar = static_cast<double>(row[c].x), ai = static_cast<double>(row[c].y);
        re += ar * v[c].x - ai * v[c].y;
        im += ar * v[c].y + ai * v[c].x;
      }
      re = warp_total(re);
      im = warp_total(im);
      if (lane == 0) y[r] = make_double2(re, im);
    }
    __syncthreads();
    // z = A^H y, neighbouring threads in neighbouring columns; few columns: the rows in as many groups as there are threads for
    const int groups = columns < threads ? threads / columns : 1;
    const int group = columns < threads ? thread / columns : 0;
    for (int c = columns < threads ? thread % columns : thread; c < columns; c += threads) {
      double re = 0, im = 0;
      for (int r = group; r < rows && group < groups; r += groups) {
        const float2 entry = a[static_cast<std::int64_t>(r) * columns + c];
        const double ar = static_cast<double>(entry.x), ai = static_cast<double>(entry.y);
        re += ar * y[r].x + ai * y[r].y;
        im += ar * y[r].y - ai * y[r].x;
      }
      if (groups == 1 && group == 0)
        z[c] = make_double2(re, im);
      else
        part[thread] = make_double2(re, im);
    }
    __syncthreads();
    if (groups > 1) {
      for (int c = thread; c < columns; c += threads) {
        double2 sum = part[c];
        for (int g = 1; g < groups; ++g) {
          sum.x += part[g * columns + c].x;
          sum.y += part[g * columns + c].y;
        }
        z[c] = sum;
      }
      __syncthreads();
    }
    double alpha = 0;
    for (int c = thread; c < columns; c += threads) alpha += v[c].x * z[c].x + v[c].y * z[c].y;
    alpha = block_total<threads>(alpha);
    double rest = 0;
    for (int c = thread; c < columns; c += threads) {
      z[c].x -= alpha * v[c].x + beta * before[c].x;
      z[c].y -= alpha * v[c].y + beta * before[c].y;
      rest += z[c].x * z[c].x + z[c].y * z[c].y;
    }
    beta = sqrt(block_total<threads>(rest));
    if (thread == 0) {
      diagonal[step] = alpha;
      off_diagonal[step] = beta;
    }
    __syncthreads();
    const bool invariant = beta <= 1e-14 * diagonal[0] || beta == 0, last = step + 1 == most_steps;
    if (invariant || last || step < 4 || step % 4 == 3) {
      if (warp == 0) {
        const RitzValue top = top_ritz_value(diagonal, off_diagonal, step + 1);
        if (lane == 0) ritz = top;
      }
      __syncthreads();
      mine = {ritz.value, beta * ritz.last, step + 1, true};
      if (invariant || mine.residual <= tolerance * mine.value || mine.value + 2 * mine.residual < best)
        break;
      mine.converged = false;
      __syncthreads();
    }
    const double inverse = 1 / beta;
    for (int c = thread; c < columns; c += threads) z[c] = make_double2(z[c].x * inverse, z[c].y * inverse);
    double2* const free = before;
    before = v;
    v = z;
    z = free;
    __syncthreads();
  }
  if (thread == 0) found[blockIdx.x] = mine;
}

// Takes in the group's results, in their order.
__global__ void merge(const Found* found, int count, State* state, OperatorNorm* out) {
  int exponent = 0;
  const bool any = exponent_of(*state, exponent);
  if (any && count > 0) {
    if (state->steps == 0) state->converged = true;
    for (int f = 0; f < count; ++f) {
      state->steps += found[f].steps;
      state->converged = state->converged && found[f].converged;
      if (found[f].value > state->best) state->best = found[f].value, state->residual = found[f].residual;
    }
  }
  OperatorNorm norm{0, 0, 0, state->largest < 0x7f800000u};
  if (any && count > 0)
    norm = {ldexp(sqrt(state->best), exponent), state->best > 0 ? state->residual / state->best : 0,
            state->steps, state->converged};
  *out = norm;
}

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

struct Layout {
  std::size_t found, blocks, vectors, end;
  explicit Layout(const Plan& p) {
    const auto n = static_cast<std::size_t>(p.together), rows = static_cast<std::size_t>(p.rows),
               columns = static_cast<std::size_t>(p.columns);
    found = aligned(sizeof(State));
    blocks = found + aligned(n * sizeof(Found));
    vectors = blocks + aligned(n * rows * columns * sizeof(float2));
    end = vectors + (p.shared ? 0 : n * (3 * columns + rows) * sizeof(double2));
  }
};

}  // namespace

std::size_t circular_conv_norm_cuda_workspace(const CircularConv& shape) {
  return Layout(plan_of(shape)).end;
}

int circular_conv_norm_cuda(const float* w, const CircularConv& shape, OperatorNorm* out, void* workspace,
                            void* stream) {
  const Plan plan = plan_of(shape);
  const Layout layout(plan);
  const auto s = static_cast<cudaStream_t>(stream);
  char* const memory = static_cast<char*>(workspace);
  State* const state = static_cast<State*>(workspace);
  Found* const found = reinterpret_cast<Found*>(memory + layout.found);
  float2* const blocks = reinterpret_cast<float2*>(memory + layout.blocks);
  double2* const vectors = reinterpret_cast<double2*>(memory + layout.vectors);
  cudaMemsetAsync(state, 0, sizeof(State), s);
  const std::int64_t n = shape.outputs * shape.inputs * plan.taps, scans = (n + threads - 1) / threads;
  if (n > 0) launch({static_cast<unsigned>(scans < 1024 ? scans : 1024), threads, s}, scan, w, n, state);
  if (plan.frequencies == 0) launch({1, 1, s}, merge, found, 0, state, out);
  const std::size_t shared =
      plan.shared ? static_cast<std::size_t>(3 * plan.columns + plan.rows) * sizeof(double2) : 0;
  cudaFuncSetAttribute(solve, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(most_shared));
  const std::int64_t wanted = (plan.rows * plan.columns + 4 * threads - 1) / (4 * threads);
  const int tiles = static_cast<int>(wanted < 1 ? 1 : wanted < 256 ? wanted : 256);
  for (std::int64_t first = 0; first < plan.frequencies; first += plan.together) {
    const std::int64_t left = plan.frequencies - first;
    const auto count = static_cast<unsigned>(left < plan.together ? left : plan.together);
    launch({count * static_cast<unsigned>(tiles), threads, s,
            static_cast<std::size_t>(plan.taps) * sizeof(double2)},
           build, w, plan, first, tiles, state, blocks);
    launch({count, threads, s, shared}, solve, plan, blocks, vectors, state, found);
    launch({1, 1, s}, merge, found, static_cast<int>(count), state, out);
  }
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
