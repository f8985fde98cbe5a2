// The instruction set of the kernels of the fast network: that of all hand-written kernels.
#pragma once

#include "measures/numerics/instruction_set.h"

namespace gapbench::fast {

using gapbench::instruction_set;
using gapbench::InstructionSet;
using gapbench::to_string;
using gapbench::use_instruction_set;
using gapbench::widest_instruction_set;

}  // namespace gapbench::fast
