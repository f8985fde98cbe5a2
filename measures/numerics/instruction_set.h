// Which vector registers hand-written kernels use: the widest the machine has, unless a test asked for narrower ones. std
// only.
#pragma once

namespace gapbench {

enum class InstructionSet { generic, avx2, avx512 };

inline InstructionSet widest_instruction_set() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    return InstructionSet::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return InstructionSet::avx2;
#endif
  return InstructionSet::generic;
}

namespace detail {
inline InstructionSet instruction_set_in_use = widest_instruction_set();
}

inline InstructionSet instruction_set() {
  return detail::instruction_set_in_use;
}
/// For tests, while no other thread computes.
inline void use_instruction_set(InstructionSet set) {
  detail::instruction_set_in_use = set;
}

/// "generic", "avx2", "avx512".
inline const char* to_string(InstructionSet set) {
  return set == InstructionSet::avx512 ? "avx512" : set == InstructionSet::avx2 ? "avx2" : "generic";
}

}  // namespace gapbench
