// Which vector registers the kernels of the fast network use: the widest the machine has. std only.
#pragma once

namespace gapbench::fast {

enum class InstructionSet { generic, avx2, avx512 };

InstructionSet widest_instruction_set();
/// What the kernels run on: the widest, unless a test asked for a narrower one.
InstructionSet instruction_set();
/// For tests, while no other thread computes.
void use_instruction_set(InstructionSet set);
/// "generic", "avx2", "avx512".
const char* to_string(InstructionSet set);

}  // namespace gapbench::fast
