#include "zoo/engine/fast/instruction_set.h"

namespace gapbench::fast {

namespace {
InstructionSet current = widest_instruction_set();
}

InstructionSet widest_instruction_set() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    return InstructionSet::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return InstructionSet::avx2;
#endif
  return InstructionSet::generic;
}

InstructionSet instruction_set() {
  return current;
}

void use_instruction_set(InstructionSet set) {
  current = set;
}

const char* to_string(InstructionSet set) {
  switch (set) {
    case InstructionSet::generic:
      return "generic";
    case InstructionSet::avx2:
      return "avx2";
    case InstructionSet::avx512:
      return "avx512";
  }
  return "generic";
}

}  // namespace gapbench::fast
