// Blocks on fibres, and device memory between guard bytes: see cuda_runtime.h. Fibres begin by makecontext and switch by
// _setjmp and _longjmp, which make no system call.
#undef _FORTIFY_SOURCE  // its check of longjmp knows one stack only
#include <link.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "cuda_runtime.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace gapbench::kernels {
extern thread_local float4 dynamic_shared_memory[];
constexpr std::size_t most_shared = 227 * 1024, shared_guard = 1024;  // of compute capability 9.0
thread_local float4 dynamic_shared_memory[(most_shared + shared_guard) / sizeof(float4)];
}  // namespace gapbench::kernels

namespace cuda_host {
namespace {

constexpr unsigned char poison = 0xFF, guard_byte = 0xC7;
constexpr std::size_t guard = 256, usual_dynamic_shared = 48 * 1024, stack_bytes = 256 * 1024;
constexpr unsigned most_threads = 1024, lanes = 32;

enum class State { ready, at_barrier, at_grid, in_warp, done };

struct Fibre {
  uint3 index;
  State state = State::done;
  const char* name = "";
  std::source_location where;
  unsigned mask = 0;        // of the warp function
  std::uint64_t value = 0;  // put in, then taken out
  int from = 0;             // the lane whose value is taken; -1: the ballot
  bool flag = false;
  std::deque<std::vector<std::tuple<void*, const void*, std::size_t>>> copies;  // groups; the last is open
  void* stack = nullptr;
  jmp_buf context;
};

std::vector<std::unique_ptr<Fibre>> fibres;
unsigned count, first, running;  // threads of the block, its first fibre, the one that runs
bool together;                   // blocks of the launch are on the device at the same time
std::vector<unsigned> missing;   // of each warp's first fibre: the lane that its warp function waits for
bool barrier_flag;
int barrier_count;
jmp_buf scheduler;
ucontext_t scheduler_start;
const std::function<void()>* body;
std::map<const char*, std::pair<std::size_t, char*>> allocations;  // by where the guard begins
std::map<const void*, int> allowed_shared;
cudaError_t last_error = cudaSuccess;
std::uint64_t launches;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "CUDA on the CPU: %s\n", what);
  std::abort();
}

void describe(const Fibre& f) {
  std::fprintf(stderr, "  block %u, thread %u: ", blockIdx.x, f.index.x);
  if (f.state == State::done)
    std::fprintf(stderr, "has returned\n");
  else if (f.state == State::ready)
    std::fprintf(stderr, "runs\n");
  else
    std::fprintf(stderr, "waits at %s, %s:%u, mask %08x\n", f.name, f.where.file_name(),
                 static_cast<unsigned>(f.where.line()), f.mask);
}

[[noreturn]] void fail(const char* what, const Fibre& a, const Fibre& b) {
  describe(a);
  describe(b);
  fail(what);
}

void to_scheduler(Fibre& f) {
  if (_setjmp(f.context) == 0) {
    _longjmp(scheduler, 1);
  }
}

void fibre_main() {
  Fibre& f = *fibres[running];
  while (true) {
    to_scheduler(f);
    (*body)();
    f.copies.clear();
    f.state = State::done;
  }
}

void resume(unsigned thread) {
  Fibre& f = *fibres[thread];
  running = thread;
  threadIdx = f.index;
  if (_setjmp(scheduler) == 0) {
    _longjmp(f.context, 1);
  }
}

void make_fibre() {
  fibres.push_back(std::make_unique<Fibre>());
  Fibre& f = *fibres.back();
  running = static_cast<unsigned>(fibres.size()) - 1;
  void* const memory =  // an overflow runs into the page below
      mmap(nullptr, stack_bytes + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail("no memory for another stack");
  f.stack = static_cast<char*>(memory) + 4096;
  mprotect(f.stack, stack_bytes, PROT_READ | PROT_WRITE);
  ucontext_t start;
  getcontext(&start);
  start.uc_stack.ss_sp = f.stack;
  start.uc_stack.ss_size = stack_bytes;
  start.uc_link = nullptr;
  makecontext(&start, fibre_main, 0);
  if (_setjmp(scheduler) == 0) {
    setcontext(&start);
  }
}

// All thread-local memory of the program, the shared variables of all kernels among it. What else is there is put back after
// a launch.
struct SharedMemory {
  char* data = nullptr;
  std::size_t bytes = 0;
};
SharedMemory shared_variables() {
  static const SharedMemory found = [] {
    SharedMemory memory;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* out) {
          for (int i = 0; i < info->dlpi_phnum; ++i)
            if (info->dlpi_phdr[i].p_type == PT_TLS)
              *static_cast<SharedMemory*>(out) = {static_cast<char*>(info->dlpi_tls_data),
                                                  info->dlpi_phdr[i].p_memsz};
          return 1;  // the first is the program itself
        },
        &memory);
    return memory;
  }();
  return found;
}
// Of the dynamic memory only what a kernel asked for, and a guard behind it.
void poison_shared(std::size_t dynamic_bytes) {
  const auto [data, bytes] = shared_variables();
  char* const dynamic = reinterpret_cast<char*>(gapbench::kernels::dynamic_shared_memory);
  char* const end = dynamic + sizeof gapbench::kernels::dynamic_shared_memory;
  std::memset(data, poison, static_cast<std::size_t>(dynamic - data));
  std::memset(dynamic, poison, dynamic_bytes);
  std::memset(dynamic + dynamic_bytes, guard_byte, gapbench::kernels::shared_guard);
  std::memset(end, poison, static_cast<std::size_t>(data + bytes - end));
}
void check_shared(std::size_t dynamic_bytes) {
  const char* const behind =
      reinterpret_cast<const char*>(gapbench::kernels::dynamic_shared_memory) + dynamic_bytes;
  for (std::size_t i = 0; i < gapbench::kernels::shared_guard; ++i)
    if (static_cast<unsigned char>(behind[i]) != guard_byte)
      fail("a write beyond the dynamic shared memory of the launch");
}

// The shared variables of a block while another one runs: all but the dynamic memory it did not ask for.
void copy_shared(std::vector<char>& kept, std::size_t dynamic_bytes, bool keep) {
  const auto [data, bytes] = shared_variables();
  char* const dynamic = reinterpret_cast<char*>(gapbench::kernels::dynamic_shared_memory);
  char* const end = dynamic + sizeof gapbench::kernels::dynamic_shared_memory;
  const std::size_t before =
      static_cast<std::size_t>(dynamic - data) + dynamic_bytes + gapbench::kernels::shared_guard;
  const auto after = static_cast<std::size_t>(data + bytes - end);
  kept.resize(before + after);
  std::memcpy(keep ? kept.data() : data, keep ? data : kept.data(), before);
  std::memcpy(keep ? kept.data() + before : end, keep ? end : kept.data() + before, after);
}

// Threads or blocks, forward, backward or shuffled; warps stay together.
using Order = std::vector<unsigned>;
Order order_of(unsigned n, std::uint64_t which, unsigned together = 1) {
  Order order, groups((n + together - 1) / together);
  std::iota(groups.begin(), groups.end(), 0u);
  std::mt19937_64 random(which);
  if (which % 4 == 1) std::reverse(groups.begin(), groups.end());
  if (which % 4 >= 2) std::shuffle(groups.begin(), groups.end(), random);
  for (const unsigned g : groups) {
    const auto start = static_cast<std::ptrdiff_t>(order.size());
    for (unsigned i = g * together; i < std::min(n, (g + 1) * together); ++i) order.push_back(i);
    if (which % 4 == 1) std::reverse(order.begin() + start, order.end());
    if (which % 4 >= 2) std::shuffle(order.begin() + start, order.end(), random);
  }
  return order;
}

void begin_block() {
  for (unsigned t = 0; t < count; ++t) {
    Fibre& f = *fibres[first + t];
    f.index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
    f.state = State::ready;
    f.copies.clear();
  }
}

// Until the block's threads have returned: true, or wait for the grid.
bool run_block(const Order& order) {
  barrier_flag = false;
  while (true) {
    for (unsigned start = 0, end = 0; start < count; start = end) {  // each warp as far as it gets
      while (end < count && order[end] / lanes == order[start] / lanes) ++end;
      for (bool any = true; any;) {
        any = false;
        for (unsigned i = start; i < end; ++i)
          if (fibres[first + order[i]]->state == State::ready) {
            resume(first + order[i]);
            any = true;
          }
      }
    }
    const Fibre *one = fibres[first].get(), *waiting = nullptr, *other = nullptr;
    for (unsigned t = 0; t < count; ++t) {
      const Fibre& f = *fibres[first + t];
      if (f.state != State::done && waiting == nullptr) waiting = &f;
      if (f.state != one->state || ((f.state == State::at_barrier || f.state == State::at_grid) &&
                                    f.where.line() != one->where.line()))
        other = other == nullptr ? &f : other;
    }
    if (waiting == nullptr) return true;
    if (other != nullptr) fail("threads of a block wait at different places", *one, *other);
    if (one->state == State::at_grid) return false;
    if (one->state != State::at_barrier)
      fail("lanes of a warp wait for lanes that do not come", *one, *fibres[first + count - 1]);
    barrier_flag = false;
    barrier_count = 0;
    for (unsigned t = 0; t < count; ++t) {
      Fibre& f = *fibres[first + t];
      barrier_flag = barrier_flag || f.flag;
      barrier_count += f.flag;
      f.state = State::ready;
    }
  }
}

void check_guards(const char* block, std::size_t bytes) {
  for (std::size_t i = 0; i < guard; ++i)
    if (static_cast<unsigned char>(block[i]) != guard_byte ||
        static_cast<unsigned char>(block[guard + bytes + i]) != guard_byte)
      fail("a write beside a block of device memory");
}

bool on_device(const void* data, std::size_t bytes) {
  const char* const at = static_cast<const char*>(data);
  auto after = allocations.upper_bound(at);
  if (after == allocations.begin()) return false;
  --after;
  return at >= after->first + guard && at + bytes <= after->first + guard + after->second.first;
}

}  // namespace

cudaError_t allow_dynamic_shared(const void* kernel, int bytes) {
  if (bytes < 0 || static_cast<std::size_t>(bytes) > gapbench::kernels::most_shared)
    return last_error = cudaErrorInvalidValue;
  allowed_shared[kernel] = bytes;
  return cudaSuccess;
}

cudaError_t run(const cudaLaunchConfig_t& config, const void* kernel, const std::function<void()>& call) {
  const auto allowed = allowed_shared.find(kernel);
  const std::size_t most = std::max(
      usual_dynamic_shared, allowed == allowed_shared.end() ? 0 : static_cast<std::size_t>(allowed->second));
  const std::uint64_t threads = std::uint64_t{config.blockDim.x} * config.blockDim.y * config.blockDim.z,
                      blocks = std::uint64_t{config.gridDim.x} * config.gridDim.y * config.gridDim.z;
  if (threads == 0 || threads > most_threads || blocks == 0 || config.gridDim.x > 0x7FFFFFFFu ||
      config.gridDim.y > 65535 || config.gridDim.z > 65535 || config.dynamicSmemBytes > most)
    return last_error = cudaErrorInvalidConfiguration;
  count = static_cast<unsigned>(threads);
  blockDim = config.blockDim;
  gridDim = config.gridDim;
  body = &call;
  together = config.numAttrs > 0 && config.attrs[0].id == cudaLaunchAttributeCooperative &&
             config.attrs[0].val.cooperative != 0;
  if (together && blocks > multiprocessors * blocks_of_one(count, config.dynamicSmemBytes))
    return last_error = cudaErrorCooperativeLaunchTooLarge;
  while (fibres.size() < (together ? count * blocks : count)) make_fibre();
  const std::uint64_t launch = launches++;
  const SharedMemory shared = shared_variables();
  const std::vector<char> kept(shared.data, shared.data + shared.bytes);
  std::vector<Order> orders;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(blocks, 4); ++i)
    orders.push_back(order_of(count, launch + i, lanes));
  std::vector<std::vector<char>> variables(together ? blocks : 1);  // the shared ones of blocks that wait
  std::uint64_t ended = 0;
  for (std::uint64_t round = 0; ended < blocks; ++round) {
    if (ended > 0) fail("blocks of a grid have returned that others wait for");
    for (const unsigned b : order_of(static_cast<unsigned>(blocks), launch / 4 + round)) {
      blockIdx = {b % gridDim.x, b / gridDim.x % gridDim.y, b / gridDim.x / gridDim.y};
      first = together ? b * count : 0;
      if (round == 0) {
        poison_shared(config.dynamicSmemBytes);
        begin_block();
      } else {
        copy_shared(variables[b], config.dynamicSmemBytes, false);
        for (unsigned t = 0; t < count; ++t) fibres[first + t]->state = State::ready;
      }
      if (run_block(orders[(b + round) % orders.size()]))
        ++ended;
      else
        copy_shared(variables[b], config.dynamicSmemBytes, true);
      check_shared(config.dynamicSmemBytes);
    }
  }
  first = 0;
  std::copy(kept.begin(), kept.end(), shared.data);
  for (const auto& [block, size] : allocations) check_guards(block, size.first);
  return cudaSuccess;
}

unsigned blocks_of_one(unsigned threads, std::size_t dynamic_bytes) {
  return threads <= 256 && 2 * (dynamic_bytes + 1024) <= gapbench::kernels::most_shared ? 2 : 1;
}

void grid_barrier(const std::source_location& where) {
  if (!together) fail("a barrier of the grid in a launch that is not cooperative");
  Fibre& f = *fibres[running];
  f.state = State::at_grid;
  f.name = "grid.sync";
  f.where = where;
  to_scheduler(f);
}

bool barrier(bool value, const char* name, const std::source_location& where, int* number) {
  Fibre& f = *fibres[running];
  f.state = State::at_barrier;
  f.name = name;
  f.where = where;
  f.flag = value;
  to_scheduler(f);
  if (number != nullptr) *number = barrier_count;
  return barrier_flag;
}

std::uint64_t exchange(unsigned mask, std::uint64_t value, int from_lane, const char* name,
                       const std::source_location& where) {
  const unsigned me = running, base = first + (me - first) / lanes * lanes,
                 present = std::min(lanes, first + count - base);
  Fibre& f = *fibres[me];
  if (present < lanes) mask &= (1u << present) - 1;
  f.state = State::in_warp;
  f.name = name;
  f.where = where;
  f.mask = mask;
  f.value = value;
  f.from = from_lane;
  if ((mask >> (me - base) & 1) == 0) fail("a lane calls a warp function whose mask lacks it", f, f);
  if (from_lane >= 0 && (mask >> from_lane & 1) == 0 && from_lane < static_cast<int>(present))
    fail("a shuffle reads a lane that takes no part", f, f);
  // who waits meets the same function as one other; while the lane missed last is missing, no more are asked
  const auto takes_part = [&](unsigned l) { return (mask >> l & 1) != 0 && base + l != me; };
  const auto waits = [&](unsigned l) { return fibres[base + l]->state == State::in_warp; };
  for (unsigned l = 0; l < present; ++l)
    if (takes_part(l) && waits(l)) {
      const Fibre& other = *fibres[base + l];
      if (other.mask != mask || other.where.line() != where.line() || other.name != name)
        fail("lanes of a warp meet in different warp functions", f, other);
      break;
    }
  if (missing.size() < fibres.size()) missing.resize(fibres.size());
  unsigned& missed = missing[base];  // lane + 1
  const auto is_missing = [&](unsigned l) { return l < present && takes_part(l) && !waits(l); };
  if (missed == 0 || !is_missing(missed - 1))
    for (missed = present; missed > 0 && !is_missing(missed - 1);) --missed;
  const bool all = missed == 0;
  if (!all) {
    to_scheduler(f);
    return f.value;
  }
  std::uint64_t values[lanes] = {}, votes = 0;
  for (unsigned l = 0; l < present; ++l)
    if (mask >> l & 1) {
      values[l] = fibres[base + l]->value;
      votes |= values[l] != 0 ? std::uint64_t{1} << l : 0;
    }
  for (unsigned l = 0; l < present; ++l)
    if (mask >> l & 1) {
      Fibre& other = *fibres[base + l];
      other.value = other.from < 0 ? votes : values[other.from];
      other.state = State::ready;
    }
  return f.value;
}

unsigned ballot(unsigned mask, bool value, const char* name, const std::source_location& where) {
  return static_cast<unsigned>(exchange(mask, value, -1, name, where));
}

void copy_later(void* to, const void* from, std::size_t bytes) {
  if ((bytes != 4 && bytes != 8 && bytes != 16) || reinterpret_cast<std::uintptr_t>(to) % bytes != 0 ||
      reinterpret_cast<std::uintptr_t>(from) % bytes != 0)
    fail("an asynchronous copy of another size than 4, 8 or 16 bytes, or not aligned to it");
  Fibre& f = *fibres[running];
  if (f.copies.empty()) f.copies.emplace_back();
  f.copies.back().emplace_back(to, from, bytes);
}
void commit_copies() {
  Fibre& f = *fibres[running];
  if (f.copies.empty()) f.copies.emplace_back();
  f.copies.emplace_back();
}
void wait_for_copies(std::size_t newest_left) {
  Fibre& f = *fibres[running];
  while (f.copies.size() > newest_left + 1) {
    for (const auto& [to, from, bytes] : f.copies.front()) std::memcpy(to, from, bytes);
    f.copies.pop_front();
  }
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  *data = nullptr;
  if (bytes == 0) return cudaSuccess;
  const std::size_t all = (guard + bytes + guard + guard - 1) / guard * guard;
  char* const block = static_cast<char*>(std::aligned_alloc(guard, all));
  if (block == nullptr) fail("no memory for a block of device memory");
  std::memset(block, guard_byte, all);
  std::memset(block + guard, poison, bytes);
  allocations[block] = {bytes, block};
  *data = block + guard;
  return cudaSuccess;
}
cudaError_t cudaFree(void* data) {
  if (data == nullptr) return cudaSuccess;
  const auto found = allocations.find(static_cast<const char*>(data) - guard);
  if (found == allocations.end()) return last_error = cudaErrorInvalidValue;
  check_guards(found->first, found->second.first);
  std::free(found->second.second);
  allocations.erase(found);
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice,
             from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (bytes == 0) return cudaSuccess;
  if ((to_device && !on_device(to, bytes)) || (from_device && !on_device(from, bytes)))
    return last_error = cudaErrorInvalidValue;
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  if (bytes > 0 && !on_device(to, bytes)) return last_error = cudaErrorInvalidValue;
  std::memset(to, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess                     ? "no error"
         : error == cudaErrorInvalidValue         ? "invalid argument"
         : error == cudaErrorInvalidConfiguration ? "invalid configuration argument"
                                                  : "too many blocks in cooperative launch";
}
