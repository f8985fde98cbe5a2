#include "zoo/engine/fast/elementwise.h"

#include <algorithm>

#include "zoo/engine/fast/instruction_set.h"

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
  switch (instruction_set()) {
#if defined(__x86_64__)
    case InstructionSet::avx512:
      return avx512::table;
    case InstructionSet::avx2:
      return avx2::table;
#endif
    default:
      return generic::table;
  }
}

}  // namespace gapbench::fast
