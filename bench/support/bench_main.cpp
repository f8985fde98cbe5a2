// main() of every benchmark program: Google Benchmark's, with what was built in the context of its JSON.
#include <benchmark/benchmark.h>

#include "measures/numerics/instruction_set.h"

int main(int argc, char** argv) {
  benchmark::AddCustomContext("compiler", GAPBENCH_COMPILER);
  benchmark::AddCustomContext("flags", GAPBENCH_FLAGS);
  benchmark::AddCustomContext("cpu_variant", gapbench::to_string(gapbench::instruction_set()));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const std::size_t run = benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return run > 0 ? 0 : 1;  // nothing measured is a fault
}
