#include "zoo/engine/fast/elementwise.h"

#include <algorithm>

namespace gapbench::fast {

namespace {

#if defined(__x86_64__)
namespace avx512 {
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,fma,prefer-vector-width=512")
#define VECTOR 16
#include "zoo/engine/fast/elementwise.inc"
#pragma GCC pop_options
}  // namespace avx512
namespace avx2 {
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define VECTOR 8
#include "zoo/engine/fast/elementwise.inc"
#pragma GCC pop_options
}  // namespace avx2
#endif
namespace generic {
#define VECTOR 4
#include "zoo/engine/fast/elementwise.inc"
}  // namespace generic

}  // namespace

const Elementwise& elementwise() {
#if defined(__x86_64__)
  static const Elementwise& chosen =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
          ? avx512::table
      : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? avx2::table
                                                                        : generic::table;
  return chosen;
#else
  return generic::table;
#endif
}

}  // namespace gapbench::fast
