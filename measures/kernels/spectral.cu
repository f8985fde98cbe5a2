// CUDA version of conv_operator_norm: see spectral.h for the contract. Lanczos on A^T A or A A^T, whichever is smaller, in
// float64, without re-orthogonalisation, which the largest value does not need. One launch does all steps, its blocks wait for
// each other at two barriers of the grid a step: after y = A v, which gives alpha = |y|^2, and after A^T y - alpha v - beta before.
//
// Both A and A^T are sums over taps k = (other channel, position): y[channel, pixel] = sum_k w[channel, k] x[offset_k + base_pixel].
// Images have borders of zeros, so that no tap is left out; A^T of a stride s falls into s^2 such sums, its phases, by the rows and
// columns of the input modulo s. A lane keeps 8 channels of 4 pixels in registers; a block does a tile of up to 1,024 values, its
// warps, and groups of lanes in them, share the taps: a device is filled by few values too. The weights are copied into the order
// they are read in, and to float64, as devices convert slowly.
#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "measures/kernels/cuda_lanczos.h"
#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/spectral.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 512, warps = threads / 32, most_steps = 300, most_blocks = 1024;
constexpr int high = 8, wide = 4;  // channels and pixels of a lane
constexpr double tolerance = 1e-8;

// Images of one side, channel by channel, with their borders.
struct Side {
  int channels, height, width;
  int top, left, rows, pitch;  // of a bordered image
  __host__ __device__ int image() const { return rows * pitch; }
  __host__ __device__ std::int64_t length() const { return std::int64_t{channels} * rows * pitch; }
};

// A or A^T.
struct Map {
  Side from, to;
  int taps, phases;            // of a pair of channels in all phases; phases a direction
  int out_lanes, pixel_lanes;  // of a tile
  int tiles;
};

struct Plan {
  int outputs, inputs, kernel_height, kernel_width, stride, padding;
  Map forth, back;  // back is the transposed of forth; vectors of forth.from are iterated
  bool empty, transposed;
};

struct State {
  bool broken;
};

// The pixels of one phase in one direction, and the taps that reach them.
struct Axis {
  int count;                // pixels
  int to, to_step;          // bordered places of the pixels
  int from, from_step;      // and of their first taps
  int taps, tap, tap_step;  // which of the kernel's
};

// `adjoint`: of A^T.
__host__ __device__ inline Axis axis_of(const Plan& p, bool adjoint, int phase, bool vertical) {
  const Map& map = adjoint != p.transposed ? p.back : p.forth;
  const int kernel = vertical ? p.kernel_height : p.kernel_width, s = p.stride;
  const int size = vertical ? map.to.height : map.to.width, border = vertical ? map.to.top : map.to.left;
  if (!adjoint) return {size, border, 1, 0, s, kernel, 0, 1};
  const int taps = phase < kernel ? (kernel - phase + s - 1) / s : 0;
  const int first = p.padding > phase ? (p.padding - phase + s - 1) / s : 0;
  const int end = size + p.padding > phase ? (size + p.padding - phase + s - 1) / s : 0;
  return {end > first ? end - first : 0, first * s + phase, s, first + (kernel - 1) / s, 1, taps, phase, s};
}

struct Phase {
  Axis rows, columns;
  int first;  // of its taps
  __host__ __device__ int pixels() const { return rows.count * columns.count; }
  __host__ __device__ int taps() const { return rows.taps * columns.taps; }
};

// f of phases^2, whose taps begin at `first`.
__host__ __device__ inline Phase phase_of(const Plan& p, bool adjoint, int f, int first) {
  const int phases = adjoint ? p.stride : 1;
  return {axis_of(p, adjoint, f / phases, true), axis_of(p, adjoint, f % phases, false), first};
}

__host__ __device__ inline int tiles_of(const Map& map, const Phase& phase) {
  const int channels = high * map.out_lanes, pixels = wide * map.pixel_lanes;
  return (map.to.channels + channels - 1) / channels * ((phase.pixels() + pixels - 1) / pixels);
}

int power_of_two(int at_least) {
  int power = 1;
  while (power < at_least) power *= 2;
  return power;
}

// The largest tiles that keep three quarters of the multiprocessors at work.
void divide(Plan& p, bool adjoint, int device) {
  Map& map = adjoint != p.transposed ? p.back : p.forth;
  const int phases = map.phases * map.phases;
  int pixels = 1;
  for (int f = 0; f < phases; ++f) {
    const Phase phase = phase_of(p, adjoint, f, 0);
    if (phase.pixels() > pixels) pixels = phase.pixels();
  }
  const int most_out = power_of_two((map.to.channels + high - 1) / high),
            most_pixels = power_of_two((pixels + wide - 1) / wide);
  for (int lanes = 32; lanes > 0; lanes /= 2) {
    map.pixel_lanes = lanes < most_pixels ? lanes : most_pixels;
    map.out_lanes = lanes / map.pixel_lanes < most_out ? lanes / map.pixel_lanes : most_out;
    map.tiles = 0;
    for (int f = 0; f < phases; ++f) map.tiles += tiles_of(map, phase_of(p, adjoint, f, 0));
    if (4 * map.tiles >= 3 * device) return;
  }
}

Plan plan_of(const ConvShape& shape) {
  ConvShape s = shape;
  if (s.kernel_height == 1 && s.kernel_width == 1 && s.stride == 1 && s.padding == 0)
    s.height = s.width = 1;  // every position is the dense layer
  const auto number = [](std::int64_t x) { return static_cast<int>(x); };
  Plan p{};
  p.outputs = number(s.outputs);
  p.inputs = number(s.inputs);
  p.kernel_height = number(s.kernel_height);
  p.kernel_width = number(s.kernel_width);
  p.stride = number(s.stride);
  p.padding = number(s.padding);
  const int height = number(s.height), width = number(s.width);
  p.empty = p.outputs == 0 || p.inputs == 0 || p.kernel_height == 0 || p.kernel_width == 0 || height == 0 ||
            width == 0 || height + 2 * p.padding < p.kernel_height || width + 2 * p.padding < p.kernel_width;
  if (p.empty) return p;
  const int out_height = (height + 2 * p.padding - p.kernel_height) / p.stride + 1,
            out_width = (width + 2 * p.padding - p.kernel_width) / p.stride + 1;
  const Side in{p.inputs, height, width, p.padding, p.padding, height + 2 * p.padding, width + 2 * p.padding};
  // what the last rows of the input ask for may lie beyond the output
  const int reach = (height - 1 + p.padding) / p.stride + 1, across = (width - 1 + p.padding) / p.stride + 1;
  const int top = (p.kernel_height - 1) / p.stride, left = (p.kernel_width - 1) / p.stride;
  const Side out{p.outputs,
                 out_height,
                 out_width,
                 top,
                 left,
                 top + (reach > out_height ? reach : out_height),
                 left + (across > out_width ? across : out_width)};
  const int taps = p.kernel_height * p.kernel_width;
  p.transposed = p.outputs * std::int64_t{out_height} * out_width < p.inputs * std::int64_t{height} * width;
  const Map a{in, out, taps, 1, 0, 0, 0}, adjoint{out, in, taps, p.stride, 0, 0, 0};
  p.forth = p.transposed ? adjoint : a;
  p.back = p.transposed ? a : adjoint;
  const int device = multiprocessors();
  divide(p, false, device);
  divide(p, true, device);
  return p;
}

// Where the weight of channels 2 pair and 2 pair + 1 of eight is: eight neighbouring taps together, so that neighbouring lanes read
// neighbouring values.
__device__ inline std::int64_t place_of(std::int64_t tap, int pair) {
  return (tap / 8 * (high / 2) + pair) * 8 + tap % 8;
}
__host__ __device__ inline std::int64_t all_taps(const Map& map) {
  return std::int64_t{map.taps} * map.from.channels;
}
__host__ __device__ inline std::int64_t weights_of(const Map& map) {  // pairs
  return (all_taps(map) + 7) / 8 * 8 * ((map.to.channels + high - 1) / high) * (high / 2);
}

// weights[channel / 8][place_of], taps of all phases, and for each tap its offset in the images it is taken from.
__global__ void __launch_bounds__(threads)
    pack(const float* w, Plan p, bool adjoint, double2* weights, int* offsets, State* state) {
  const Map& map = adjoint != p.transposed ? p.back : p.forth;
  const std::int64_t all = all_taps(map), eight = (all + 7) / 8 * 8 * (high / 2);
  const std::int64_t count = (map.to.channels + high - 1) / high * all;
  bool finite = true;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x; i < count;
       i += static_cast<std::int64_t>(gridDim.x) * threads) {
    const int channel = static_cast<int>(i / all) * high, k = static_cast<int>(i % all);
    Phase phase = phase_of(p, adjoint, 0, 0);
    for (int f = 1; k >= phase.first + phase.taps() * map.from.channels; ++f)
      phase = phase_of(p, adjoint, f, phase.first + phase.taps() * map.from.channels);
    const int taps = phase.taps(), at = k - phase.first;
    const int other = at / taps, a = at % taps / phase.columns.taps, b = at % taps % phase.columns.taps;
    const int tap = (phase.rows.tap + a * phase.rows.tap_step) * p.kernel_width + phase.columns.tap +
                    b * phase.columns.tap_step;
    double values[high];
    for (int c = 0; c < high; ++c) {
      const std::int64_t o = adjoint ? other : channel + c, from = adjoint ? channel + c : other;
      const float x = channel + c < map.to.channels ? w[(o * p.inputs + from) * map.taps + tap] : 0.0f;
      finite = finite && isfinite(x);
      values[c] = static_cast<double>(x);
    }
    for (int pair = 0; pair < high / 2; ++pair)
      weights[i / all * eight + place_of(k, pair)] = make_double2(values[2 * pair], values[2 * pair + 1]);
    if (channel == 0) offsets[k] = other * map.from.image() + (adjoint ? -1 : 1) * (a * map.from.pitch + b);
  }
  if (!finite) state->broken = true;  // all that write write the same
}

// store(value of the sum over all taps, its place) for the block's share of the tiles. `shared`: threads / 32 tiles.
template <class Store>
__device__ void apply(const Plan& p, bool adjoint, const double2* weights, const int* offsets,
                      const double* from, double* shared, const Store& store) {
  const Map& map = adjoint != p.transposed ? p.back : p.forth;
  const int lanes = map.out_lanes * map.pixel_lanes, groups = 32 / lanes;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, group = thread % 32 / lanes;
  const int out_lane = thread % lanes / map.pixel_lanes, pixel_lane = thread % map.pixel_lanes;
  const int channel_tiles = (map.to.channels + high * map.out_lanes - 1) / (high * map.out_lanes);
  for (int tile = static_cast<int>(blockIdx.x); tile < map.tiles; tile += static_cast<int>(gridDim.x)) {
    Phase phase = phase_of(p, adjoint, 0, 0);
    int place = tile;  // among the phase's
    for (int f = 1; place >= tiles_of(map, phase); ++f) {
      place -= tiles_of(map, phase);
      phase = phase_of(p, adjoint, f, phase.first + phase.taps() * map.from.channels);
    }
    const int channel = place % channel_tiles * high * map.out_lanes,
              pixel = place / channel_tiles * wide * map.pixel_lanes;
    const double* image[wide];
    for (int j = 0; j < wide; ++j) {
      const int at = min(pixel + pixel_lane + map.pixel_lanes * j, phase.pixels() - 1);
      const int row = at / phase.columns.count, column = at % phase.columns.count;
      image[j] = from + (phase.rows.from + row * phase.rows.from_step) * map.from.pitch + phase.columns.from +
                 column * phase.columns.from_step;
    }
    const int eights = (map.to.channels + high - 1) / high;
    const double2* const w =
        weights + min(channel / high + out_lane, eights - 1) * (weights_of(map) / eights);
    const int end = phase.first + phase.taps() * map.from.channels;
    double sums[high][wide] = {};
#pragma unroll 2
    for (int k = phase.first + warp * groups + group; k < end; k += warps * groups) {
      const int at = offsets[k];
      const double2* const here = w + place_of(k, 0);
      double x[wide];
#pragma unroll
      for (int j = 0; j < wide; ++j) x[j] = image[j][at];
#pragma unroll
      for (int pair = 0; pair < high / 2; ++pair) {
        const double2 two = here[8 * pair];
#pragma unroll
        for (int j = 0; j < wide; ++j) {
          sums[2 * pair][j] += two.x * x[j];
          sums[2 * pair + 1][j] += two.y * x[j];
        }
      }
    }
    constexpr int values = high * wide;
    for (int step = 16; step >= lanes; step /= 2)
#pragma unroll
      for (int i = 0; i < values; ++i)
        sums[i / wide][i % wide] += __shfl_xor_sync(0xffffffffu, sums[i / wide][i % wide], step);
    __syncthreads();  // those who still read an earlier tile
    if (group == 0)
#pragma unroll
      for (int i = 0; i < values; ++i)
        shared[(warp * values + i) * lanes + thread % lanes] = sums[i / wide][i % wide];
    __syncthreads();
    for (int place_here = thread; place_here < values * lanes; place_here += threads) {
      double sum = 0;
      for (int other = 0; other < warps; ++other) sum += shared[other * values * lanes + place_here];
      const int i = place_here / lanes / wide, j = place_here / lanes % wide, of_lane = place_here % lanes;
      const int c = channel + high * (of_lane / map.pixel_lanes) + i,
                at = pixel + of_lane % map.pixel_lanes + map.pixel_lanes * j;
      if (c < map.to.channels && at < phase.pixels()) {
        const int row = at / phase.columns.count, column = at % phase.columns.count;
        store(sum, std::int64_t{c} * map.to.image() +
                       (phase.rows.to + row * phase.rows.to_step) * map.to.pitch + phase.columns.to +
                       column * phase.columns.to_step);
      }
    }
  }
}

struct Memory {
  double *even, *odd, *between;  // iterated vectors of even and odd steps, A of the last
  double* parts[2];              // of sums, one of each block
  double2 *forth, *back;         // weights
  int *forth_offsets, *back_offsets;
};

__device__ double sum_of(const double* parts) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < static_cast<int>(gridDim.x); i += threads) sum += parts[i];
  return block_total<threads>(sum);
}

__global__ void __launch_bounds__(threads, 1)
    iterate(Plan p, Memory memory, const State* state, OperatorNorm* out) {
  __shared__ double diagonal[most_steps], off_diagonal[most_steps];
  double* const shared = dynamic_shared<double>();
  const cooperative_groups::grid_group grid = cooperative_groups::this_grid();
  const Side side = p.forth.from;
  const std::int64_t length = side.length(),
                     first = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x,
                     stride = static_cast<std::int64_t>(gridDim.x) * threads;
  const auto leave_sum = [&](double part, int which) {
    part = block_total<threads>(part);
    if (threadIdx.x == 0) memory.parts[which][blockIdx.x] = part;
    grid.sync();
  };
  if (state->broken) {
    if (first == 0) *out = {0, 0, 0, false};
    return;
  }
  double squares = 0;
  for (std::int64_t i = first; i < length; i += stride) {
    const int channel = static_cast<int>(i / side.image()), at = static_cast<int>(i % side.image());
    const int row = at / side.pitch - side.top, column = at % side.pitch - side.left;
    if (row < 0 || row >= side.height || column < 0 || column >= side.width) continue;
    const double x =
        start_entry((static_cast<std::uint64_t>(channel) * side.height + row) * side.width + column);
    memory.even[i] = x;
    squares += x * x;
  }
  leave_sum(squares, 1);
  // each vector is kept as it came, 1 / scale long
  double scale = 1 / sqrt(sum_of(memory.parts[1])), scale_before = 0, beta = 0, value = 0;
  for (int step = 0; step < most_steps; ++step) {
    double *const now = step % 2 == 0 ? memory.even : memory.odd, *const before = step % 2 == 0 ? memory.odd
                                                                                                : memory.even;
    squares = 0;
    apply(p, p.transposed, memory.forth, memory.forth_offsets, now, shared, [&](double y, std::int64_t at) {
      memory.between[at] = y * scale;
      squares += y * scale * (y * scale);
    });
    leave_sum(squares, 0);
    const double alpha = sum_of(memory.parts[0]);
    squares = 0;
    apply(p, !p.transposed, memory.back, memory.back_offsets, memory.between, shared,
          [&](double z, std::int64_t at) {
            const double x = z - alpha * scale * now[at] - beta * scale_before * before[at];
            before[at] = x;
            squares += x * x;
          });
    leave_sum(squares, 1);
    beta = sqrt(sum_of(memory.parts[1]));
    if (threadIdx.x == 0) {
      diagonal[step] = alpha;
      off_diagonal[step] = beta;
    }
    __syncthreads();
    const bool invariant = beta == 0 || beta <= 1e-14 * fmax(diagonal[0], alpha);
    if (invariant || looks(step) || step + 1 == most_steps) {  // all blocks find the same
      const RitzValue top =
          top_ritz_value<threads>(diagonal, off_diagonal, step + 1, value * (1 - 1e-12), shared);
      value = top.value;
      const double residual = value > 0 ? beta * top.last / value : 0;
      const bool converged = invariant || residual <= tolerance;
      if (first == 0) *out = {sqrt(value), residual, step + 1, converged};
      if (converged) return;
    }
    scale_before = scale;
    scale = 1 / beta;
  }
}

__global__ void zero(OperatorNorm* out) {
  *out = {0, 0, 0, true};
}

struct Layout {
  std::size_t vectors[3], parts[2], forth, back, forth_offsets, back_offsets, end, cleared;
  explicit Layout(const Plan& p) {
    std::size_t at = 256;
    const auto take = [&at](std::int64_t count, std::size_t size) {
      const std::size_t here = at;
      at += (static_cast<std::size_t>(count) * size + 255) / 256 * 256;
      return here;
    };
    for (std::size_t& vector : vectors)
      vector = take((&vector == vectors + 2 ? p.forth.to : p.forth.from).length(), sizeof(double));
    cleared = at;
    for (std::size_t& part : parts) part = take(most_blocks, sizeof(double));
    forth = take(weights_of(p.forth), sizeof(double2));
    back = take(weights_of(p.back), sizeof(double2));
    forth_offsets = take(all_taps(p.forth), sizeof(int));
    back_offsets = take(all_taps(p.back), sizeof(int));
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
  if (p.empty) {
    launch({1, 1, s}, zero, out);
    return cudaGetLastError();
  }
  if (p.forth.from.length() > 0x7fffffff || p.forth.to.length() > 0x7fffffff) return cudaErrorInvalidValue;
  const Layout at(p);
  State* const state = static_cast<State*>(workspace);
  const auto part = [&](std::size_t offset) {
    return static_cast<void*>(static_cast<char*>(workspace) + offset);
  };
  const auto doubles = [&](std::size_t offset) { return static_cast<double*>(part(offset)); };
  const Memory memory{doubles(at.vectors[0]),
                      doubles(at.vectors[1]),
                      doubles(at.vectors[2]),
                      {doubles(at.parts[0]), doubles(at.parts[1])},
                      static_cast<double2*>(part(at.forth)),
                      static_cast<double2*>(part(at.back)),
                      static_cast<int*>(part(at.forth_offsets)),
                      static_cast<int*>(part(at.back_offsets))};
  cudaMemsetAsync(workspace, 0, at.cleared, s);
  const auto pack_for = [&](const Map& map, bool adjoint, double2* weights, int* offsets) {
    const std::int64_t count = (map.to.channels + high - 1) / high * all_taps(map),
                       blocks = (count + threads - 1) / threads;
    launch({static_cast<unsigned>(blocks < most_blocks ? blocks : most_blocks), threads, s}, pack, w, p,
           adjoint, weights, offsets, state);
  };
  pack_for(p.forth, p.transposed, memory.forth, memory.forth_offsets);
  pack_for(p.back, !p.transposed, memory.back, memory.back_offsets);

  const auto lanes = [](const Map& map) { return map.out_lanes * map.pixel_lanes; };
  const int most_lanes = lanes(p.forth) > lanes(p.back) ? lanes(p.forth) : lanes(p.back);
  std::size_t shared = static_cast<std::size_t>(warps * high * wide * most_lanes) * sizeof(double);
  if (shared < ritz_scratch<most_steps> * sizeof(double)) shared = ritz_scratch<most_steps> * sizeof(double);
  cudaFuncSetAttribute(iterate, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
  int blocks = p.forth.tiles > p.back.tiles ? p.forth.tiles : p.back.tiles;
  const int most = most_together(iterate, threads, shared);
  if (blocks > most) blocks = most;
  if (blocks > most_blocks) blocks = most_blocks;
  launch({static_cast<unsigned>(blocks), threads, s, shared, 1, 1, true}, iterate, p, memory, state, out);
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
